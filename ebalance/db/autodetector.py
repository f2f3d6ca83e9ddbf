"""The migration autodetector of this project.

It puts the triggers of a new model into its CreateModel. pgtrigger would write one AddTrigger per
trigger, each of which makes ``migrate`` render the model state again. Tables made in one step
migrate several times faster. Changes of stored tables get the forms that production accepts.
"""

from typing import Any

from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from pgtrigger.migrations import MigrationAutodetectorMixin

from ebalance.db.runner.safe_forms import make_safe


class SafeAutodetector(MigrationAutodetectorMixin, MigrationAutodetector):
    new_model_keys: set[tuple[str, str]]
    old_model_keys: set[tuple[str, str]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # No question for a value of rows that exist: a Backfill sets it, beside the clients.
        questioner: Any = self.questioner
        questioner.ask_not_null_addition = lambda *_: None
        questioner.ask_not_null_alteration = lambda *_: models.NOT_PROVIDED

    def changes(self, graph, *args, **kwargs):
        changes = super().changes(graph, *args, **kwargs)
        last = dict(graph.leaf_nodes())
        for app_label, migrations in changes.items():
            for migration in migrations:
                make_safe(migration, self.from_state, last.get(app_label))
        return changes

    def generate_created_models(self):
        super(MigrationAutodetectorMixin, self).generate_created_models()
        for app_label, model_name in self.new_model_keys - self.old_model_keys:
            options = self.to_state.models[app_label, model_name].options
            if "triggers" in options:
                model = self.to_state.apps.get_model(app_label, model_name)
                # The list is shared with the CreateModel that has just been generated.
                options["triggers"][:] = [trigger.compile(model) for trigger in options["triggers"]]
