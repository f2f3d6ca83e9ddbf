"""Uploaded files."""

import functools
import operator
import re

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import auditing, lengths, rules
from ebalance.db.fields import (
    Address,
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.schema.classification import by_staff, p0
from ebalance.db.schema.retention import BY_EDITORS

MIB = 1024 * 1024
# The files that content may show, and the ending of their names. SVG can carry scripts.
MIME_TYPES = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/gif": "gif",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "application/pdf": "pdf",
}


def _ends_as(mime_type: str) -> Q:
    return Q(mime_type=mime_type, object_key__endswith=f".{MIME_TYPES[mime_type]}")


# A change of one of these columns replaces the file.
FILE = ("media_type", "mime_type", "object_key", "public_url", "size_bytes")


class MediaAsset(Entity):
    """An uploaded file that content may show. The object storage holds the bytes."""

    class StorageProvider(models.TextChoices):
        LOCAL_FS = "local_fs", _("local fs")

    class MediaType(models.TextChoices):
        IMAGE = "image", _("image")
        AUDIO = "audio", _("audio")
        PDF = "pdf", _("pdf")

    storage_provider = ClosedSet(
        StorageProvider, default=StorageProvider.LOCAL_FS, db_comment=p0("where the bytes lie")
    )
    object_key = SingleLineTextField(
        max_length=lengths.PATH, db_comment=p0("relative path in the storage")
    )
    public_url = Address(db_comment=p0("address under which it is served"))
    media_type = ClosedSet(MediaType, db_comment=p0("kind of file"))
    mime_type = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("MIME type, agrees with media_type")
    )
    size_bytes = models.BigIntegerField(db_comment=p0("size, bytes"))
    title = SingleLineTextField(
        max_length=lengths.TITLE, null=True, blank=True, db_comment=p0("title for editors")
    )
    alt_text = SingleLineTextField(
        max_length=lengths.NOTE,
        null=True,
        blank=True,
        db_comment=p0("text for those who do not see it"),
    )
    is_decorative = models.BooleanField(
        default=False, db_default=False, db_comment=p0("an image that needs no alt text")
    )
    uploaded_by = RestrictForeignKey(
        "identity.User",
        db_column="uploaded_by_user_id",
        related_name="media_assets",
        db_comment=by_staff("who uploaded it"),
    )
    created_at = created_at()

    retention = BY_EDITORS

    class Meta:
        db_table = "media_assets"
        db_table_comment = "Uploaded files"
        verbose_name = _("media file")
        verbose_name_plural = _("media files")
        constraints = [
            rules.Unique("media_assets_object_key_unique", fields=["object_key"]),
            rules.object_key("media_assets", "object_key"),
            rules.matches(
                "media_assets_mime_type_is_known",
                "mime_type",
                rf"^({'|'.join(map(re.escape, MIME_TYPES))})$",
                _("This kind of file is not stored."),
            ),
            rules.Check(
                "media_assets_object_key_agrees",
                functools.reduce(operator.or_, map(_ends_as, MIME_TYPES)),
                _("The ending of the file's name does not agree with its MIME type."),
                field="object_key",
            ),
            rules.not_blank("media_assets", "title"),
            rules.Check(
                "media_assets_mime_agrees",
                Q(media_type="image", mime_type__startswith="image/")
                | Q(media_type="audio", mime_type__startswith="audio/")
                | Q(media_type="pdf", mime_type="application/pdf"),
                _("The MIME type does not agree with the kind of file."),
                field="mime_type",
            ),
            rules.Check(
                "media_assets_size_within_limit",
                Q(size_bytes__gt=0)
                & (
                    Q(media_type="image", size_bytes__lte=10 * MIB)
                    | Q(media_type="audio", size_bytes__lte=50 * MIB)
                    | Q(media_type="pdf", size_bytes__lte=20 * MIB)
                ),
                _("At most 10 MiB for an image, 50 MiB for audio, 20 MiB for a PDF."),
                field="size_bytes",
            ),
            rules.Check(
                "media_assets_image_is_described",
                ~Q(media_type="image")
                | Q(is_decorative=True)
                | Q(rules.holds("is_visible", "alt_text"), alt_text__isnull=False),
                _("An image has an alt text or is marked as decorative."),
                field="alt_text",
            ),
            rules.finite("media_assets", "created_at"),
        ]
        triggers = [
            *auditing.audited(
                "media_assets",
                inserted=("media_created", FILE),
                changed=("media_replaced", FILE),
                deleted="media_deleted",
            ),
        ]
        indexes = [
            rules.Index("media_assets_by_uploader", "uploaded_by", serves="the delete check"),
            rules.Index("media_assets_newest", "-created_at", serves="admin: newest files first"),
        ]

    def __str__(self) -> str:
        return self.title or self.object_key
