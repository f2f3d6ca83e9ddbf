"""A migration autodetector that folds the triggers of a new model into its CreateModel.

pgtrigger would write one AddTrigger per trigger, each of which makes ``migrate`` render the
model state again. Tables made in one step migrate several times faster.
"""

from django.db.migrations.autodetector import MigrationAutodetector
from pgtrigger.migrations import MigrationAutodetectorMixin


class FoldingAutodetector(MigrationAutodetectorMixin, MigrationAutodetector):
    new_model_keys: set[tuple[str, str]]
    old_model_keys: set[tuple[str, str]]

    def generate_created_models(self):
        super(MigrationAutodetectorMixin, self).generate_created_models()
        for app_label, model_name in self.new_model_keys - self.old_model_keys:
            options = self.to_state.models[app_label, model_name].options
            if "triggers" in options:
                model = self.to_state.apps.get_model(app_label, model_name)
                # The list is shared with the CreateModel that has just been generated.
                options["triggers"][:] = [trigger.compile(model) for trigger in options["triggers"]]
