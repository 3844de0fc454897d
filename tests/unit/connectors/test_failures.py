"""Whatever is thrown becomes exactly one type, by the provider's table, and keeps its words on one line."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from libcloud.common.exceptions import exception_from_message
from libcloud.common.types import InvalidCredsError, MalformedResponseError

from clues.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NoCapacity,
    NotFound,
    OutcomeUnknown,
    QuotaExceeded,
    Throttled,
    Transient,
)
from connectors.common.failures import (
    LONGEST_WAIT,
    LONGEST_WORDS,
    Failures,
    Redirected,
    Refused,
    Rule,
    Said,
    said_by,
    shown,
    wait_of,
)

TABLE = Failures(
    [
        Rule(NoCapacity, code="no_room|Insufficient.*"),
        Rule(QuotaExceeded, status=403, words="quota"),
        Rule(AuthFailed, status=403),
        Rule(NotFound, status=(404, 410)),
        Rule(InvalidRequest, status=400),
    ]
)
BARE = Failures([])


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said("x", 409, "no_room"), NoCapacity),
        (Said("x", 500, "InsufficientInstanceCapacity"), NoCapacity),
        (Said("x", 409, "no_roommate", arrived=False), Transient),  # the whole code has to match
        (Said("your Quota is used up", 403), QuotaExceeded),
        (Said("quota", 500, arrived=False), Transient),  # the words alone do not do
        (Said("policy says no", 403), AuthFailed),
        (Said("x", 410), NotFound),
        (Said("x", 400, "no_room"), NoCapacity),  # the first that matches
        (Said("x", 401), AuthFailed),
        (Said("x", 429), Throttled),
        (Said("x", untrusted=True), AuthFailed),
    ],
    ids=str,
)
def test_the_first_line_of_the_table_that_matches_names_the_type(said: Said, kind: type[CloudError]) -> None:
    assert TABLE.kind(said, effect=True) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [(301, InvalidRequest), (302, OutcomeUnknown), (303, OutcomeUnknown), (307, InvalidRequest), (308, InvalidRequest)],
    ids=str,
)
def test_who_is_sent_elsewhere_before_anything_happened_has_a_wrong_endpoint(
    status: int, kind: type[CloudError]
) -> None:
    error = TABLE.classify(Redirected(status), "launch", effect=True)
    assert type(error) is kind
    assert "configuration" in error.words


@pytest.mark.parametrize(
    ("effect", "arrived", "kind"),
    [(False, True, Transient), (False, False, Transient), (True, True, OutcomeUnknown), (True, False, Transient)],
)
def test_what_no_line_knows_is_unknown_only_where_something_may_have_happened(
    effect: bool, arrived: bool, kind: type[CloudError]
) -> None:
    error = BARE.classify(Refused(503 if arrived else 418, "x"), "try", effect=effect)
    assert type(error) is kind
    assert error.no_effect == (kind is Transient)


def http_error(code: int, **headers: str) -> Any:
    """Return an error as libcloud raises it."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return exception_from_message(code, "odd", told)  # type: ignore[no-untyped-call]


def never(error: Any) -> requests.exceptions.ConnectionError:
    """Return an error as `requests` raises it when urllib3 has given up."""
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", error))  # type: ignore[arg-type]


def test_a_refused_connection_has_no_effect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        requests.get(f"http://127.0.0.1:{port}", timeout=5)
    assert type(BARE.classify(caught.value, "launch", effect=True)) is Transient


