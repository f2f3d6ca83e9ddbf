"""Senders, against real servers that answer well, badly, slowly, or not at all."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from audit.models import OutboxEvent
from audit.services.senders import LogSender, SendFailed, WebhookSender
from tests.factories import OutboxEventFactory
from tests.processes import HANG_TIMEOUT, free_port

SECRET = "a-secret-of-thirty-two-characters-or-more"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# -- a certificate and servers --------------------------------------------------------------------


def certificate(folder: Path, name: str, *, expired: bool = False) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    end = today - timedelta(days=1) if expired else today + timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=3))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificates"), "good")


class Server:
    """A TLS server on 127.0.0.1: reads one request after another and passes each to ``talk``."""

    def __init__(self, talk: Callable[[ssl.SSLSocket], object], pem: Path) -> None:
        self.talk = talk
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/hook"
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.listen)]
        self.threads[0].start()

    def listen(self) -> None:
        while True:
            try:
                plain, _address = self.listener.accept()
            except OSError:  # closed
                return
            thread = threading.Thread(target=self.serve, args=[plain])
            self.threads.append(thread)
            thread.start()

    def serve(self, plain: socket.socket) -> None:
        plain.settimeout(HANG_TIMEOUT)
        with plain:
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self.connections += 1
                    while request := read_request(connection):
                        self.requests.append(request)
                        self.talk(connection)
            except OSError:
                pass  # the client has hung up

    def close(self) -> None:
        self.ending.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(HANG_TIMEOUT)


def read_request(connection: ssl.SSLSocket) -> tuple[str, dict[str, str], bytes] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return first, headers, body


def answering(answer: bytes) -> Callable[[ssl.SSLSocket], object]:
    return lambda connection: connection.sendall(answer)


@contextmanager
def serving(talk: Callable[[ssl.SSLSocket], object], pem: Path) -> Iterator[Server]:
    server = Server(talk, pem)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def sending(url: str, authority: Path, *, timeout: float = HANG_TIMEOUT) -> Iterator[WebhookSender]:
    tls = ssl.create_default_context(cafile=authority)
    sender = WebhookSender(url, SECRET, timeout=timeout, tls=tls)
    try:
        yield sender
    finally:
        sender.close()


def event(**values: Any) -> OutboxEvent:
    made = {"payload": {"status": "paid"}, "attempts": 2, "created_at": datetime.now(UTC), **values}
    return OutboxEventFactory.build(**made)


def failure(
    talk: Callable[[ssl.SSLSocket], object], pem: Path, *, timeout: float = HANG_TIMEOUT
) -> str:
    """The error code of one failed delivery."""
    with serving(talk, pem) as server, sending(server.url, pem, timeout=timeout) as sender:
        with pytest.raises(SendFailed) as caught:
            sender.send(event())
        assert caught.value.__context__ is None or caught.value.__suppress_context__
        return caught.value.code


# -- requests -------------------------------------------------------------------------------------


def test_an_event_is_posted_as_json(good: Path) -> None:
    posted = event()
    with serving(answering(OK), good) as server, sending(server.url, good) as sender:
        sender.send(posted)
    ((first, headers, body),) = server.requests
    assert first == "POST /hook HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == str(posted.pk)
    assert json.loads(body) == {
        "id": str(posted.pk),
        "type": "appointment_confirmed",
        "aggregate_type": "appointment",
        "aggregate_id": str(posted.aggregate_id),
        "payload": {"status": "paid"},
        "created_at": posted.created_at.isoformat(),
        "attempt": 2,
    }


def test_receiver_can_verify_origin_and_age(good: Path) -> None:
    before = int(time.time())
    with serving(answering(OK), good) as server, sending(server.url, good) as sender:
        sender.send(event())
    ((_first, headers, body),) = server.requests
    timestamp = headers["webhook-timestamp"]
    assert before <= int(timestamp) <= time.time()
    message = timestamp.encode() + b"." + body
    expected = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    assert headers["webhook-signature"] == f"v1={expected}"


def test_one_connection_serves_many_events(good: Path) -> None:
    with serving(answering(OK), good) as server, sending(server.url, good) as sender:
        for _ in range(5):
            sender.send(event())
    assert (len(server.requests), server.connections) == (5, 1)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_status_is_a_delivery(status: int, good: Path) -> None:
    answer = f"HTTP/1.1 {status} Fine\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(answering(answer), good) as server, sending(server.url, good) as sender:
        sender.send(event())
        assert len(server.requests) == 1


# -- failed deliveries ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 409, 410, 429, 500, 502, 503])
def test_any_other_status_is_a_failure(status: int, good: Path) -> None:
    answer = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    assert failure(answering(answer), good) == f"http_{status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, good: Path) -> None:
    with serving(answering(OK), good) as elsewhere:
        answer = (
            f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n"
        )
        assert failure(answering(answer.encode()), good) == f"http_{status}"
        assert elsewhere.connections == 0


def test_next_event_is_sent_after_a_failure(good: Path) -> None:
    answers = iter([b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nsorry", OK])
    with (
        serving(lambda c: c.sendall(next(answers)), good) as server,
        sending(server.url, good) as sender,
    ):
        with pytest.raises(SendFailed, match="http_500"):
            sender.send(event())
        sender.send(event())
    assert len(server.requests) == 2


def test_untrusted_certificate_is_refused(good: Path, tmp_path: Path) -> None:
    other = certificate(tmp_path, "other")
    with serving(answering(OK), other) as server, sending(server.url, good) as sender:
        with pytest.raises(SendFailed, match="tls"):
            sender.send(event())
        assert server.requests == []


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    assert failure(answering(OK), certificate(tmp_path, "expired", expired=True)) == "tls"


def test_a_certificate_for_another_name_is_refused(good: Path) -> None:
    with serving(answering(OK), good) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with sending(url, good) as sender, pytest.raises(SendFailed, match="tls"):
            sender.send(event())
    assert server.requests == []


def test_certificates_are_checked_by_default(good: Path) -> None:
    """The test's authority is not among those of the machine."""
    with serving(answering(OK), good) as server:
        sender = WebhookSender(server.url, SECRET, timeout=HANG_TIMEOUT)
        with pytest.raises(SendFailed, match="tls"):
            sender.send(event())
        sender.close()
    assert server.requests == []


