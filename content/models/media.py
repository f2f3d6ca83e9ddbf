"""Uploaded files."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import auditing, rules
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.schema.classification import by_staff, p0
from ebalance.db.schema.retention import BY_EDITORS

MIB = 1024 * 1024
# A segment of a path. It lists the invisible characters, because \s depends on the server's locale.
SEGMENT = r"[^/\\\s\x01-\x20\x7F-\xA0\u1680\u2000-\u200F\u2028-\u202F\u205F\u3000\uFEFF]+"


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
    object_key = SingleLineTextField(db_comment=p0("relative path in the storage"))
    public_url = SingleLineTextField(db_comment=p0("address under which it is served"))
    media_type = ClosedSet(MediaType, db_comment=p0("kind of file"))
    mime_type = SingleLineTextField(db_comment=p0("MIME type, agrees with media_type"))
    size_bytes = models.BigIntegerField(db_comment=p0("size, bytes"))
    title = SingleLineTextField(null=True, blank=True, db_comment=p0("title for editors"))
    alt_text = SingleLineTextField(
        null=True, blank=True, db_comment=p0("text for those who do not see it")
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
            rules.Check(
                "media_assets_object_key_is_relative",
                Q(object_key__regex=rf"^{SEGMENT}(/{SEGMENT})*$")
                & ~Q(object_key__regex=r"(^|/)\.\.?(/|$)"),
                _("A relative path without “..” and without a leading slash."),
                field="object_key",
            ),
            rules.not_blank("media_assets", "public_url"),
            rules.not_blank("media_assets", "title"),
            rules.Check(
                "media_assets_mime_agrees",
                Q(media_type="image", mime_type__regex=r"^image/[a-z0-9.+-]+$")
                | Q(media_type="audio", mime_type__regex=r"^audio/[a-z0-9.+-]+$")
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
