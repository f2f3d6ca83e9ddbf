"""The address of a second factor for authenticator apps, and its QR code, drawn without a host."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import segno
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from identity.models import User


def app_address(secret: str, person: User) -> str:
    """The Key URI that authenticator apps read."""
    issuer = str(settings.UNFOLD["SITE_TITLE"])
    label = quote(f"{issuer}:{person.email}", safe="")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer})}"


def qr_code(text: str) -> SafeString:
    """An SVG for the page itself, on white in dark mode too. It has no text of its own."""
    drawn = segno.make(text, error="m", micro=False)
    # segno writes numbers and colours only.
    return mark_safe(drawn.svg_inline(scale=4, border=3, dark="#000", light="#fff", omitsize=True))