def test_closed_port_is_a_failure(good: Path) -> None:
    url = f"https://127.0.0.1:{free_port()}/"
    with sending(url, good) as sender, pytest.raises(SendFailed, match="connection"):
        sender.send(event())


def test_unknown_host_is_a_failure(good: Path) -> None:
    url = "https://nowhere.invalid/"
    with (
        sending(url, good, timeout=5) as sender,  # a resolver may take longer
        pytest.raises(SendFailed, match=r"^(connection|timeout)$"),
    ):
        sender.send(event())


@pytest.mark.parametrize(
    "answer",
    [
        b"",  # hangs up
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\xff" * 500,
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,  # a header without an end
        b"HTTP/1.1 20",
    ],
    ids=["nothing", "another protocol", "noise", "no status", "endless header", "cut off"],
)
def test_garbage_is_a_failure(answer: bytes, good: Path) -> None:
    def talk(connection: ssl.SSLSocket) -> None:
        connection.sendall(answer)
        connection.close()

    assert failure(talk, good) in {"protocol", "connection"}


# -- time and size --------------------------------------------------------------------------------


def test_silent_server_is_a_timeout(good: Path) -> None:
    """The server reads until the sender hangs up."""
    assert failure(lambda connection: connection.recv(1), good, timeout=0.2) == "timeout"


def test_slow_answer_is_a_timeout(good: Path) -> None:
    """Each letter is in time, the whole answer is not. It ends when the sender hangs up."""

    def talk(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(5_000):
            connection.sendall(b"a")
            time.sleep(0.02)

    assert failure(talk, good, timeout=0.3) == "timeout"


def test_missing_tls_handshake_is_a_timeout(good: Path) -> None:
    """The machine accepts the connection, but no server answers in TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with sending(url, good, timeout=0.2) as sender, pytest.raises(SendFailed, match="timeout"):
            sender.send(event())


def test_huge_answer_is_read_only_in_part(good: Path) -> None:
    sent: list[int] = []

    def talk(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            sent.append(connection.send(b"a" * 1_000_000))

    with serving(talk, good) as server, sending(server.url, good) as sender:
        sender.send(event())
    assert sum(sent) < 100_000_000


def test_answer_that_ends_after_its_status_is_a_delivery(good: Path) -> None:
    def talk(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.close()

    with serving(talk, good) as server, sending(server.url, good) as sender:
        sender.send(event())
        sender.send(event())
    assert len(server.requests) == 2


def test_closed_connection_is_reopened_for_the_next_event(good: Path) -> None:
    """The server has hung up between two events, like servers with idle connections."""
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with serving(answering(closing), good) as server, sending(server.url, good) as sender:
        sender.send(event())
        sender.send(event())
    assert (len(server.requests), server.connections) == (2, 2)


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "OUTBOX_WEBHOOK_URL must be set"),
        ("http://example.com/hook", "https://"),
        ("ftp://example.com/hook", "https://"),
        ("example.com", "https://"),
        ("https://", "https://host/path"),
        ("https://login:t0ken@example.com/", "without a login"),
        ("https://example.com:port/", "is not an address"),
        ("https://[::1/", "is not an address"),
    ],
)
def test_invalid_address_is_refused(url: str, part: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=part) as caught:
        WebhookSender(url, SECRET)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "part"), [("", "OUTBOX_WEBHOOK_SECRET must be set"), ("short", "32 characters")]
)
def test_invalid_secret_is_refused(secret: str, part: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=part) as caught:
        WebhookSender("https://example.com/", secret)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_http_is_allowed_to_localhost_in_development(host: str, settings: Any) -> None:
    url = f"http://{host}:8000/hook"
    WebhookSender(url, SECRET).close()
    settings.DEPLOYED = True
    with pytest.raises(ImproperlyConfigured, match="https://"):
        WebhookSender(url, SECRET)


def test_address_and_secret_are_read_from_settings(good: Path, settings: Any) -> None:
    with serving(answering(OK), good) as server:
        settings.OUTBOX_WEBHOOK_URL, settings.OUTBOX_WEBHOOK_SECRET = server.url, SECRET
        sender = WebhookSender(tls=ssl.create_default_context(cafile=good))
        assert sender.timeout == settings.OUTBOX_SEND_TIMEOUT_SECONDS
        sender.send(event())
        sender.close()
    assert len(server.requests) == 1


def test_neither_address_nor_payload_is_logged(
    good: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serving(answering(OK), good) as server, sending(server.url, good) as sender:
        sender.send(event())
    assert caplog.text == ""


# -- the log sender -------------------------------------------------------------------------------


def test_log_names_event_type_and_row(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audit.services.senders")
    posted = event()
    LogSender().send(posted)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"appointment_confirmed: appointment {posted.aggregate_id} (event {posted.pk})"
    )
