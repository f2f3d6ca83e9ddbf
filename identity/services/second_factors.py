"""Second factors: set up, checked at login, removed for a lost phone."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.hashers import check_password, make_password
from django.utils import timezone
from django_otp.oath import TOTP

from ebalance.db.encryption.fields import Plaintext
from ebalance.services import (
    RowOrKey,
    lock_or_refuse,
    lock_rows,
    pk_of,
    storable_arguments,
    transactional,
)

from ..models import RecoveryCode, SecondFactor, User

SECRET_BYTES = 20  # RFC 4226 §4
LEEWAY = 1  # steps of 30 seconds that a clock may be wrong
RECOVERY_CODES = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without i, l, o, 0, 1: read off paper
HALF = 5  # letters of a recovery code on each side of its hyphen

DIGITS = re.compile(r"[0-9]{6}")
RECOVERY = re.compile(rf"[{LETTERS}]{{{2 * HALF}}}")

Clock = Callable[[], datetime]


@storable_arguments
def second_factor_of(user: RowOrKey[User]) -> SecondFactor | None:
    """The second factor in use."""
    return SecondFactor.objects.filter(user=pk_of(user), confirmed_at__isnull=False).first()


@transactional
def offer_second_factor(user: RowOrKey[User]) -> str:
    """Make a new secret, and return it in base32. The one in use stays until a code confirms it.

    A secret that was offered before is void: somebody may have seen it.
    """
    person = lock_or_refuse(User.objects.all(), user)
    SecondFactor.objects.filter(user=person, confirmed_at__isnull=True).delete()
    secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    SecondFactor.objects.create(user=person, secret_encrypted=Plaintext(secret))
    return secret


@storable_arguments
def offered_secret(user: RowOrKey[User]) -> str | None:
    """The secret in base32 that waits for its first code."""
    offered = SecondFactor.objects.filter(user=pk_of(user), confirmed_at__isnull=True).first()
    return offered.secret_encrypted.open() if offered else None


@transactional
def confirm_second_factor(
    user: RowOrKey[User], code: str, *, actor: User | None = None, clock: Clock = timezone.now
) -> list[str] | None:
    """Use the offered secret from now on, and return its recovery codes. None for a wrong code.

    The second factor that was in use is removed with its recovery codes. All sessions of the
    person end.
    """
    person = lock_or_refuse(User.objects.all(), user)
    offered = lock_rows(SecondFactor.objects.filter(user=person, confirmed_at__isnull=True))
    now = clock()
    step = _step_of(offered[0], code, now) if offered else None
    if step is None:
        return None
    SecondFactor.objects.filter(user=person, confirmed_at__isnull=False).delete()
    offered[0].last_step, offered[0].confirmed_at = step, now
    offered[0].save(update_fields=["last_step", "confirmed_at"])
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(second_factor=offered[0], code_hash=make_password(_letters(made)))
        for made in codes
    )
    return codes


@transactional
def use_code(
    user: RowOrKey[User], text: str, *, actor: User | None = None, clock: Clock = timezone.now
) -> bool:
    """Whether ``text`` is a code of the app, or a recovery code. It is good once."""
    factors = lock_rows(SecondFactor.objects.filter(user=pk_of(user), confirmed_at__isnull=False))
    if not factors:
        return False
    (factor,) = factors
    if (step := _step_of(factor, text, clock())) is not None:
        factor.last_step = step
        factor.save(update_fields=["last_step"])
        return True
    letters = _letters(text)
    if not RECOVERY.fullmatch(letters):
        return False
    for recovery in factor.recovery_codes.filter(used_at__isnull=True):
        if check_password(letters, recovery.code_hash):
            recovery.used_at = clock()
            recovery.save(update_fields=["used_at"])
            return True
    return False


@storable_arguments
def unused_recovery_codes(user: RowOrKey[User]) -> int:
    return RecoveryCode.objects.filter(
        second_factor__user=pk_of(user),
        second_factor__confirmed_at__isnull=False,
        used_at__isnull=True,
    ).count()


@transactional
def reset_second_factor(user: RowOrKey[User], *, actor: User | None = None) -> bool:
    """Remove the second factor and its recovery codes; the person sets up another at login.

    Ends all sessions of the person. Returns whether there was one in use. Raises NotFound.
    """
    person = lock_or_refuse(User.objects.all(), user)
    factors = lock_rows(SecondFactor.objects.filter(user=person))
    SecondFactor.objects.filter(pk__in=[factor.pk for factor in factors]).delete()
    return any(factor.confirmed_at for factor in factors)


def _step_of(factor: SecondFactor, text: str, now: datetime) -> int | None:
    """The step of the code, later than that of the last code; None for a wrong code."""
    digits = re.sub(r"\s", "", text)
    if not DIGITS.fullmatch(digits):
        return None
    totp = TOTP(base64.b32decode(factor.secret_encrypted.open()))
    totp.time = now.timestamp()
    earliest = None if factor.last_step is None else factor.last_step + 1
    return totp.t() if totp.verify(int(digits), LEEWAY, earliest) else None


def _new_recovery_code() -> str:
    letters = "".join(secrets.choice(LETTERS) for _ in range(2 * HALF))
    return f"{letters[:HALF]}-{letters[HALF:]}"


def _letters(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()
