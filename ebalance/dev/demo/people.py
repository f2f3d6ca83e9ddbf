"""The people of the demo data: clients, an assistant, and somebody without an account.

All names, addresses and telephones are invented. Two pairs have the same name.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from crm.models import Lead, LeadIdentity, LeadNote
from crm.services import merge_leads, record_event
from ebalance.actor import acting_as
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.consents import grant_consent, withdraw_consent
from ebalance.privacy.erasure import erase_user
from identity.models import User
from identity.services import block_user

from .world import Person, World

POLICY = "2026-01-07"  # version of the legal texts
MOSCOW = "Europe/Moscow"

# key: name, e-mail, last digits of the telephone, days since the account, origin, topic
CAST: dict[str, tuple[str, str | None, int | None, int, str, str]] = {
    "anna": ("Анна Соколова", "anna.sokolova", 1, 88, "referral", "anxiety"),
    "maria": ("Мария Кузнецова", "m.kuznetsova", 2, 87, "seo", "burnout"),
    "dmitry": ("Дмитрий Орлов", "d.orlov", 3, 66, "seo", "anxiety"),
    "elena": ("Елена Васильева", "elena.vasilyeva", 4, 66, "telegram", "selfesteem"),
    "igor": ("Игорь Тимофеев", "i.timofeev", 5, 65, "referral", "burnout"),
    "olga": ("Ольга Морозова", "olga.morozova", 6, 48, "seo", "relationships"),
    "natalia": ("Наталья Белова", "n.belova", 7, 46, "direct", "boundaries"),
    "sergey": ("Сергей Павлов", "s.pavlov", 8, 45, "ads", "burnout"),
    "anna2": ("Анна Соколова", "sokolova.anna.v", 9, 45, "telegram", "boundaries"),
    "tatiana": ("Татьяна Лебедева", "t.lebedeva", 10, 44, "direct", "relationships"),
    "alexey": ("Алексей Новиков", "a.novikov", 11, 41, "seo", "anxiety"),
    "dmitry2": ("Дмитрий Орлов", None, 12, 25, "referral", "relationships"),
    "ksenia": ("Ксения Громова", "k.gromova", 13, 24, "seo", "anxiety"),
    "pavel": ("Павел Зайцев", "p.zaytsev", 14, 22, "telegram", "burnout"),
    "veronika": ("Вероника Сафонова", "v.safonova", 15, 19, "ads", "selfesteem"),
    "roman": ("Роман Киселёв", "r.kiselev", 16, 17, "seo", "anxiety"),
    "yulia": ("Юлия Фомина", "y.fomina", 17, 26, "referral", "relationships"),
    "mikhail": ("Михаил Ершов", None, None, 12, "telegram", "burnout"),
    "svetlana": ("Светлана Гусева", "s.guseva", 19, 38, "ads", "selfesteem"),
    "viktor": ("Виктор Данилов", "v.danilov", 20, 67, "direct", "relationships"),
    "kirill": ("Кирилл Абрамов", "k.abramov", 21, 11, "ads", "burnout"),
    "alina": ("Алина Щербакова", "a.shcherbakova", 22, 1, "seo", "anxiety"),
    "evgenia": ("Евгения Крылова", "e.krylova", 23, 9, "telegram", "boundaries"),
    "artem": ("Артём Лаптев", "a.laptev", 24, 14, "direct", "burnout"),
    "nikita": ("Никита Воронцов", "n.vorontsov", 27, 2, "telegram", "anxiety"),
    "polina": ("Полина Рожкова", "p.rozhkova", 25, 7, "seo", "selfesteem"),
}
ZONES = {"igor": "Asia/Vladivostok"}
TELEGRAM = {"mikhail": ("5200000018", "ershov_m"), "elena": ("5200000004", "elena_vas")}
WITHOUT_ACCOUNT = ("Лидия Мельникова", "l.melnikova", 26, "referral", "relationships")

NOTES = {
    "anna": "Удобнее по понедельникам и утром. Просила присылать ссылку за час до встречи.",
    "igor": "Живёт во Владивостоке: у него вечер, когда у нас утро.",
    "veronika": "Не пришла на знакомство. Написала, что перепутала день, просит предложить другой.",
    "pavel": "После знакомства взял паузу до конца месяца. Написать ему в начале следующего.",
}


def plan(world: World) -> None:
    """The accounts and what happens to them. Sessions are planned elsewhere."""
    world.at(world.day(-90, 9), partial(add_assistant, world))
    for key, (name, email, phone, days, origin, topic) in CAST.items():
        telegram = TELEGRAM.get(key, (None, None))
        person = Person(
            name=name,
            email=email and f"{email}@example.com",
            phone=f"+790000000{phone:02}" if phone else None,
            zone=ZONES.get(key, MOSCOW),
            browser=world.browser(),
            entry_point=origin,
            topic=topic,
            telegram_id=telegram[0],
            telegram_name=telegram[1],
        )
        world.people[key] = person
        hour, minute = 10 + world.random.randrange(9), world.random.randrange(60)
        if days == 1:  # the person of newcomers.book_now
            world.at(world.ago(minutes=30), partial(add_account, world, person), recent=True)
        else:
            world.at(world.day(-days, hour, minute), partial(add_account, world, person))
    name, email, phone, origin, topic = WITHOUT_ACCOUNT
    world.people["lidia"] = Person(
        name=name,
        email=f"{email}@example.com",
        phone=f"+790000000{phone}",
        zone=MOSCOW,
        browser=world.browser(),
        entry_point=origin,
        topic=topic,
    )
    for days, key in zip((21, 18, 8, 3), NOTES, strict=True):
        world.at(world.day(-days, 20, 15), partial(add_note, world, key))
    world.at(world.day(-6, 12), partial(block, world, "svetlana"))
    world.at(world.day(-10, 15, 30), partial(erase, world, "viktor"))
    world.at(world.day(-5, 21), partial(withdraw_mailing, world, "sergey"))
    world.at(world.day(-7, 8, 5), partial(visit_from_phone, world))
    world.at(world.day(-4, 19), partial(merge, world))
    world.at(world.day(-2, 18), partial(set_lead_status, world, "pavel", "follow_up_needed"))
    world.at(world.day(-6, 12, 5), partial(set_lead_status, world, "svetlana", "inactive"))
    world.at(world.day(-1, 12, 20), partial(add_caller, world))
    world.at(world.day(-3, 13), partial(ask_for_export, world, "olga"))


def add_assistant(world: World) -> None:
    with acting_as(world.owner):
        assistant = User.objects.create_user(
            email="assistant@example.com", display_name="Ирина Осипова", timezone=MOSCOW
        )
        assistant.user_roles.create(role_id="assistant")
    world.stamp(assistant)
    world.moderator = assistant


def add_account(world: World, person: Person) -> None:
    user = User.objects.create_user(
        email=person.email,
        phone=person.phone,
        telegram_user_id=person.telegram_id,
        telegram_username=person.telegram_name,
        display_name=person.name,
        timezone=person.zone,
    )
    user.user_roles.create(role_id="client")
    person.user = world.stamp(user)
    source = "web" if person.email or person.phone else "telegram"
    mailing = ["communications"] if person.entry_point in ("seo", "ads") else []
    for consent in ("personal_data", *mailing):
        grant_consent(
            consent_type=consent,
            version=POLICY,
            source=source,
            user=user,
            actor=user,
            clock=world.clock,
        )


def lead_of(person: Person) -> Lead:
    return Lead.objects.filter(identities__user=person.account).order_by("pk")[0]


def add_note(world: World, key: str) -> None:
    lead = lead_of(world.people[key])
    with acting_as(world.owner):
        sealed: dict[str, Any] = {"note_encrypted": Plaintext(NOTES[key])}
        note = LeadNote.objects.create(lead=lead, author=world.owner, **sealed)
    world.stamp(note)


def add_caller(world: World) -> None:
    """A woman has called, and the psychologist keeps her telephone number."""
    with acting_as(world.owner):
        lead = Lead.objects.create(source="question", topic_id="relationships")
        sealed: dict[str, Any] = {"phone_encrypted": Plaintext("+79000000043")}
        identity = LeadIdentity.objects.create(lead=lead, is_primary=True, **sealed)
        sealed = {"note_encrypted": Plaintext("Звонила, спрашивала о консультации для пары.")}
        note = LeadNote.objects.create(lead=lead, author=world.owner, **sealed)
    for row in (lead, identity, note):
        world.stamp(row)


def set_lead_status(world: World, key: str, status: str) -> None:
    with acting_as(world.owner):
        lead = lead_of(world.people[key])
        lead.status = status
        lead.save(update_fields=["status"])


def block(world: World, key: str) -> None:
    block_user(world.people[key].account.pk, actor=world.owner)


def erase(world: World, key: str) -> None:
    person = world.people[key]
    erase_user(
        person.account.pk,
        method="admin",
        requested_at=world.time,
        actor=world.owner,
        clock=world.clock,
    )


def withdraw_mailing(world: World, key: str) -> None:
    user = world.people[key].account
    withdraw_consent(consent_type="communications", user=user, actor=user, clock=world.clock)


def visit_from_phone(world: World) -> None:
    """Polina looked at the booking page on her telephone first, which made a lead of its own."""
    record_event(
        "booking_start",
        source="web",
        anonymous_id="web-9d0c64ab71f2e835",
        properties={"entry_point": "seo", "page_path": "/booking", "topic": "selfesteem"},
        clock=world.clock,
    )


def merge(world: World) -> None:
    phone = Lead.objects.get(identities__anonymous_id="web-9d0c64ab71f2e835")
    merge_leads(phone, into=lead_of(world.people["polina"]), actor=world.owner)


def ask_for_export(world: World, key: str) -> None:
    world.stamp(world.people[key].account.data_export_requests.create(export_type="user_data"))
