"""Admin pages of what is published: the status is moved by verbs, each a button beside "Save"."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django.contrib.admin.utils import unquote
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from ebalance.admin.options import ModelAdmin


class PublishingAdmin(ModelAdmin):
    """A button saves the form, its inlines too, and then calls the verb, in one transaction: what
    the verb refuses comes back as an error of the form, with all that was typed.
    """

    locked_fields = ("status", "published_at")
    actions_submit_line = ("publish", "unpublish", "archive", "restore")
    # Which buttons a page has, by status.
    buttons: ClassVar[Mapping[str, Sequence[str]]] = {
        "draft": ("publish",),
        "published": ("unpublish", "archive"),
        "archived": ("restore",),
    }

    def get_actions_submit_line(self, request, object_id):
        row = self.get_object(request, unquote(str(object_id)))
        offered = self.buttons.get(row.status, ()) if row else ()
        return [
            found
            for found in super().get_actions_submit_line(request, object_id)
            if found.action_name in map(self.button_name, offered)
        ]

    def button_name(self, verb: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{verb}"

    def is_pressed(self, request, verb: str) -> bool:
        return self.button_name(verb) in request.POST

    def save_model(self, request, obj, form, change):
        obj.save()  # Unfold's would call the verb here, before the inlines are saved

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if change:
            for verb in self.actions_submit_line:
                if self.is_pressed(request, verb):
                    getattr(self, verb)(request, form)

    @action(description=_("Publish"), permissions=["change"])
    def publish(self, request, form):
        form.instance.publish(actor=request.user)
        self.message_user(request, _("This is published now."))

    @action(description=_("Take back to draft"), permissions=["change"])
    def unpublish(self, request, form):
        form.instance.unpublish(actor=request.user)
        self.message_user(request, _("This is a draft now and is no longer shown."))

    @action(description=_("Archive"), permissions=["change"])
    def archive(self, request, form):
        form.instance.archive(actor=request.user)
        self.message_user(request, _("This is in the archive now and is no longer shown."))

    @action(description=_("Bring back from the archive"), permissions=["change"])
    def restore(self, request, form):
        form.instance.restore(actor=request.user)
        self.message_user(request, _("This is a draft again."))
