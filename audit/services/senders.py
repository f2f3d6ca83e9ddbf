"""Senders of the outbox. A sender gets one event at a time, and again after a failure.

To add one, write a class with ``send``, ``close`` and ``timeout`` as of ``Sender``, constructed
without arguments, and set its dotted path as OUTBOX_SENDER.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from ..models import OutboxEvent

logger = logging.getLogger(__name__)

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST_SECRET = 32  # characters
MAX_RESPONSE_BYTES = 64 * 1024  # read and ignored


class SendFailed(Exception):
    """The event was not accepted. ``code`` is P0, snake_case: it is kept with the event."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Sender(Protocol):
    timeout: float
    """Seconds within which ``send`` returns or raises, whatever the other side does. The relay
    ends its process rather than let a send outlast the event's lease.
    """

    def send(self, event: OutboxEvent) -> None:
        """Deliver ``event``; returns once the receiver has accepted it. Raises SendFailed.

        Any other exception counts as the failure ``internal``. Deliveries may be repeated: the
        receiver identifies an event by its id.
        """

    def close(self) -> None:
        """Close all connections; nothing is sent afterwards."""


class LogSender:
    """Writes each event to the log: for development, and until there is a receiver."""

    timeout = 1.0

    def send(self, event: OutboxEvent) -> None:
        logger.info(
            "%s: %s %s (event %s)",
            event.event_type,
            event.aggregate_type,
            event.aggregate_id,
            event.pk,
        )

    def close(self) -> None:
        pass


class WebhookSender:
    """Posts each event as JSON to one https address; a 2xx response accepts it.

    Headers: `Idempotency-Key` is the event's id; `Webhook-Timestamp` is the time of this attempt,
    Unix seconds; `Webhook-Signature` is `v1=` and the hex HMAC-SHA-256 of
    `<timestamp>.<body>`. The receiver computes it over the raw body, and refuses an old
    timestamp. Redirects are not followed. Codes of failure: `http_<status>`, `timeout`, `tls`,
    `connection`, `protocol`.

    Raises ImproperlyConfigured for an unusable address or secret. ``tls``: an SSL context, for a
    certificate authority that the machine does not trust.
    """

    def __init__(
        self,
        url: str | None = None,
        secret: str | None = None,
        *,
        timeout: float | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = _checked_url(settings.OUTBOX_WEBHOOK_URL if url is None else url)
        self.secret = _checked_secret(settings.OUTBOX_WEBHOOK_SECRET if secret is None else secret)
        self.timeout = timeout or settings.OUTBOX_SEND_TIMEOUT_SECONDS
        logging.getLogger("httpx").setLevel(logging.WARNING)  # INFO logs the address of each event
        # httpx limits each step, not the whole request; only a task can be cancelled at any point.
        self.runner = asyncio.Runner()
        self.client = httpx.AsyncClient(
            verify=tls or ssl.create_default_context(),
            follow_redirects=False,
            timeout=self.timeout,
            trust_env=False,  # no proxy or password from the environment
            headers={"Content-Type": "application/json", "User-Agent": "ebalance-outbox"},
        )

    def send(self, event: OutboxEvent) -> None:
        body = body_of(event)
        headers = {"Idempotency-Key": str(event.pk), **signed(body, self.secret, int(time.time()))}
        status = self.runner.run(self._post(body, headers))
        if not 200 <= status < 300:
            raise SendFailed(f"http_{status}")

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of the response. Raises SendFailed."""
        status, handshake = None, _Handshake()
        try:
            async with (
                asyncio.timeout(self.timeout),
                self.client.stream(
                    "POST",
                    self.url,
                    content=body,
                    headers=headers,
                    extensions={"trace": handshake.trace},
                ) as answer,
            ):
                status = answer.status_code  # decides, even if reading the body fails
                await _read_short_body(answer)
        except (TimeoutError, httpx.TransportError, httpx.InvalidURL, OSError) as error:
            await handshake.end()
            if status is None:
                raise SendFailed(_code_of(error)) from None
        return status


class _Handshake:
    """The connection during the TLS handshake: httpcore leaves it open if it is cancelled then."""

    def __init__(self) -> None:
        self.connection: Any = None

    async def trace(self, name: str, info: dict[str, Any]) -> None:
        if name == "connection.connect_tcp.complete":
            self.connection = info["return_value"]
        elif name == "connection.start_tls.complete":
            self.connection = None

    async def end(self) -> None:
        if self.connection is not None:
            await self.connection.aclose()


async def _read_short_body(answer: httpx.Response) -> None:
    """Read a short body to its end, so that the connection is reused; stop early in a long one."""
    if not answer.is_success:
        return
    read = 0
    async for piece in answer.aiter_raw():
        read += len(piece)
        if read > MAX_RESPONSE_BYTES:
            return


def body_of(event: OutboxEvent) -> bytes:
    return json.dumps(
        {
            "id": str(event.pk),
            "type": event.event_type,
            "aggregate_type": event.aggregate_type,
            "aggregate_id": str(event.aggregate_id),
            "payload": event.payload,
            "created_at": event.created_at.isoformat(),
            "attempt": event.attempts,
        },
        separators=(",", ":"),
    ).encode()


def signed(body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """The headers that prove to the receiver that ``body`` is authentic and recent."""
    message = f"{timestamp}.".encode() + body
    signature = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return {"Webhook-Timestamp": str(timestamp), "Webhook-Signature": f"v1={signature}"}


def _code_of(error: BaseException) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "timeout"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "protocol" if isinstance(error, httpx.ProtocolError) else "connection"


def _checked_url(url: str) -> str:
    """Errors never quote the address, which may contain a token."""
    if not url:
        raise ImproperlyConfigured("OUTBOX_WEBHOOK_URL must be set for WebhookSender.")
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        host, _port = parts.hostname, parts.port
    except (ValueError, httpx.InvalidURL):
        raise ImproperlyConfigured("OUTBOX_WEBHOOK_URL is not an address.") from None
    if not host or "@" in parts.netloc:
        raise ImproperlyConfigured("OUTBOX_WEBHOOK_URL is https://host/path, without a login.")
    is_local = parts.scheme == "http" and host in LOCAL_HOSTS and not settings.DEPLOYED
    if parts.scheme != "https" and not is_local:
        raise ImproperlyConfigured("OUTBOX_WEBHOOK_URL must start with https://.")
    return url


def _checked_secret(secret: str) -> str:
    if not secret:
        raise ImproperlyConfigured("OUTBOX_WEBHOOK_SECRET must be set for WebhookSender.")
    if len(secret) < SHORTEST_SECRET:
        raise ImproperlyConfigured(
            f"OUTBOX_WEBHOOK_SECRET must have {SHORTEST_SECRET} characters or more."
        )
    return secret
