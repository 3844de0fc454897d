"""Alarms reach people: over real HTTP and SMTP, signed, once, later if need be, and never at a tick's cost."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from clues.config import Endpoint, Mail, Notify, Webhook, check, load
from clues.errors import CluesError
from clues.ledger import Commit, Ledger, open_ledger
from clues.model import Note
from clues.notify.notifier import RETRIES, Notifier
from clues.notify.send import send_mail, send_webhook
from clues.workers import Threads
from tests.unit.builders import NOW, make_note
from tests.unit.config_example import PLUGINS, SMALL, write

SECRET = b"0123456789abcdef"
ALARM = make_note(7, "gpu", "closed: its VMs came to nothing\x1b[2J\nBcc: x@y", kind="alarm", about=("aws",))


class Hook:
    """An HTTP server that takes webhooks."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/T0/secret-in-url"
        self.answer, self.taken = 204, list[tuple[dict[str, str], bytes]]()


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.taken.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(made.answer)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Hook(server.server_port)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return str(path)


# --- one sending -----------------------------------------------------------------------------------------


def test_a_webhook_is_signed_with_the_time_so_that_its_receiver_can_check_it(hook: Hook, secret: str) -> None:
    send_webhook(Webhook(hook.url, secret), "deep", [ALARM], NOW)
    headers, body = hook.taken[0]
    stamp = headers["X-Clues-Timestamp"]
    assert int(stamp) == int(NOW.timestamp())
    wanted = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Clues-Signature"] == f"sha256={wanted}"
    told = json.loads(body)
    assert (told["cluster"], told["alarms"][0]["subject"], told["alarms"][0]["about"]) == ("deep", "gpu", ["aws"])


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_is_not_taken_is_an_error_that_shows_no_url(hook: Hook, secret: str, status: int) -> None:
    hook.answer = status
    with pytest.raises(CluesError, match=f"127.0.0.1 answered with HTTP {status}") as failed:
        send_webhook(Webhook(hook.url, secret), "deep", [ALARM], NOW)
    assert "secret-in-url" not in str(failed.value)
    assert len(hook.taken) == 1  # a redirect is not followed


@pytest.mark.parametrize(("content", "mode"), [(SECRET, 0o644), (b"short", 0o600), (None, 0)])
def test_without_a_secret_that_is_one_nothing_is_sent(
    hook: Hook, tmp_path: Path, content: bytes | None, mode: int
) -> None:
    path = tmp_path / "bad"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(CluesError, match="bad"):
        send_webhook(Webhook(hook.url, str(path)), "deep", [ALARM], NOW)
    assert hook.taken == []


@contextmanager
def smtp() -> Iterator[tuple[Endpoint, list[Any]]]:
    class Keep(Message):
        def handle_message(self, message: Any) -> None:
            taken.append(message)

    class AnyPort(Controller):
        def _trigger_server(self) -> None:
            self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            super()._trigger_server()  # type: ignore[no-untyped-call]

    taken: list[Any] = []
    server = AnyPort(Keep(), hostname="127.0.0.1", port=0)
    server.start()
    try:
        yield Endpoint("127.0.0.1", server.port), taken
    finally:
        server.stop()


def test_mail_tells_it_in_words_and_nothing_in_it_becomes_a_header() -> None:
    with smtp() as (server, taken):
        mail = Mail(("ops@example.org", "b@example.org"), "clues@front", server, local=True)
        send_mail(mail, "deep", [ALARM, make_note(8, "cpu\nBcc: evil@example.org", "more", kind="alarm")], NOW)
    (message,) = taken
    assert message["Subject"] == "[clues deep] alarm: gpu and 1 more"
    assert (message["To"], message["Bcc"]) == ("ops@example.org, b@example.org", None)
    text = message.get_payload()
    assert "closed: its VMs came to nothing" in text
    assert "\x1b" not in text
    assert "clues events --about" in text


def test_a_server_elsewhere_gets_nothing_in_the_clear() -> None:
    with smtp() as (server, taken), pytest.raises(CluesError, match="STARTTLS"):
        send_mail(Mail(("ops@example.org",), "clues@front", server, local=False), "deep", [ALARM], NOW)
    assert taken == []


# --- who was told of what --------------------------------------------------------------------------------


class House:
    """The daemon's part around a notifier."""

    def __init__(self, notify: Notify, ledger: Ledger) -> None:
        self.ledger, self.notify, self.now = ledger, notify, NOW
        self.home: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.troubles: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        self.notifier = Notifier(
            Threads(self.home),
            lambda after, most: self.ledger.notes(after=after, limit=most),
            self.ledger.told(),
            self.ledger.remember_told,
            self._trouble,
            lambda: self.now,
        )
        self.notifier.use("deep", self.notify)

    def _trouble(self, name: str, text: str) -> None:
        self.troubles = {**self.troubles, name: text} if text else {k: v for k, v in self.troubles.items() if k != name}

    def write(self, text: str, kind: str = "alarm") -> None:
        self.ledger.commit(Commit(notes=(Note(self.now, kind, "gpu", text),)))

    def tick(self, answers: int = 0, later: timedelta = timedelta(0)) -> None:
        """Look, and wait for so many answers of those who were told."""
        self.now += later
        self.notifier.look()
        for _ in range(answers):
            self.home.get(timeout=20)()


