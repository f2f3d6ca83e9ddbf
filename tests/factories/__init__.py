"""A factory for every model: ``XFactory()`` stores a row, ``XFactory.build()`` does not."""

from __future__ import annotations

from django.db.models import Model

from .audit import (
    AuditCheckpointFactory,
    AuditLogEntryFactory,
    KeyRotationFactory,
    LeaseFactory,
    LockFactory,
    MessageTemplateFactory,
    MessageTemplateVersionFactory,
    OutboxEventFactory,
    SystemSettingFactory,
)
from .base import EntityFactory, blind_index, sealed, walk
from .booking import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    IntakeFormFactory,
    PaymentFactory,
    PaymentWebhookEventFactory,
    RefundFactory,
    ScheduleRuleFactory,
    ServiceFactory,
    WaitlistRequestFactory,
)
from .content import (
    ContentItemFactory,
    ContentItemTagFactory,
    ContentItemTopicFactory,
    ContentMediaFactory,
    ContentRevisionFactory,
    CuratedCollectionFactory,
    CuratedItemFactory,
    GlossaryTermFactory,
    GlossaryTermLinkFactory,
    GlossaryTermSynonymFactory,
    MediaAssetFactory,
    TagFactory,
    TopicFactory,
)
from .crm import (
    AnalyticsEventFactory,
    DeepLinkFactory,
    LeadFactory,
    LeadIdentityFactory,
    LeadNoteFactory,
    LeadTimelineEventFactory,
    TrackingEventFactory,
    TrackingEventParamFactory,
)
from .identity import (
    ConsentFactory,
    DataExportRequestFactory,
    ErasureLedgerEntryFactory,
    RoleFactory,
    UserFactory,
    UserRoleFactory,
)
from .interactive import (
    InteractiveDefinitionFactory,
    InteractiveRunFactory,
    InteractiveRunTotalFactory,
    InteractiveVersionFactory,
)
from .ugc import (
    AnonymousQuestionFactory,
    DiaryEntryFactory,
    ModerationActionFactory,
    QuestionAnswerFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
)

__all__ = [
    "FACTORIES",
    "AnalyticsEventFactory",
    "AnonymousQuestionFactory",
    "AppointmentFactory",
    "AuditCheckpointFactory",
    "AuditLogEntryFactory",
    "AvailabilitySlotFactory",
    "ConsentFactory",
    "ContentItemFactory",
    "ContentItemTagFactory",
    "ContentItemTopicFactory",
    "ContentMediaFactory",
    "ContentRevisionFactory",
    "CuratedCollectionFactory",
    "CuratedItemFactory",
    "DataExportRequestFactory",
    "DeepLinkFactory",
    "DiaryEntryFactory",
    "EntityFactory",
    "ErasureLedgerEntryFactory",
    "GlossaryTermFactory",
    "GlossaryTermLinkFactory",
    "GlossaryTermSynonymFactory",
    "IntakeFormFactory",
    "InteractiveDefinitionFactory",
    "InteractiveRunFactory",
    "InteractiveRunTotalFactory",
    "InteractiveVersionFactory",
    "KeyRotationFactory",
    "LeadFactory",
    "LeadIdentityFactory",
    "LeadNoteFactory",
    "LeadTimelineEventFactory",
    "LeaseFactory",
    "LockFactory",
    "MediaAssetFactory",
    "MessageTemplateFactory",
    "MessageTemplateVersionFactory",
    "ModerationActionFactory",
    "OutboxEventFactory",
    "PaymentFactory",
    "PaymentWebhookEventFactory",
    "QuestionAnswerFactory",
    "RefundFactory",
    "ReviewFactory",
    "ReviewPublicationConsentFactory",
    "RoleFactory",
    "ScheduleRuleFactory",
    "ServiceFactory",
    "SystemSettingFactory",
    "TagFactory",
    "TopicFactory",
    "TrackingEventFactory",
    "TrackingEventParamFactory",
    "UserFactory",
    "UserRoleFactory",
    "WaitlistRequestFactory",
    "blind_index",
    "sealed",
    "walk",
]

FACTORIES: dict[type[Model], type[EntityFactory]] = {
    factory._meta.model: factory for factory in EntityFactory.__subclasses__()
}
