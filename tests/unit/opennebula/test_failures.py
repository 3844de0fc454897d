"""Each of OpenNebula's codes, and the words where a code means several things."""

from __future__ import annotations

import pytest

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
from connectors.opennebula.driver import (
    OpenNebulaError,
    OpenNebulaFault,
    OpenNebulaHttpError,
    OpenNebulaUnreadable,
)
from connectors.opennebula.failures import FAILURES

METHOD = "one.template.instantiate"


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (0x100, "User couldn't be authenticated, aborting call.", AuthFailed),
        (0x200, "user [2] limit of 4 reached for VMS quota in VM.", QuotaExceeded),
        (0x200, "group [100] limit of 12.5 reached for RUNNING_CPU quota in VM.", QuotaExceeded),
        (0x200, "user [2] limit of 1 reached for LEASES quota in NETWORK with ID: 0.", QuotaExceeded),
        (0x200, "User Template includes a restricted attribute NIC", InvalidRequest),
        (0x200, "User [2] : Not authorized to perform USE TEMPLATE/#0.", AuthFailed),
        # what a user calls his template decides nothing
        (0x200, "User [2] : Not authorized to perform USE quota reached.", AuthFailed),
        (0x400, "Error getting virtual machine [99].", NotFound),
        (0x800, "Could not terminate VM 0, wrong state BOOT.", Transient),
        (0x800, "This action is not available for state PROLOG", Transient),
        (0x800, "Virtual router templates cannot be instantiated", InvalidRequest),
        (0x1000, "Incorrect filter_flag", InvalidRequest),
        (0x2000, "Parse error: syntax error, unexpected END", InvalidRequest),
        (0x4000, "Cannot get IP/MAC lease from virtual network 1.", NoCapacity),
        (0x4000, "Image with ID: 99 does not exist", InvalidRequest),
        (0x4000, "Parse error: syntax error, unexpected ']'", InvalidRequest),
        (0x8000, "MANAGE VM [7] : it is locked.", InvalidRequest),
    ],
)
@pytest.mark.parametrize("effect", [True, False])
def test_a_refusal_has_one_type_whatever_was_tried(
    code: int, words: str, expected: type[CloudError], effect: bool
) -> None:
    told = FAILURES.classify(OpenNebulaError(METHOD, code, f"[{METHOD}] {words}"), "launch cpu-001", effect=effect)
    assert type(told) is expected
    assert words in told.words


@pytest.mark.parametrize("code", [0x2000, 0x10000, 0, -1, 0x20000])
def test_what_failed_inside_or_is_not_known_may_have_had_its_effect(code: int) -> None:
    error = OpenNebulaError(METHOD, code, "something broke")
    assert type(FAILURES.classify(error, "launch", effect=True)) is OutcomeUnknown
    assert type(FAILURES.classify(error, "list", effect=False)) is Transient


def test_a_fault_is_a_wrong_request() -> None:
    told = FAILURES.classify(OpenNebulaFault(METHOD, -501, "Parameter 1 is a str"), "launch", effect=True)
    assert type(told) is InvalidRequest
    assert "Parameter 1" in told.words


@pytest.mark.parametrize(
    ("status", "read", "effect"),
    [
        (401, AuthFailed, AuthFailed),
        (403, AuthFailed, AuthFailed),
        (404, InvalidRequest, InvalidRequest),
        (429, Throttled, Throttled),
        (500, Transient, OutcomeUnknown),
        (502, Transient, OutcomeUnknown),
        (503, Transient, OutcomeUnknown),
    ],
)
def test_http_failures_have_their_types_and_their_words(
    status: int, read: type[CloudError], effect: type[CloudError]
) -> None:
    error = OpenNebulaHttpError(status, "nobody here", {"retry-after": "7"})
    assert type(FAILURES.classify(error, "list", effect=False)) is read
    told = FAILURES.classify(error, "launch", effect=True)
    assert type(told) is effect
    assert "nobody here" in told.words
    if isinstance(told, Throttled):
        assert told.retry_after is not None
        assert told.retry_after.total_seconds() == 7


def test_an_answer_that_cannot_be_read_may_have_had_its_effect() -> None:
    error = OpenNebulaUnreadable(METHOD, "it is no XML")
    assert type(FAILURES.classify(error, "launch", effect=True)) is OutcomeUnknown
    assert type(FAILURES.classify(error, "list", effect=False)) is Transient