@pytest.fixture
def house(hook: Hook, secret: str) -> House:
    return House(Notify((Webhook(hook.url, secret),)), open_ledger(None))


def texts(hook: Hook) -> list[list[str]]:
    return [[one["text"] for one in json.loads(body)["alarms"]] for _, body in hook.taken]


def test_each_alarm_is_told_once_also_over_a_restart(house: House, hook: Hook) -> None:
    house.write("one")
    house.write("no alarm", "claim")
    house.write("two")
    house.tick(1)
    house.restart()
    house.tick()
    house.write("three")
    house.tick(1, later=timedelta(seconds=30))
    assert texts(hook) == [["one", "two"], ["three"]]


def test_an_alarm_of_the_time_without_a_daemon_is_told_and_the_past_before_it_is_not(hook: Hook, secret: str) -> None:
    ledger = open_ledger(None)
    ledger.commit(Commit(notes=(Note(NOW, "alarm", "gpu", "old"),)))
    house = House(Notify((Webhook(hook.url, secret),)), ledger)
    house.tick()
    house.write("written, then the daemon died")
    house.restart()
    house.tick(1)
    assert texts(hook) == [["written, then the daemon died"]]


def test_who_does_not_answer_is_told_later_and_shown_as_a_trouble_until_then(house: House, hook: Hook) -> None:
    hook.answer = 503
    house.write("one")
    house.tick(1)
    (trouble,) = house.troubles.values()
    assert "HTTP 503" in trouble
    assert "secret-in-url" not in trouble
    house.tick()  # not before its time
    assert len(hook.taken) == 1
    hook.answer = 204
    house.tick(1, later=RETRIES[0])
    assert (texts(hook), house.troubles) == ([["one"], ["one"]], {})


def test_in_the_end_it_is_given_up_and_the_next_alarm_is_tried(house: House, hook: Hook) -> None:
    hook.answer = 503
    house.write("one")
    house.tick(1)
    for wait in RETRIES:
        house.tick(1, later=wait)
    assert "given up" in next(iter(house.troubles.values()))
    house.write("two")
    house.tick(1, later=timedelta(minutes=1))
    assert texts(hook) == [["one"]] * (1 + len(RETRIES)) + [["two"]]


def test_one_who_hangs_keeps_nobody_else_from_hearing(hook: Hook, secret: str) -> None:
    mail = Mail(("ops@example.org",), "clues@front", Endpoint("127.0.0.1", 1), local=True)  # nobody listens there
    house = House(Notify((Webhook(hook.url, secret),), mail), open_ledger(None))
    house.write("one")
    house.tick(2)
    assert texts(hook) == [["one"]]
    assert list(house.troubles) == ["notify mail to ops@example.org"]
    house.notify = replace(house.notify, mail=None)
    house.notifier.use("deep", house.notify)
    assert house.troubles == {}


# --- the configuration -----------------------------------------------------------------------------------


def test_it_is_read(tmp_path: Path) -> None:
    text = """
notify:
  webhooks: {url: "https://alarms.example.org/T0/x", secret_file: alarms}
  mail: {to: ops@example.org, sender: clues@example.org}
"""
    notify = load(write(tmp_path, SMALL + text), PLUGINS).notify
    assert notify == Notify(
        (Webhook("https://alarms.example.org/T0/x", "alarms"),),
        Mail(("ops@example.org",), "clues@example.org", Endpoint("localhost", 25), local=True),
    )
    assert "T0" not in repr(notify)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{webhooks: {url: 'http://example.org/', secret_file: a}}", "use https"),
        ("{webhooks: {url: 'https://u:p@example.org/', secret_file: a}}", "secrets do not belong in this file"),
        ("{webhooks: {url: 'https://example.org/'}}", "secret_file"),
        ("{mail: {to: 'ops'}}", "is not a mail address"),
        ("{mail: {to: 'a@b, c@d'}}", "is not a mail address"),
    ],
    ids=["http", "password", "no-secret", "no-address", "two-in-one"],
)
def test_mistakes_are_told_with_their_cure(tmp_path: Path, text: str, told: str) -> None:
    errors = check(write(tmp_path, f"{SMALL}\nnotify: {text}\n"), PLUGINS).errors
    assert any(told in one for one in errors), errors
