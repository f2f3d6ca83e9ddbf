"""The tracking plan of release 1, as data, so that ``migrate`` alone gives a working database.

Rollback note: unapplying deletes the plan; it fails while an event refers to it, nothing is lost.
"""

from pathlib import Path

from django.db import migrations

PLAN = Path(__file__).parent / "data" / "tracking_plan_0502.json"

LOAD_EVENTS = """
INSERT INTO public.tracking_events (event_name, sources)
SELECT event.key, ARRAY(SELECT jsonb_array_elements_text(event.value -> 'sources'))
FROM jsonb_each(%(plan)s::jsonb -> 'events') event
"""
LOAD_PARAMS = """
WITH param AS (
    SELECT event.key AS event_name, param.key AS name, param.value AS spec
    FROM jsonb_each(%(plan)s::jsonb -> 'events') event,
         jsonb_each(event.value -> 'params') param
)
INSERT INTO public.tracking_event_params (event_name, name, kind, allowed, is_required)
SELECT event_name, name, spec ->> 'kind',
       CASE WHEN spec ? 'allowed' THEN ARRAY(SELECT jsonb_array_elements_text(spec -> 'allowed')) END,
       coalesce((spec ->> 'required')::boolean, false)
FROM param
UNION ALL
SELECT DISTINCT event_name, spec ->> 'one_of', 'one_of', NULL::text[], true
FROM param WHERE spec ? 'one_of'
"""


def load(apps, schema_editor):
    plan = {"plan": PLAN.read_text(encoding="utf-8")}
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(LOAD_EVENTS, plan)
        cursor.execute(LOAD_PARAMS, plan)


def unload(apps, schema_editor):
    schema_editor.execute("DELETE FROM public.tracking_events")


class Migration(migrations.Migration):
    dependencies = [("crm", "0501_crm")]
    operations = [migrations.RunPython(load, unload)]
