"""Messages that are due to people, each sent at most once, and the psychologist's notes.

Rollback note: run `DROP TRIGGER appointments_cancel_messages ON appointments`,
`DROP FUNCTION appointments_cancel_messages()`, then `DROP TABLE message_deliveries` and
`DROP TABLE session_notes`; the record of what was sent, and all notes about sessions, are lost.
"""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers.rule


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0601_audit"),
        ("booking", "0303_schedule_exceptions"),
        ("crm", "0501_crm"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="MessageDelivery",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("kind", models.TextField(db_comment="P0 · occasion")),
                        ("channel", models.TextField(db_comment="P0 · how it is sent")),
                        (
                            "dedupe_key",
                            models.TextField(
                                db_comment="P0 · at most one message has this key: kind and id of what it is about"
                            ),
                        ),
                        ("due_at", models.DateTimeField(db_comment="P0 · not sent before, UTC")),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle",
                                db_default="scheduled",
                                default="scheduled",
                            ),
                        ),
                        (
                            "suppressed_reason",
                            models.TextField(
                                blank=True, db_comment="P0 · why it was not sent", null=True
                            ),
                        ),
                        (
                            "claimed_until",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · until when the sender reports, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "attempts",
                            models.IntegerField(
                                db_comment="P0 · claims so far", db_default=0, default=0
                            ),
                        ),
                        (
                            "last_error",
                            models.TextField(
                                blank=True, db_comment="P0 · code of the last failure", null=True
                            ),
                        ),
                        (
                            "provider_message_id",
                            models.TextField(
                                blank=True, db_comment="P0 · the provider's id", null=True
                            ),
                        ),
                        (
                            "sent_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when sent, UTC", null=True
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was written, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                        (
                            "appointment",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · session it is about",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="message_deliveries",
                                to="booking.appointment",
                            ),
                        ),
                        (
                            "lead",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · lead to whom, if not registered",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="message_deliveries",
                                to="crm.lead",
                            ),
                        ),
                        (
                            "template_version",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · text that was sent; set when it is claimed, and in every sent row",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="deliveries",
                                to="audit.messagetemplateversion",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · to whom, if registered",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="message_deliveries",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "message",
                        "verbose_name_plural": "messages",
                        "db_table": "message_deliveries",
                        "db_table_comment": "Messages to people, each sent at most once; no address, no text",
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_status_transition",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('scheduled', 'sending'), ('scheduled', 'canceled'), ('scheduled', 'suppressed'), ('sending', 'sent'), ('sending', 'failed'), ('sending', 'scheduled'), ('sending', 'suppressed'))))",
                                    execute="public.refuse_transition('message_deliveries_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="fa5ddd49bcec45bf83ba70d482ee93ecb6ea1ccb",
                                    operation='UPDATE OF "status"',
                                    pgid="message_deliveries_status_transition",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_status_initial",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('scheduled'))",
                                    execute="public.refuse('message_deliveries_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="3308039b76c259722b375640b1511a3264960664",
                                    operation="INSERT",
                                    pgid="message_deliveries_status_initial",
                                    table="message_deliveries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_facts_stay",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN ((OLD.kind IS DISTINCT FROM NEW.kind OR OLD.channel IS DISTINCT FROM NEW.channel OR OLD.dedupe_key IS DISTINCT FROM NEW.dedupe_key))",
                                    execute="public.refuse('message_deliveries_facts_stay', 'kind', 'Kind, channel and key of a message never change')",
                                    func="",
                                    hash="4b883e7fdafdd8382fe5457266e83ebdc4057751",
                                    operation="UPDATE",
                                    pgid="message_deliveries_facts_stay",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_links_stay",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (((OLD.user_id IS DISTINCT FROM NEW.user_id AND (NEW.user_id IS NOT NULL OR NEW.user_id IS NOT NULL)) OR (OLD.appointment_id IS DISTINCT FROM NEW.appointment_id AND (NEW.appointment_id IS NOT NULL OR NEW.user_id IS NOT NULL))))",
                                    execute="public.refuse('message_deliveries_links_stay', 'user_id', 'Person and session of a message never change')",
                                    func="",
                                    hash="39ae4bd6fb36983f05feff4c3a4f69bac928f058",
                                    operation="UPDATE",
                                    pgid="message_deliveries_links_stay",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_lead_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.lead_id IS NOT NULL AND OLD.lead_id IS DISTINCT FROM NEW.lead_id)",
                                    execute="public.message_deliveries_lead_stays()",
                                    func="CREATE OR REPLACE FUNCTION public.message_deliveries_lead_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF NOT EXISTS (\n        WITH RECURSIVE merged AS (\n            SELECT l.merged_into_id FROM public.leads l WHERE l.id = OLD.lead_id\n            UNION\n            SELECT l.merged_into_id FROM public.leads l JOIN merged ON l.id = merged.merged_into_id)\n        SELECT FROM merged WHERE merged.merged_into_id = NEW.lead_id) THEN\n        PERFORM public.raise_refusal('message_deliveries_lead_stays', TG_TABLE_NAME, 'lead_id', 'A message follows its lead only into a merge');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="d50184b1130646710064e7b2a4375c6c38ed00b8",
                                    operation='UPDATE OF "lead_id"',
                                    pgid="message_deliveries_lead_stays",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_what_was_sent_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN ((OLD.template_version_id IS DISTINCT FROM NEW.template_version_id OR OLD.sent_at IS DISTINCT FROM NEW.sent_at OR OLD.attempts IS DISTINCT FROM NEW.attempts OR OLD.due_at IS DISTINCT FROM NEW.due_at OR (OLD.provider_message_id IS DISTINCT FROM NEW.provider_message_id AND (NEW.provider_message_id IS NOT NULL OR NEW.user_id IS NOT NULL))) AND OLD.status = 'sent')",
                                    execute="public.refuse('message_deliveries_what_was_sent_stays', 'template_version_id', 'What was sent does not change')",
                                    func="",
                                    hash="df2b0046bfde9b1a48425667ea28af82c5cb927e",
                                    operation="UPDATE",
                                    pgid="message_deliveries_what_was_sent_stays",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_one_claim",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.status = 'sending' AND (NEW.status = 'sending' AND OLD.claimed_until <> NEW.claimed_until OR NEW.status = 'scheduled' AND OLD.claimed_until <= public.fact_clock()))",
                                    execute="public.refuse('message_deliveries_one_claim', 'status', 'A message is claimed once, and not again after its claim ran out')",
                                    func="",
                                    hash="6686610c474b664a0442bdcc7cede81bc46bd0ea",
                                    operation='UPDATE OF "status", "claimed_until"',
                                    pgid="message_deliveries_one_claim",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_session_is_on",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.status = 'scheduled' AND NEW.status = 'sending' AND NEW.appointment_id IS NOT NULL)",
                                    execute="public.message_deliveries_session_is_on()",
                                    func="CREATE OR REPLACE FUNCTION public.message_deliveries_session_is_on() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    state text;\nBEGIN\n    SELECT a.status INTO state FROM public.appointments a WHERE a.id = NEW.appointment_id\n    FOR SHARE;\n    -- The news itself is sent.\n    IF (state = 'canceled' AND NEW.kind <> 'canceled')\n       OR (state = 'rescheduled' AND NEW.kind NOT IN ('canceled', 'rescheduled')) THEN\n        PERFORM public.raise_refusal('message_deliveries_session_is_on', TG_TABLE_NAME, 'appointment_id', 'This session was canceled or moved');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="c5236275b6224d694b53dfb7b6936d8c1ad91d8e",
                                    operation='UPDATE OF "status"',
                                    pgid="message_deliveries_session_is_on",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_person_not_erased",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.status = 'scheduled' AND NEW.status = 'sending' AND NEW.user_id IS NOT NULL)",
                                    execute="public.message_deliveries_person_not_erased()",
                                    func="CREATE OR REPLACE FUNCTION public.message_deliveries_person_not_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    state text;\nBEGIN\n    SELECT u.status INTO state FROM public.users u WHERE u.id = NEW.user_id FOR SHARE;\n    IF state = 'deleted' THEN\n        PERFORM public.raise_refusal('message_deliveries_person_not_erased', TG_TABLE_NAME, 'user_id', 'This person was erased; nothing is sent to them');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="25c79aa71a90f62ff4e198ae2cdbe9b4a637e232",
                                    operation='UPDATE OF "status"',
                                    pgid="message_deliveries_person_not_erased",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_person_agreed",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.status = 'scheduled' AND NEW.status = 'sending')",
                                    execute="public.message_deliveries_person_agreed()",
                                    func="CREATE OR REPLACE FUNCTION public.message_deliveries_person_agreed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    purpose text := CASE NEW.channel WHEN 'email' THEN 'communications' ELSE 'telegram' END;\n    accounts uuid[];\n    own_leads uuid[];\n    agreed timestamptz;\n    refused timestamptz;\n    withdrawn timestamptz;\nBEGIN\n    WITH RECURSIVE known (user_id, lead_id) AS NOT MATERIALIZED (\n        SELECT i.user_id, i.lead_id FROM public.lead_identities i\n        UNION ALL SELECT c.user_id, c.lead_id FROM public.consents c\n        UNION ALL SELECT a.client_user_id, a.lead_id FROM public.appointments a\n        UNION ALL SELECT w.user_id, w.lead_id FROM public.waitlist_requests w\n        UNION ALL SELECT m.user_id, m.lead_id FROM public.message_deliveries m),\n    merges (lead_id, other_id) AS NOT MATERIALIZED (\n        SELECT l.id, l.merged_into_id FROM public.leads l WHERE l.merged_into_id IS NOT NULL\n        UNION ALL\n        SELECT l.merged_into_id, l.id FROM public.leads l WHERE l.merged_into_id IS NOT NULL),\n    named (lead_id) AS (\n        SELECT NEW.lead_id WHERE NEW.lead_id IS NOT NULL\n        UNION SELECT m.other_id FROM named n JOIN merges m USING (lead_id)),\n    people (user_id) AS (\n        SELECT NEW.user_id WHERE NEW.user_id IS NOT NULL\n        UNION SELECT k.user_id FROM known k\n        WHERE k.lead_id = ANY (ARRAY(SELECT n.lead_id FROM named n)) AND k.user_id IS NOT NULL),\n    reach (lead_id) AS (\n        (SELECT n.lead_id FROM named n\n         UNION SELECT k.lead_id FROM known k\n         WHERE k.user_id = ANY (ARRAY(SELECT p.user_id FROM people p)) AND k.lead_id IS NOT NULL)\n        UNION SELECT m.other_id FROM reach r JOIN merges m USING (lead_id))\n    SELECT ARRAY(SELECT p.user_id FROM people p), ARRAY(SELECT r.lead_id FROM reach r)\n    INTO accounts, own_leads;\n    PERFORM FROM public.consents c\n    WHERE c.consent_type = purpose AND c.granted AND c.revoked_at IS NULL\n      AND (c.user_id = ANY (accounts) OR c.user_id IS NULL AND c.lead_id = ANY (own_leads))\n    ORDER BY c.id FOR SHARE;\n    SELECT max(c.granted_at) FILTER (WHERE c.granted AND c.revoked_at IS NULL),\n           max(c.granted_at) FILTER (WHERE NOT c.granted), max(c.revoked_at)\n    INTO agreed, refused, withdrawn\n    FROM public.consents c\n    WHERE c.consent_type = purpose\n      AND (c.user_id = ANY (accounts) OR c.user_id IS NULL AND c.lead_id = ANY (own_leads));\n    IF agreed IS NULL OR refused >= agreed OR withdrawn > agreed THEN\n        PERFORM public.raise_refusal('message_deliveries_person_agreed', TG_TABLE_NAME, 'channel', 'Without an active consent nothing is sent');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="1ff3dc38b1d1a655d07ca99c43a63611bdca4910",
                                    operation='UPDATE OF "status"',
                                    pgid="message_deliveries_person_agreed",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_user_id_not_erased",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('message_deliveries_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="f6c83f775ce5e5e7a2955327e8ee0871dedff590",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="message_deliveries_user_id_not_erased",
                                    table="message_deliveries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_sent_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.sent_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('message_deliveries_sent_at_not_ahead', 'sent_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="44984b7c4e3d29c82751be4ee74f0bc0bf14f276",
                                    operation='INSERT OR UPDATE OF "sent_at"',
                                    pgid="message_deliveries_sent_at_not_ahead",
                                    table="message_deliveries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_created_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('message_deliveries_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="652064fcc52e49050b0a1282546dfb6817c48c36",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="message_deliveries_created_at_not_ahead",
                                    table="message_deliveries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_deliveries_id_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('message_deliveries_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="9755e55663fa6b7ed31bac15930d8ada85e91102",
                                    operation='UPDATE OF "id"',
                                    pgid="message_deliveries_id_stays",
                                    table="message_deliveries",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "indexes": [
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "scheduled")),
                                fields=["due_at"],
                                name="message_deliveries_due",
                                serves="claim_due_messages",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "sending")),
                                fields=["claimed_until"],
                                name="message_deliveries_claimed",
                                serves="claims that ran out",
                            ),
                            ebalance.db.rules.Index(
                                fields=["user", "-due_at"],
                                name="message_deliveries_by_user",
                                serves="a person's",
                            ),
                            ebalance.db.rules.Index(
                                fields=["lead", "-due_at"],
                                name="message_deliveries_by_lead",
                                serves="a lead's",
                            ),
                            ebalance.db.rules.Index(
                                fields=["appointment"],
                                name="message_deliveries_by_appointment",
                                serves="messages of a session",
                            ),
                            ebalance.db.rules.Index(
                                fields=["template_version"],
                                name="message_deliveries_by_template",
                                serves="the delete check",
                            ),
                            ebalance.db.rules.Index(
                                fields=["created_at"],
                                name="message_deliveries_by_creation",
                                serves="purge_expired",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("dedupe_key",), name="message_deliveries_dedupe_key_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "sent"), _negated=True),
                                    ("template_version__isnull", False),
                                    _connector="OR",
                                ),
                                name="message_deliveries_sent_has_template",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "suppressed"),
                                        ("suppressed_reason__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(("status", "suppressed"), _negated=True),
                                        ("suppressed_reason__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="message_deliveries_suppressed_with_reason",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "sending"), ("claimed_until__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "sending"), _negated=True),
                                        ("claimed_until__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="message_deliveries_claimed_until_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "sent"), ("sent_at__isnull", False)),
                                    models.Q(
                                        models.Q(("status", "sent"), _negated=True),
                                        ("sent_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="message_deliveries_sent_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("attempts__gte", 0)),
                                name="message_deliveries_attempts_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("last_error"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="message_deliveries_last_error_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("due_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("claimed_until"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("sent_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="message_deliveries_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "kind__in",
                                        [
                                            "booking_confirmation",
                                            "reminder_24h",
                                            "reminder_1h",
                                            "rescheduled",
                                            "canceled",
                                            "waitlist_offer",
                                            "answer_ready",
                                            "follow_up",
                                        ],
                                    )
                                ),
                                name="message_deliveries_kind_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("channel__in", ["email", "telegram"])),
                                name="message_deliveries_channel_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("dedupe_key__length__lte", 200)),
                                name="message_deliveries_dedupe_key_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "dedupe_key__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="message_deliveries_dedupe_key_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "status__in",
                                        [
                                            "scheduled",
                                            "sending",
                                            "sent",
                                            "failed",
                                            "canceled",
                                            "suppressed",
                                        ],
                                    )
                                ),
                                name="message_deliveries_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "suppressed_reason__in",
                                        ["no_consent", "no_contact", "erased"],
                                    )
                                ),
                                name="message_deliveries_suppressed_reason_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("last_error__length__lte", 60)),
                                name="message_deliveries_last_error_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider_message_id__length__lte", 200)),
                                name="message_deliveries_provider_message_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "provider_message_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="message_deliveries_provider_message_id_is_external_id",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="SessionNote",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "note_encrypted",
                            models.TextField(db_comment="P2 · note, sealed", editable=False),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was written, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was last written, UTC; kept by the database",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="updated at",
                            ),
                        ),
                        (
                            "appointment",
                            models.ForeignKey(
                                db_comment="P0 · session",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="session_notes",
                                to="booking.appointment",
                            ),
                        ),
                        (
                            "author",
                            models.ForeignKey(
                                db_column="author_user_id",
                                db_comment="P0 · who wrote it",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="session_notes",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "note about a session",
                        "verbose_name_plural": "notes about a session",
                        "db_table": "session_notes",
                        "db_table_comment": "The psychologist's notes about sessions, sealed",
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="session_notes_touch_updated_at",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (public.is_resealing('session_notes', OLD.note_encrypted, NEW.note_encrypted) IS NOT TRUE)",
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="0fc7f1282d888d9bba68af118178974675329468",
                                    operation="UPDATE",
                                    pgid="session_notes_touch_updated_at",
                                    table="session_notes",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="session_notes_origin_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN ((OLD.appointment_id IS DISTINCT FROM NEW.appointment_id OR OLD.author_user_id IS DISTINCT FROM NEW.author_user_id))",
                                    execute="public.refuse('session_notes_origin_stays', 'appointment_id', 'A note keeps its session and its author')",
                                    func="",
                                    hash="932291b87b2250bcb258943b44446c71254207c1",
                                    operation="UPDATE",
                                    pgid="session_notes_origin_stays",
                                    table="session_notes",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="session_notes_created_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('session_notes_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="11aca63517a1986108f50c7768063cd7f9636daa",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="session_notes_created_at_not_ahead",
                                    table="session_notes",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="session_notes_updated_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('session_notes_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="be8bb269baf72a01ef954bda3eb066e01095bdb1",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="session_notes_updated_at_not_ahead",
                                    table="session_notes",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="session_notes_id_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('session_notes_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="afe863dd541f09abdc41ae338b6cb62ff47c38c9",
                                    operation='UPDATE OF "id"',
                                    pgid="session_notes_id_stays",
                                    table="session_notes",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["appointment", "-created_at"],
                                name="session_notes_of_session",
                                serves="notes of a session",
                            ),
                            ebalance.db.rules.Index(
                                fields=["author"],
                                name="session_notes_by_author",
                                serves="the delete check",
                            ),
                            ebalance.db.rules.Index(
                                fields=["created_at"],
                                name="session_notes_by_creation",
                                serves="purge_expired",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("note_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="session_notes_note_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("updated_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="session_notes_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("note_encrypted__length__lte", 400000)),
                                name="session_notes_note_encrypted_has_length",
                            ),
                        ],
                    },
                ),
            ]
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_cancel_messages",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (OLD.status <> NEW.status AND NEW.status IN ('canceled', 'rescheduled'))",
                    execute="public.appointments_cancel_messages()",
                    func="CREATE OR REPLACE FUNCTION public.appointments_cancel_messages() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    UPDATE public.message_deliveries SET status = 'canceled'\n    WHERE appointment_id = NEW.id AND status = 'scheduled' AND kind <> 'canceled';\n    RETURN NULL;\nEND $rule$; ",
                    hash="75434b5b506faa3b1ca120893e6aab714de29cc9",
                    operation='UPDATE OF "status"',
                    pgid="appointments_cancel_messages",
                    table="appointments",
                    when="AFTER",
                ),
            ),
        ),
    ]
