"""The sidebar: all tables, grouped by domain. A user sees the entries that they may open."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

# (title, initially folded, [(model, icon of Material Symbols)])
GROUPS: list[tuple[Any, bool, list[tuple[str, str]]]] = [
    (
        _("Schedule"),
        False,
        [
            ("booking.Appointment", "event_available"),
            ("booking.AvailabilitySlot", "schedule"),
            ("booking.ScheduleRule", "date_range"),
            ("booking.ScheduleException", "event_busy"),
            ("booking.WaitlistRequest", "hourglass_top"),
            ("booking.IntakeForm", "assignment"),
            ("booking.SessionNote", "sticky_note_2"),
            ("booking.Service", "psychology"),
        ],
    ),
    (
        _("Payments"),
        False,
        [
            ("booking.Payment", "payments"),
            ("booking.Refund", "currency_exchange"),
            ("booking.PaymentWebhookEvent", "move_to_inbox"),
        ],
    ),
    (
        _("Moderation"),
        False,
        [
            ("ugc.AnonymousQuestion", "help"),
            ("ugc.QuestionAnswer", "forum"),
            ("ugc.Review", "reviews"),
            ("ugc.ReviewPublicationConsent", "verified_user"),
            ("ugc.ModerationAction", "gavel"),
            ("ugc.ModerationTotal", "bar_chart"),
        ],
    ),
    (
        _("Leads"),
        False,
        [
            ("crm.Lead", "person_search"),
            ("crm.LeadIdentity", "contact_page"),
            ("crm.LeadNote", "sticky_note_2"),
            ("crm.LeadTimelineEvent", "timeline"),
            ("crm.DeepLink", "link"),
        ],
    ),
    (
        _("Content"),
        False,
        [
            ("content.ContentItem", "article"),
            ("content.CuratedCollection", "collections_bookmark"),
            ("content.GlossaryTerm", "menu_book"),
            ("content.MediaAsset", "perm_media"),
            ("content.Topic", "category"),
            ("content.Tag", "sell"),
        ],
    ),
    (
        _("Parts of content"),
        True,
        [
            ("content.ContentRevision", "history"),
            ("content.ContentItemTopic", "category"),
            ("content.ContentItemTag", "sell"),
            ("content.ContentMedia", "attach_file"),
            ("content.CuratedItem", "format_list_numbered"),
            ("content.GlossaryTermSynonym", "translate"),
            ("content.GlossaryTermLink", "link"),
        ],
    ),
    (
        _("Interactives"),
        False,
        [
            ("interactive.InteractiveDefinition", "quiz"),
            ("interactive.InteractiveVersion", "history"),
            ("interactive.InteractiveRun", "play_circle"),
            ("interactive.InteractiveRunTotal", "bar_chart"),
        ],
    ),
    (
        _("Messages"),
        False,
        [
            ("booking.MessageDelivery", "outgoing_mail"),
            ("audit.MessageTemplate", "mail"),
            ("audit.MessageTemplateVersion", "history"),
        ],
    ),
    (
        _("People and consents"),
        False,
        [
            ("identity.User", "group"),
            ("identity.UserRole", "badge"),
            ("identity.Role", "shield_person"),
            ("identity.Consent", "handshake"),
            ("identity.DataExportRequest", "download"),
            ("identity.ErasureRequest", "person_remove"),
            ("identity.ErasureLedgerEntry", "person_off"),
        ],
    ),
    (
        _("Administration"),
        False,
        [
            ("audit.AuditLogEntry", "policy"),
            ("audit.AuditCheckpoint", "verified"),
            ("audit.SystemSetting", "settings"),
            ("audit.KeyRotation", "key"),
            ("audit.Lease", "lock_clock"),
            ("audit.Lock", "lock"),
        ],
    ),
    (
        _("Events"),
        True,
        [
            ("crm.AnalyticsEvent", "monitoring"),
            ("crm.TrackingEvent", "fact_check"),
            ("crm.TrackingEventParam", "data_object"),
            ("audit.OutboxEvent", "outbox"),
        ],
    ),
]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's ``SIDEBAR["navigation"]``."""
    groups = (
        {
            "title": title,
            "collapsible": folded,
            "separator": True,
            "items": [*_items(request, rows)],
        }
        for title, folded, rows in GROUPS
    )
    return [group for group in groups if group["items"]]


def _items(request: HttpRequest, entries: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for label, icon in entries:
        model = apps.get_model(label)
        if admin.site.get_model_admin(model).has_view_permission(request):
            meta = model._meta
            yield {
                "title": capfirst(meta.verbose_name_plural),
                "icon": icon,
                "link": reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
            }
