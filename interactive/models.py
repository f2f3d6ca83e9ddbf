"""Self-help interactives: definitions, their immutable versions, and runs as aggregates."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.classification import NULL, by_staff, of_person, p0, replace
from ebalance.db.fields import ClosedSet, Entity, Ref, TextLine, created_at, now_default, updated_at
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import PUBLICATION_MOVES, EntryPoint, Members, PublicationStatus

DAY_MS = 24 * 60 * 60 * 1000


class InteractiveDefinition(Entity):
    """A quiz, navigator, thermometer and so on; its content stands in its versions."""

    Type = Members("Type", "quiz navigator thermometer boundaries prep ritual")

    interactive_type = ClosedSet(Type, db_comment=p0("kind of interactive"))
    slug = TextLine(db_comment=p0("slug in addresses, unique per kind"))
    title = TextLine(db_comment=p0("title"))
    topic = Ref(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="interactive_definitions",
        db_comment=p0("topic, if one"),
    )
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.draft, db_comment=p0("life cycle")
    )
    published_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when published, UTC"))
    published_version = models.IntegerField(
        null=True, blank=True, db_comment=p0("version that people see")
    )
    created_at = created_at()
    updated_at = updated_at()

    class Meta:
        db_table = "interactive_definitions"
        db_table_comment = "Interactives"
        verbose_name = _("interactive")
        verbose_name_plural = _("interactives")
        constraints = [
            rules.Unique(
                "interactive_definitions_slug_unique_per_type",
                fields=["interactive_type", "slug"],
                message=_("There is already such a slug for this kind of interactive."),
            ),
            rules.slug("interactive_definitions"),
            rules.not_blank("interactive_definitions", "title"),
            rules.Check(
                "interactive_definitions_published_is_complete",
                ~Q(status="published") | rules.all_set(["published_at", "published_version"]),
                _("What is published has a publication date and a version."),
                field="published_version",
            ),
            rules.finite("interactive_definitions", "created_at", "updated_at", "published_at"),
        ]
        indexes = [
            rules.Index("interactive_definitions_by_topic", "topic", serves="those of a topic"),
        ]
        triggers = [
            *triggers.transitions("interactive_definitions", PUBLICATION_MOVES),
            triggers.existing_version(
                "interactive_definitions",
                "published_version",
                "interactive_versions",
                "interactive_definition_id",
            ),
            triggers.touch_updated_at("interactive_definitions"),
        ]

    def __str__(self) -> str:
        return self.title


class InteractiveVersion(Entity):
    """The configuration of an interactive as published once. Immutable."""

    interactive_definition = Ref(
        InteractiveDefinition, DB_CASCADE, related_name="versions", db_comment=p0("interactive")
    )
    version = models.IntegerField(db_comment=p0("number, from 1, per interactive"))
    config = models.JSONField(
        blank=True, db_comment=p0("questions, steps, thresholds; a JSON object")
    )
    created_by = Ref(
        "identity.User",
        db_column="created_by_user_id",
        null=True,
        blank=True,
        related_name="interactive_versions",
        db_comment=by_staff("who made it"),
    )
    created_at = created_at()

    class Meta:
        db_table = "interactive_versions"
        db_table_comment = "Configurations of interactives; immutable"
        verbose_name = _("version of an interactive")
        verbose_name_plural = _("versions of an interactive")
        constraints = [
            rules.Unique(
                "interactive_versions_once_per_definition",
                fields=["interactive_definition", "version"],
            ),
            rules.in_range("interactive_versions", "version", 1),
            rules.Check(
                "interactive_versions_config_is_object",
                Q(rules.holds("is_json_object", "config")),
                _("This must be a JSON object."),
                field="config",
            ),
            rules.finite("interactive_versions", "created_at"),
        ]
        indexes = [
            rules.Index("interactive_versions_by_author", "created_by", serves="the delete check"),
        ]
        triggers = triggers.versions(
            "interactive_versions", "interactive_definitions", "interactive_definition_id"
        )

    def __str__(self) -> str:
        return f"№ {self.version}"


class InteractiveRun(Entity):
    """One passage through an interactive: aggregates only, never an answer or a text."""

    Status = Members("Status", "in_progress completed abandoned")
    ResultLevel = Members("ResultLevel", "low moderate high")
    ResultProfile = Members(
        "ResultProfile",
        "stabilize_now restore_energy boundaries clarify support_contact other",
    )
    CrisisTrigger = Members(
        "CrisisTrigger", "self_harm suicidal_ideation violence minor_risk panic_like"
    )

    interactive_definition = Ref(
        InteractiveDefinition, related_name="runs", db_comment=p0("interactive")
    )
    definition_version = models.IntegerField(
        null=True, blank=True, db_comment=p0("version that was shown")
    )
    user = Ref(
        "identity.User",
        null=True,
        blank=True,
        related_name="interactive_runs",
        db_comment=of_person("who ran it, if logged in", NULL),
    )
    # Not emptied: a run has a person or an anonymous id, and a detached one has no person.
    anonymous_id = TextLine(
        null=True,
        blank=True,
        db_comment=p0("browser or bot identifier", erasure=replace("a new random identifier")),
    )
    status = ClosedSet(Status, default=Status.in_progress, db_comment=p0("life cycle"))
    started_at = models.DateTimeField(db_default=now_default(), db_comment=p0("start, UTC"))
    completed_at = models.DateTimeField(null=True, blank=True, db_comment=p0("end, UTC"))
    result_level = ClosedSet(ResultLevel, null=True, blank=True, db_comment=p0("level reached"))
    result_profile = ClosedSet(
        ResultProfile, null=True, blank=True, db_comment=p0("profile a navigator arrived at")
    )
    duration_ms = models.IntegerField(null=True, blank=True, db_comment=p0("duration, ms"))
    deep_link_id = TextLine(
        null=True,
        blank=True,
        db_comment=p0("deep link it came by; no key, links expire first", erasure=NULL),
    )
    crisis_triggered = models.BooleanField(
        default=False, db_default=False, db_comment=p0("whether the crisis block was shown")
    )
    crisis_trigger_type = ClosedSet(
        CrisisTrigger, null=True, blank=True, db_comment=p0("category of the trigger, no details")
    )
    entry_point = ClosedSet(EntryPoint, null=True, blank=True, db_comment=p0("where from"))

    class Meta:
        db_table = "interactive_runs"
        db_table_comment = "Runs of interactives: aggregates only"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            rules.opaque_id("interactive_runs", "anonymous_id"),
            rules.opaque_id("interactive_runs", "deep_link_id"),
            rules.Check(
                "interactive_runs_subject_present",
                Q(user__isnull=False) | Q(anonymous_id__isnull=False),
                _("A run has a person or an anonymous identifier."),
            ),
            rules.in_range("interactive_runs", "definition_version", 1),
            rules.in_range("interactive_runs", "duration_ms", 0, DAY_MS),
            rules.set_exactly_when(
                "interactive_runs_completed_at_with_status",
                "completed_at",
                Q(status="completed"),
                _("An end is set exactly for a completed run."),
            ),
            rules.Check(
                "interactive_runs_completed_after_start",
                Q(completed_at__isnull=True) | Q(completed_at__gte=F("started_at")),
                _("A run does not end before it starts."),
                field="completed_at",
            ),
            rules.Check(
                "interactive_runs_result_when_completed",
                Q(status="completed") | rules.none_set(["result_level", "result_profile"]),
                _("Only a completed run has a result."),
                field="result_level",
            ),
            rules.set_exactly_when(
                "interactive_runs_trigger_type_with_flag",
                "crisis_trigger_type",
                Q(crisis_triggered=True),
                _("A trigger category is set exactly when the crisis block was shown."),
            ),
            rules.finite("interactive_runs", "started_at", "completed_at"),
        ]
        indexes = [
            rules.Index(
                "interactive_runs_by_definition",
                "interactive_definition",
                "started_at",
                serves="metrics: starts, completions and levels of an interactive",
            ),
            rules.Index("interactive_runs_by_user", "user", serves="a person's runs; export"),
            rules.Index("interactive_runs_by_start", "started_at", serves="purge_expired, 90 days"),
        ]
        triggers = triggers.transitions(
            "interactive_runs", {"in_progress": ["completed", "abandoned"]}
        )

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.started_at:%d.%m.%Y}"
