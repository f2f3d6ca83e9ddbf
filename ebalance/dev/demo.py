"""Demo data, so that no page of admin is empty in development."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db import transaction
from django.utils import timezone

from ebalance.db.encryption.fields import Plaintext

ZONE = ZoneInfo("Europe/Moscow")
INTAKE = {
    "version": 1,
    "request": "Трудно засыпать, много тревожных мыслей.",
    "previous_therapy": {"had": False},
    "medication": {"takes": False},
    "safety": {"self_harm_thoughts": "none"},
    "adult_confirmed": True,
}

ARTICLES = [
    ("anxiety", "kak-perezhit-trevozhnyj-vecher", "Как пережить тревожный вечер", "1_3_min"),
    ("burnout", "pervye-priznaki-vygoraniya", "Первые признаки выгорания", "7_10_min"),
    ("relationships", "kak-govorit-o-svoih-chuvstvah", "Как говорить о своих чувствах", "7_10_min"),
    ("boundaries", "uchimsya-govorit-net", "Учимся говорить «нет»", "20_30_min"),
    ("selfesteem", "opora-na-sebya", "Опора на себя", "series"),
]
# Parts of a text that is ready for publication, see content/checklist.py.
DISCLAIMER = "Важно: этот материал не заменяет консультацию специалиста."
CALL_TO_ACTION = "[Записаться на консультацию](/booking)"

QUIZ = {
    "intro": "Тест займёт минуту. Ответы не сохраняются.",
    "questions": [
        {
            "id": "tired",
            "text": "Как часто вы чувствуете усталость с утра?",
            "options": [
                {"id": "never", "text": "Никогда", "score": 0},
                {"id": "sometimes", "text": "Иногда", "score": 1},
                {"id": "often", "text": "Часто", "score": 2},
            ],
        },
        {
            "id": "joy",
            "text": "Радует ли вас то, что радовало раньше?",
            "options": [
                {"id": "yes", "text": "Да", "score": 0},
                {"id": "less", "text": "Меньше", "score": 1},
                {"id": "no", "text": "Почти нет", "score": 2},
            ],
        },
    ],
    "thresholds": [
        {"level": "low", "min": 0, "max": 1, "text": "Похоже, силы у вас есть."},
        {"level": "moderate", "min": 2, "max": 3, "text": "Возможно, пора отдохнуть."},
        {"level": "high", "min": 4, "max": 4, "text": "Вам сейчас, кажется, непросто."},
    ],
}
TERMS = [
    ("kpt", "Когнитивно-поведенческая терапия", "approach", "КПТ"),
    ("vygoranie", "Выгорание", "state", "Эмоциональное истощение"),
    ("lichnye-granicy", "Личные границы", "concept", "Границы"),
]


def active_owner() -> Any | None:
    """An active user with the role owner, if there is one."""
    roles = _model("identity.UserRole").objects.select_related("user")
    first = roles.filter(role_id="owner", user__status="active").order_by("granted_at").first()
    return first.user if first else None


@transaction.atomic
def load_demo() -> str:
    """Add demo data unless there is content already; return what was added ("" for nothing).

    Needs the seeds and an active owner, who becomes the author.
    """
    if _model("content.ContentItem").objects.exists():
        return ""
    owner = active_owner()
    client = _model("identity.User").objects.create_user(
        email="client@example.com", display_name="Анна (пример)", timezone="Europe/Moscow"
    )
    client.user_roles.create(role_id="client")
    _model("identity.Consent").objects.create(
        user=client, consent_type="personal_data", version="2026-01-07", source="web"
    )
    client.data_export_requests.create(export_type="user_data")
    _add_content(owner)
    _add_interactive(owner)
    lead = _add_lead(owner, client)
    _add_booking(client, lead)
    _add_ugc(owner, client)
    _add_administration(owner)
    return "articles, a glossary, a quiz, a service with slots, two appointments, a lead, questions"


def _model(name: str) -> Any:
    return apps.get_model(name)


def _add_content(owner: Any) -> None:
    tag = _model("content.Tag").objects.create(slug="samopomoshch", title="Самопомощь")
    cover = _model("content.MediaAsset").objects.create(
        object_key="demo/cover.webp",
        public_url="/media/demo/cover.webp",
        media_type="image",
        mime_type="image/webp",
        size_bytes=48_000,
        alt_text="Рассвет над озером",
        uploaded_by=owner,
    )
    items = []
    for number, (topic, slug, title, benefit) in enumerate(ARTICLES):
        item = _model("content.ContentItem").objects.create(
            content_type="article",
            slug=slug,
            title=title,
            excerpt=f"{title}: коротко о главном.",
            body_markdown=_article(title, slug),
            status="review" if number == len(ARTICLES) - 1 else "published",
            published_at=timezone.now() - timedelta(days=number),
            author=owner,
            time_to_benefit=benefit,
            format="article",
            support_level="self_help",
        )
        _model("content.ContentItemTopic").objects.create(content_item=item, topic_id=topic)
        _model("content.ContentItemTag").objects.create(content_item=item, tag=tag)
        _model("content.ContentRevision").objects.create(
            content_item=item,
            revision=1,
            title=title,
            body_markdown=item.body_markdown,
            changed_by=owner,
        )
        items.append(item)
    _model("content.ContentMedia").objects.create(
        content_item=items[0], media_asset=cover, usage="cover"
    )
    collection = _model("content.CuratedCollection").objects.create(
        slug="esli-trevozhno",
        title="Если тревожно",
        collection_type="problem",
        topic_id="anxiety",
        status="published",
        published_at=timezone.now(),
    )
    for position, item in enumerate(items[:3]):
        _model("content.CuratedItem").objects.create(
            collection=collection, item_type="content", content_item=item, position=position
        )
    for slug, title, category, synonym in TERMS:
        term = _model("content.GlossaryTerm").objects.create(
            slug=slug,
            title=title,
            category=category,
            short_definition=f"{title} — пример определения.",
            body_markdown=f"# {title}\n",
            status="published",
            published_at=timezone.now(),
        )
        _model("content.GlossaryTermSynonym").objects.create(term=term, synonym=synonym)
        _model("content.GlossaryTermLink").objects.create(
            term=term, content_item=items[0], link_type="recommended"
        )


def _article(title: str, slug: str) -> str:
    others = [f"- [{name}](/articles/{page})" for _topic, page, name, _benefit in ARTICLES]
    linked = "\n".join(line for line in others if f"/{slug})" not in line)
    return (
        f"# {title}\n\nЭто пример текста для разработки.\n\n## Читайте также\n\n{linked}\n\n"
        f"{CALL_TO_ACTION}\n\n> {DISCLAIMER}\n"
    )


def _add_interactive(owner: Any) -> None:
    quiz = _model("interactive.InteractiveDefinition").objects.create(
        interactive_type="quiz",
        slug="test-na-vygoranie",
        title="Тест на выгорание",
        topic_id="burnout",
    )
    quiz.versions.create(
        version=1,
        config=QUIZ,
        created_by=owner,
    )
    quiz.status, quiz.published_at, quiz.published_version = "published", timezone.now(), 1
    quiz.save()
    quiz.runs.create(definition_version=1, anonymous_id="demo-visitor-0001", entry_point="seo")


def _add_lead(owner: Any, client: Any) -> Any:
    lead = _model("crm.Lead").objects.create(
        source="quiz", topic_id="burnout", utm={"utm_source": "search", "utm_medium": "organic"}
    )
    lead.identities.create(user=client, anonymous_id="demo-visitor-0001", is_primary=True)
    lead.notes.create(author=owner, note_encrypted=Plaintext("Просила перезвонить после шести."))
    lead.timeline.create(
        event_id=uuid4(),
        tracking_event_id="booking_start",
        source="web",
        properties={"entry_point": "seo", "page_path": "/services", "topic": "burnout"},
    )
    _model("crm.AnalyticsEvent").objects.create(
        schema_version="1.0",
        tracking_event_id="page_view",
        event_version=1,
        event_id=uuid4(),
        occurred_at=timezone.now(),
        source="web",
        environment="dev",
        anonymous_id="demo-visitor-0001",
        page={"page_path": "/articles"},
        properties={"page_path": "/articles"},
    )
    _model("crm.DeepLink").objects.create(
        deep_link_id="demoPlan0001", flow="plan_7d", topic_id="anxiety", lead=lead
    )
    return lead


def _add_booking(client: Any, lead: Any) -> None:
    service = _model("booking.Service").objects.create(
        slug="individualnaya-konsultaciya",
        title="Индивидуальная консультация",
        description_markdown="Встреча с психологом, 50 минут, онлайн.",
        format="online",
        duration_minutes=50,
        price_amount=5000,
        deposit_amount=1000,
        cancel_free_hours=24,
        cancel_partial_hours=6,
        reschedule_min_hours=12,
        reschedule_max_count=2,
        status="published",
    )
    today = timezone.localdate(timezone=ZONE)
    for weekday in (1, 3, 5):
        service.schedule_rules.create(
            weekday=weekday,
            start_local=time(10),
            end_local=time(14),
            timezone=ZONE.key,
            recurrence="weekly",
            valid_from=today,
            buffer_minutes=10,
        )
    slots = []
    for day in range(1, 6):
        for hour in (10, 11, 12):
            start = datetime.combine(today + timedelta(days=day), time(hour), ZONE)
            slots.append(
                service.slots.create(
                    start_at_utc=start, end_at_utc=start + timedelta(minutes=50), buffer_minutes=10
                )
            )
    hold = _appointment(service, slots[0], client=client)
    hold.payments.create(idempotency_key="demo-payment-1", purpose="deposit", amount=1000)
    agreed = _appointment(service, slots[4], client=client, lead=lead)
    payment = agreed.payments.create(idempotency_key="demo-payment-2", purpose="full", amount=5000)
    payment.provider_payment_id = "demo-0001"
    payment.status, payment.confirmed_at = "succeeded", timezone.now()
    payment.save()
    agreed.status, agreed.hold_expires_at = "paid", None
    agreed.save()
    agreed.status, agreed.confirmed_at = "confirmed", timezone.now()
    agreed.save()
    _model("booking.PaymentWebhookEvent").objects.create(
        provider="yookassa",
        provider_event_id="payment.succeeded:demo-0001",
        event_type="payment.succeeded",
        provider_payment_id="demo-0001",
        processed_at=timezone.now(),
        attempts=1,
    )
    _model("audit.OutboxEvent").objects.create(
        event_type="appointment_confirmed",
        aggregate_type="appointment",
        aggregate_id=agreed.pk,
        payload={"appointment_id": str(agreed.pk)},
    )
    _model("booking.IntakeForm").objects.create(
        appointment=agreed,
        status="submitted",
        submitted_at=timezone.now(),
        payload_encrypted=Plaintext(INTAKE),
    )
    service.waitlist_requests.create(
        lead=lead,
        preferred_contact="email",
        contact_value_encrypted=Plaintext("waiting@example.com"),
        preferred_time_window="weekday_evening",
    )


def _appointment(service: Any, slot: Any, **people: Any) -> Any:
    slot.status = "reserved"
    slot.save()
    return service.appointments.create(
        **people,
        slot=slot,
        start_at_utc=slot.start_at_utc,
        end_at_utc=slot.end_at_utc,
        buffer_minutes=slot.buffer_minutes,
        timezone=ZONE.key,
        format="online",
        hold_expires_at=timezone.now() + timedelta(minutes=15),
        price_amount=service.price_amount,
        deposit_amount=service.deposit_amount,
    )


def _add_ugc(owner: Any, client: Any) -> None:
    questions = _model("ugc.AnonymousQuestion").objects
    questions.create(
        question_text_encrypted=Plaintext("Как перестать тревожиться по ночам?"),
        safety_confirmed=True,
    )
    answered = questions.create(
        question_text_encrypted=Plaintext("Нормально ли уставать от людей?"), publish_allowed=True
    )
    answered.status, answered.moderated_at = "approved", timezone.now()
    answered.save()
    answered.answers.create(
        answered_by=owner,
        answer_text_encrypted=Plaintext("Да. Усталость говорит о том, что пора отдохнуть."),
    )
    answered.status, answered.answered_at = "answered", timezone.now()
    answered.save()
    flagged = questions.create(
        question_text_encrypted=Plaintext("Мой номер есть в профиле, позвоните мне."),
        channel="telegram",
        status="flagged",
        trigger_flags=["pii"],
    )
    _model("ugc.ModerationAction").objects.create(
        ugc_type="anonymous_question", ugc_id=flagged.pk, moderator=owner, action="flag"
    )
    review = _model("ugc.Review").objects.create(
        user=client,
        status="pending",
        review_text_encrypted=Plaintext("Спасибо, мне стало спокойнее."),
        anonymity_level="initials",
        submitted_at=timezone.now(),
    )
    review.publication_consents.create(user=client, granted=True, version="2026-01-07")
    _model("ugc.DiaryEntry").objects.create(
        user=client,
        diary_type="gratitude",
        entry_date=timezone.localdate(timezone=ZONE),
        payload_encrypted=Plaintext({"version": 1, "items": [{"text": "Тихое утро"}]}),
    )


def _add_administration(owner: Any) -> None:
    template = _model("audit.MessageTemplate").objects.create(
        channel="email", category="booking", name="Подтверждение записи"
    )
    template.versions.create(
        version=1,
        subject="Вы записаны на консультацию",
        body_markdown="Здравствуйте! Ждём вас в назначенное время.",
        updated_by=owner,
    )
    template.status, template.active_version = "active", 1
    template.save()
    _model("audit.AuditLogEntry").objects.create(
        actor=owner,
        actor_role="owner",
        action="setting_changed",
        entity_type="system_setting",
        entity_key="hold_minutes",
        new_value={"value": 15},
    )
    _model("audit.SystemSetting").objects.create(key="hold_minutes", value=15, updated_by=owner)
