"""A contact and its blind index are written together; a rotation loses no contact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.test import override_settings

from booking.models import WaitlistRequest
from crm.models import LeadIdentity
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import BlindToken, Plaintext, UnsealedValue
from tests.factories import LeadFactory, ServiceFactory, WaitlistRequestFactory
from tests.sealed.support import (
    EMAIL,
    PHONE,
    identity,
    record_sql,
    reload,
    rotate_ring,
    texts,
)

pytestmark = pytest.mark.django_db

NEW = "petr@example.com"


def updated_or_created(row: Any, value: Any) -> None:
    LeadIdentity.objects.update_or_create(pk=row.pk, defaults={"email_encrypted": value})


def assigned(row: Any, value: Any) -> Any:
    row.email_encrypted = value
    return row


def upserted(row: Any, value: Any) -> None:
    LeadIdentity.objects.bulk_create(
        [assigned(row, value)],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["email_encrypted"],
    )


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "save": lambda r, v: assigned(r, v).save(),
    "save of it": lambda r, v: assigned(r, v).save(update_fields=["email_encrypted"]),
    "save of its index": lambda r, v: assigned(r, v).save(update_fields=["email_bidx"]),
    "save_base": lambda r, v: assigned(r, v).save_base(update_fields=["email_encrypted"]),
    "deferred": lambda r, v: assigned(LeadIdentity.objects.only("lead").get(pk=r.pk), v).save(),
    "update_or_create": updated_or_created,
    "related": lambda r, v: r.lead.identities.update_or_create(
        pk=r.pk, defaults={"email_encrypted": v}
    ),
    "bulk_update": lambda r, v: LeadIdentity.objects.bulk_update(
        [assigned(r, v)], ["email_encrypted"]
    ),
    "bulk_update of its index": lambda r, v: LeadIdentity.objects.bulk_update(
        [assigned(r, v)], ["email_bidx"]
    ),
    "upsert": upserted,
}


@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_a_contact_writes_its_index(write: str) -> None:
    row = reload(identity())
    WRITES[write](row, Plaintext(" Petr@Example.com"))
    stored = reload(row)
    assert stored.email_encrypted.open() == " Petr@Example.com"
    assert stored.email_bidx == BlindToken.of("email", NEW)
    assert stored.phone_bidx == BlindToken.of("phone", PHONE)
    WRITES[write](stored, None)
    assert texts(row)["email_encrypted"] is texts(row)["email_bidx"] is None
    assert texts(row)["phone_bidx"] == stored.phone_bidx.text


CREATES: dict[str, Callable[..., Any]] = {
    "create": lambda **given: LeadIdentity.objects.create(**given),
    "get_or_create": lambda **given: LeadIdentity.objects.get_or_create(
        id=LeadIdentity().pk, defaults=given
    )[0],
    "update_or_create": lambda **given: LeadIdentity.objects.update_or_create(
        id=LeadIdentity().pk, create_defaults=given
    )[0],
    "bulk_create": lambda **given: LeadIdentity.objects.bulk_create([LeadIdentity(**given)])[0],
    "related": lambda lead, **given: lead.identities.create(**given),
}


@pytest.mark.parametrize("create", CREATES)
def test_a_new_contact_has_its_index(create: str) -> None:
    row = CREATES[create](lead=LeadFactory(), email_encrypted=Plaintext(EMAIL.upper()))
    stored = texts(row)
    assert stored["email_bidx"] == BlindToken.of("email", EMAIL).text
    assert stored["phone_encrypted"] is stored["phone_bidx"] is None


def test_update_clears_a_contact_with_its_index_and_writes_none() -> None:
    row = identity()
    LeadIdentity.objects.update(email_encrypted=None)
    assert texts(row)["email_encrypted"] is texts(row)["email_bidx"] is None
    assert texts(row)["phone_bidx"]
    request = WaitlistRequestFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        WaitlistRequest.objects.update(contact_value_encrypted=None)
    assert reload(request).contact_value_encrypted.open()


def by_hand(row: Any, value: Any) -> models.Case:
    """The expression that bulk_update() writes, for one column."""
    return models.Case(models.When(pk=row.pk, then=models.Value(value)))


REFUSED: dict[str, Callable[[Any], Any]] = {
    "index": lambda row: LeadIdentity.objects.update(email_bidx=BlindToken.of("email", NEW)),
    "contact": lambda row: LeadIdentity.objects.update(email_encrypted=row.email_encrypted),
    "plaintext": lambda row: LeadIdentity.objects.update(email_encrypted=Plaintext(NEW)),
    "contact, case by case": lambda row: LeadIdentity.objects.update(
        email_encrypted=by_hand(row, row.email_encrypted)
    ),
    "index, case by case": lambda row: LeadIdentity.objects.update(
        email_bidx=by_hand(row, BlindToken.of("email", NEW))
    ),
    "index of a row": lambda row: (
        setattr(row, "email_bidx", BlindToken.of("email", NEW)) or row.save()
    ),
    "index of another row": lambda row: (
        setattr(row, "email_bidx", identity(email_encrypted=NEW).email_bidx) or row.save()
    ),
    "contact of before, with the index of now": lambda row: older(row).save(),
    "upsert by another key": lambda row: LeadIdentity.objects.bulk_create(
        [LeadIdentity(lead=row.lead, email_encrypted=Plaintext(EMAIL), is_primary=True)],
        update_conflicts=True,
        unique_fields=["lead", "email_bidx"],
        update_fields=["email_encrypted"],
    ),
}


def older(row: Any) -> Any:
    before = row.email_encrypted
    row.email_encrypted = Plaintext(NEW)
    row.email_encrypted = before
    return row


@pytest.mark.parametrize("write", REFUSED)
def test_write_that_would_leave_a_stale_index_is_refused(write: str) -> None:
    row = reload(identity())
    before = texts(row)
    with record_sql() as log, pytest.raises(UnsealedValue):
        REFUSED[write](row)
    assert not [sql for sql in log.writes if sql.startswith("UPDATE")]
    assert texts(row) == before


def test_invalid_contact_changes_nothing() -> None:
    row = identity()
    before = dict(row.__dict__)
    for contact in ("", "petr", "petr@", PHONE, "a" * 5000, "\ud800@example.com"):
        with record_sql() as log, pytest.raises(ContactInvalid):
            row.email_encrypted = Plaintext(contact)
        assert row.__dict__ == before
        with record_sql() as more, pytest.raises(ContactInvalid):
            LeadIdentity(lead=row.lead, email_encrypted=Plaintext(contact))
        assert not log.statements
        assert not more.statements


def test_contact_is_text() -> None:
    for contact in (None, 5, b"petr@example.com", ["petr@example.com"], {}):
        with pytest.raises(UnsealedValue):
            LeadIdentity(email_encrypted=Plaintext(contact))


# -- the waitlist, whose rows name the kind of their contact -------------------------------------

DIGITS = "79991234567"  # a phone, and a Telegram id


def request(channel: Any = "phone", contact: str = DIGITS) -> WaitlistRequest:
    return WaitlistRequest(
        service=ServiceFactory(),
        preferred_contact=channel,
        contact_value_encrypted=Plaintext(contact),
    )


@pytest.mark.parametrize(
    ("channel", "contact"),
    [("email", EMAIL), ("phone", "8 (999) 123-45-67"), ("telegram", "https://t.me/Anna_P")],
)
def test_channel_decides_how_a_contact_is_read(channel: str, contact: str) -> None:
    row = request(channel, contact)
    row.save()
    assert reload(row).contact_value_bidx == BlindToken.of(channel, contact)


def test_contact_without_a_known_channel_is_refused() -> None:
    for channel in (None, "", "pigeon"):
        with pytest.raises(UnsealedValue, match="preferred_contact"):
            request(channel)


CHANNEL_WRITES: dict[str, Callable[[Any], Any]] = {
    "save": lambda row: row.save(),
    "save of it": lambda row: row.save(update_fields=["preferred_contact"]),
    "bulk_update": lambda row: WaitlistRequest.objects.bulk_update([row], ["preferred_contact"]),
    "upsert": lambda row: WaitlistRequest.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=["preferred_contact"],
    ),
}


@pytest.mark.parametrize("made", ["read", "made"])
@pytest.mark.parametrize("write", CHANNEL_WRITES)
def test_new_channel_indexes_the_contact_again(write: str, made: str) -> None:
    row: Any = request()
    row.save()
    if made == "read":
        row = reload(row)
    row.preferred_contact = "telegram"
    CHANNEL_WRITES[write](row)
    stored = reload(row)
    assert stored.contact_value_encrypted.open() == DIGITS
    assert stored.contact_value_bidx == BlindToken.of("telegram", DIGITS)


def test_contact_that_does_not_fit_the_new_channel_is_refused() -> None:
    row: Any = request()
    row.save()
    row.preferred_contact = "email"
    with record_sql() as log, pytest.raises(ContactInvalid):
        row.save()
    assert not log.writes
    with record_sql() as log, pytest.raises(UnsealedValue):
        WaitlistRequest.objects.filter(pk=row.pk).update(preferred_contact="email")
    assert not log.writes
    assert reload(row).preferred_contact == "phone"


def test_defaults_may_have_any_order() -> None:
    row = request()
    row.save()
    WaitlistRequest.objects.update_or_create(
        pk=row.pk,
        defaults={
            "contact_value_encrypted": Plaintext("79990000000"),
            "preferred_contact": "telegram",
        },
    )
    assert reload(row).contact_value_bidx == BlindToken.of("telegram", "79990000000")


# -- rotation ------------------------------------------------------------------------------------


def test_blind_index_is_looked_up_under_every_key() -> None:
    old_ring = settings.BLIND_INDEX_KEYS
    before = identity()
    with override_settings(BLIND_INDEX_KEYS=rotate_ring(old_ring)):
        after = identity()
        token = BlindToken.of("email", EMAIL.title())
        assert [t.split(".")[1] for t in token.candidates] == ["k2", "k1"]
        assert texts(before)["email_bidx"] != texts(after)["email_bidx"]
        rows = LeadIdentity.objects.order_by("pk")
        assert list(rows.filter(email_bidx=token)) == [before, after]
        assert list(rows.filter(email_bidx__in=[token])) == [before, after]
        assert not rows.exclude(email_bidx=token).exists()
    # The old ring does not match rows under the new key.
    assert LeadIdentity.objects.get(email_bidx=BlindToken.of("email", EMAIL)) == before


def test_a_contact_stays_unique_across_keys_in_full_clean() -> None:
    row = identity()
    with override_settings(BLIND_INDEX_KEYS=rotate_ring(settings.BLIND_INDEX_KEYS)):
        same = LeadIdentity(lead=row.lead, email_encrypted=Plaintext(EMAIL))
        with pytest.raises(ValidationError, match="уже"):
            same.full_clean()
