"""Admin pages of publishable rows. Buttons beside "Save" change the status."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django.contrib.admin.utils import unquote
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from content.services import archive, publish, restore, unpublish
from ebalance.admin.options import ModelAdmin


class PublishingAdmin(ModelAdmin):
    """A button saves the form with its inlines, and then calls a service, in one transaction.

    A refusal of the service is an error of the form, which keeps its input.
    """

    locked_fields: ClassVar[tuple[str, ...]] = ("status", "published_at")
    actions_submit_line: ClassVar[tuple[str, ...]] = ("publish", "unpublish", "archive", "restore")
    # The buttons of a page, by status.
    buttons: ClassVar[Mapping[str, Sequence[str]]] = {
        "draft": ("publish",),
        "published": ("unpublish", "archive"),
        "archived": ("restore",),
    }

    def get_actions_submit_line(self, request, object_id):
        row = self.get_object(request, unquote(str(object_id)))
        offered = self.buttons.get(row.status, ()) if row else ()
        return [
            button
            for button in super().get_actions_submit_line(request, object_id)
            if button.action_name in map(self.button_name, offered)
        ]

    def button_name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"

    def is_pressed(self, request, name: str) -> bool:
        return self.button_name(name) in request.POST

    def save_model(self, request, obj, form, change):
        obj.save()  # Unfold's would call the action here, before the inlines are saved

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if change:
            for name in self.actions_submit_line:
                if self.is_pressed(request, name):
                    getattr(self, name)(request, form)

    @action(description=_("Publish"), permissions=["change"])
    def publish(self, request, form):
        publish(form.instance, actor=request.user)
        self.message_user(request, _("This is published now."))

    @action(description=_("Take back to draft"), permissions=["change"])
    def unpublish(self, request, form):
        unpublish(form.instance, actor=request.user)
        self.message_user(request, _("This is a draft now and is no longer shown."))

    @action(description=_("Archive"), permissions=["change"])
    def archive(self, request, form):
        archive(form.instance, actor=request.user)
        self.message_user(request, _("This is in the archive now and is no longer shown."))

    @action(description=_("Bring back from the archive"), permissions=["change"])
    def restore(self, request, form):
        restore(form.instance, actor=request.user)
        self.message_user(request, _("This is a draft again."))
