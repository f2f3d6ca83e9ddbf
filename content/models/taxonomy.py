"""Topics and tags."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, rules
from ebalance.db.fields import Entity, SingleLineTextField
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import BY_EDITORS


class Topic(models.Model):
    """A theme that content, services and leads are sorted by; loaded by the seeds."""

    code = SingleLineTextField(
        max_length=lengths.CODE, primary_key=True, db_comment=p0("code of the topic")
    )
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title shown to people"))
    is_active = models.BooleanField(
        default=True, db_default=True, db_comment=p0("whether the topic is offered")
    )

    retention = BY_EDITORS

    class Meta:
        db_table = "topics"
        db_table_comment = "Themes of the platform"
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        constraints = [rules.code("topics", "code"), rules.not_blank("topics", "title")]

    def __str__(self) -> str:
        return self.title


class Tag(Entity):
    """A free label on content, written by editors."""

    slug = SingleLineTextField(max_length=lengths.SLUG, db_comment=p0("slug in addresses"))
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title shown to people"))

    retention = BY_EDITORS

    class Meta:
        db_table = "tags"
        db_table_comment = "Labels on content"
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        constraints = [
            rules.Unique("tags_slug_unique", fields=["slug"]),
            rules.slug("tags"),
            rules.not_blank("tags", "title"),
        ]

    def __str__(self) -> str:
        return self.title