@pytest.mark.parametrize(
    ("error", "arrived"),
    [
        (never(urllib3.exceptions.NewConnectionError(None, "no route to host")), False),  # type: ignore[arg-type]
        (never(urllib3.exceptions.NameResolutionError("head", None, socket.gaierror(-2, "unknown"))), False),  # type: ignore[arg-type]
        (requests.exceptions.ConnectTimeout("too slow"), False),
        (socket.gaierror(-2, "unknown"), False),
        (
            requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("aborted", ConnectionResetError())),
            True,
        ),
        (requests.exceptions.ReadTimeout("too slow"), True),
        (requests.exceptions.ChunkedEncodingError("broken"), True),
        (requests.exceptions.SSLError("EOF occurred in violation of protocol"), True),
        (ConnectionResetError(104, "reset by peer"), True),
        (TimeoutError("timed out"), True),
        (MalformedResponseError("no JSON", body="<html>"), True),
        (KeyError("servers"), True),
        (http_error(502), True),
        (http_error(409), False),
        (Refused(500, "x"), True),
        (Refused(404, "x"), False),
        (InvalidCredsError("no"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_it_is_known_whether_a_request_may_have_arrived(error: Exception, arrived: bool) -> None:
    assert said_by(error).arrived == arrived


def test_a_certificate_that_cannot_be_verified_is_for_a_human() -> None:
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
    for error in (requests.exceptions.SSLError(text), ssl.SSLError(text)):
        assert type(BARE.classify(error, "launch", effect=True)) is AuthFailed


def test_an_error_of_clues_passes_as_it_is() -> None:
    error = QuotaExceeded("full")
    assert BARE.classify(error, "launch", effect=True) is error


def test_what_only_the_provider_throws_is_read_by_its_own_reader() -> None:
    class Odd(Exception):
        pass

    failures = Failures(
        [Rule(NoCapacity, code="512")], lambda error: Said("no host", code="512") if isinstance(error, Odd) else None
    )
    assert type(failures.classify(Odd(), "launch", effect=True)) is NoCapacity
    assert type(failures.classify(RuntimeError("x"), "launch", effect=True)) is OutcomeUnknown


def test_the_words_are_kept_and_the_message_says_what_was_tried() -> None:
    error = TABLE.classify(Refused(403, "Quota exceeded:\n cores 40/40"), "launch gpu-01", effect=True)
    assert (error.words, str(error)) == ("Quota exceeded: cores 40/40", "launch gpu-01: Quota exceeded: cores 40/40")
    assert BARE.classify(TimeoutError(), "list", effect=False).words == "TimeoutError"
    assert "'servers'" in BARE.classify(KeyError("servers"), "list", effect=False).words


@given(st.text(max_size=5000))
def test_words_are_one_printable_line_of_bounded_length(words: str) -> None:
    line = shown(words)
    assert line.isprintable()
    assert len(line) <= LONGEST_WORDS
    assert line == line.strip()


def test_long_words_are_cut_and_say_so() -> None:
    assert shown("a" * 10_000_000) == "a" * (LONGEST_WORDS - 3) + "..."


# --- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("86400", 3600), ("999999999", 3600)],
)
def test_seconds_are_told_but_no_more_than_an_hour(text: str, seconds: float) -> None:
    assert wait_of(text) == timedelta(seconds=seconds)
    assert timedelta(hours=1) == LONGEST_WAIT


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_is_told_as_the_time_until_then(zone: str) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True).replace("GMT", zone)
    wait = wait_of(soon)
    assert wait is not None
    assert timedelta(seconds=80) < wait <= timedelta(seconds=91)
    assert wait_of("Fri, 31 Dec 1999 23:59:59 GMT") == timedelta(0)
    assert wait_of("Fri, 31 Dec 2399 23:59:59 GMT") == LONGEST_WAIT


@pytest.mark.parametrize(
    "text", ["soon", "", "-5", "nan", "inf", "1e9", "\u00b2", "7 s", None, "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 400]
)
def test_anything_else_is_no_time_and_no_error(text: str | None) -> None:
    assert wait_of(text) is None


@given(st.text(max_size=60))
def test_no_text_is_an_error(text: str) -> None:
    wait = wait_of(text)
    assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT


def test_a_throttled_call_carries_how_long_to_wait() -> None:
    for thrown in (
        http_error(429, retry_after="7"),
        Refused(429, "slow down", retry_after=timedelta(seconds=7)),
    ):
        error = BARE.classify(thrown, "list", effect=False)
        assert isinstance(error, Throttled)
        assert error.retry_after == timedelta(seconds=7)
    error = BARE.classify(Refused(429, "slow down"), "list", effect=False)
    assert isinstance(error, Throttled)
    assert error.retry_after is None
    assert error.words == "slow down"
