from django.contrib import admin, messages
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.admin.publishing import PublishingAdmin

from .models import (
    ContentItem,
    ContentItemTag,
    ContentItemTopic,
    ContentMedia,
    ContentRevision,
    CuratedCollection,
    CuratedItem,
    GlossaryTerm,
    GlossaryTermLink,
    GlossaryTermSynonym,
    MediaAsset,
    Tag,
    Topic,
)
from .services import return_to_draft, rollback, save_revision, submit_for_review
from .services.revisions import REVISED


class ContentItemTopicInline(TabularInline):
    model = ContentItemTopic


class ContentItemTagInline(TabularInline):
    model = ContentItemTag


class ContentMediaInline(TabularInline):
    model = ContentMedia


class ContentRevisionInline(ReadOnly, TabularInline):
    model = ContentRevision
    show_title = True
    fields = ("revision", "title", "changed_by", "created_at")
    ordering = ("-revision",)


class GlossaryTermLinkInline(TabularInline):
    model = GlossaryTermLink


class CuratedItemInline(TabularInline):
    model = CuratedItem
    ordering = ("position",)
    tab = False


class GlossaryTermSynonymInline(TabularInline):
    model = GlossaryTermSynonym


@admin.register(Topic)
class TopicAdmin(ModelAdmin):
    list_display = ("code", "title", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code", "title")
    ordering = ("pk",)


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    list_display = ("slug", "title")
    search_fields = ("slug", "title")


@admin.register(MediaAsset)
class MediaAssetAdmin(ModelAdmin):
    list_display = ("object_key", "media_type", "title", "size_bytes", "uploaded_by", "created_at")
    list_filter = ("media_type", "is_decorative", "created_at")
    search_fields = ("object_key", "title", "alt_text")
    actor_fields = ("uploaded_by",)


@admin.register(ContentItem)
class ContentItemAdmin(PublishingAdmin):
    list_display = ("title", "content_type", "slug", "status", "author", "published_at")
    list_filter = ("status", "content_type", "topics", "support_level", "published_at")
    search_fields = ("title", "slug", "excerpt")
    actor_fields = ("author",)
    inlines = (
        ContentItemTopicInline,
        ContentItemTagInline,
        ContentMediaInline,
        GlossaryTermLinkInline,
        ContentRevisionInline,
    )
    sections = {
        _("Benefit"): ("time_to_benefit", "format", "support_level"),
        _("Search engines"): ("seo_title", "seo_description", "seo_keywords", "canonical_url"),
    }
    actions_submit_line = (
        *PublishingAdmin.actions_submit_line,
        "submit_for_review",
        "return_to_draft",
    )
    buttons = {
        **PublishingAdmin.buttons,
        "draft": ("submit_for_review", "publish"),
        "review": ("return_to_draft", "publish"),
    }

    def save_model(self, request, obj, form, change):
        """Save only what the editor changed: a colleague may have saved the rest meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
            save_revision(obj, actor=request.user)
            return
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        text = {name: value for name, value in changed.items() if name in REVISED}
        if address := changed.keys() - text.keys():
            obj.save(update_fields=address)
        if text:
            save_revision(obj, actor=request.user, **text)

    @action(description=_("Submit for review"), permissions=["change"])
    def submit_for_review(self, request, form):
        submit_for_review(form.instance, actor=request.user)
        self.message_user(request, _("This waits for review now."))

    @action(description=_("Return to draft"), permissions=["change"])
    def return_to_draft(self, request, form):
        return_to_draft(form.instance, actor=request.user)
        self.message_user(request, _("This is a draft again."))


@admin.register(ContentRevision)
class ContentRevisionAdmin(ReadOnly, ModelAdmin):
    list_display = ("content_item", "revision", "title", "changed_by", "created_at")
    list_filter = ("created_at",)
    search_fields = ("title", "content_item__slug")
    actions = ("roll_back",)

    def has_roll_back_permission(self, request):
        return request.user.has_perm("content.change_contentitem")

    @admin.action(description=_("Bring this text back"), permissions=["roll_back"])
    def roll_back(self, request, queryset):
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, _("Choose one revision."), messages.ERROR)
            return
        (revision,) = chosen
        rollback(revision.content_item, revision=revision, actor=request.user)
        self.message_user(request, _("The item has this text again, as its newest revision."))


@admin.register(ContentItemTopic)
class ContentItemTopicAdmin(ModelAdmin):
    list_display = ("content_item", "topic")
    list_filter = ("topic",)
    search_fields = ("content_item__title", "topic__title")


@admin.register(ContentItemTag)
class ContentItemTagAdmin(ModelAdmin):
    list_display = ("content_item", "tag")
    search_fields = ("content_item__title", "tag__title")


@admin.register(ContentMedia)
class ContentMediaAdmin(ModelAdmin):
    list_display = ("content_item", "media_asset", "usage")
    list_filter = ("usage",)
    search_fields = ("content_item__title", "media_asset__object_key")


@admin.register(CuratedCollection)
class CuratedCollectionAdmin(PublishingAdmin):
    list_display = ("title", "slug", "collection_type", "topic", "status", "published_at")
    list_filter = ("status", "collection_type", "topic")
    search_fields = ("title", "slug")
    inlines = (CuratedItemInline,)


@admin.register(CuratedItem)
class CuratedItemAdmin(ModelAdmin):
    list_display = ("collection", "position", "item_type", "content_item", "interactive_definition")
    list_filter = ("item_type",)
    search_fields = ("collection__title", "content_item__title", "interactive_definition__title")


@admin.register(GlossaryTerm)
class GlossaryTermAdmin(PublishingAdmin):
    list_display = ("title", "slug", "category", "status", "published_at")
    list_filter = ("status", "category")
    search_fields = ("title", "slug", "synonyms__synonym")
    inlines = (GlossaryTermSynonymInline, GlossaryTermLinkInline)
    sections = {_("Search engines"): ("meta_description", "keywords")}


@admin.register(GlossaryTermSynonym)
class GlossaryTermSynonymAdmin(ModelAdmin):
    list_display = ("synonym", "term")
    search_fields = ("synonym", "term__title")


@admin.register(GlossaryTermLink)
class GlossaryTermLinkAdmin(ModelAdmin):
    list_display = ("term", "content_item", "link_type")
    list_filter = ("link_type",)
    search_fields = ("term__title", "content_item__title")
