"""EC2's refusals become the type that decides rightly, and keep AWS's words."""

from __future__ import annotations

from datetime import timedelta

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
from connectors.ec2.api import Odd, Refused
from connectors.ec2.errors import FAILURES

TABLE: list[tuple[int, str, str, type[CloudError]]] = [
    (500, "InsufficientInstanceCapacity", "", NoCapacity),
    (500, "InsufficientHostCapacity", "", NoCapacity),
    (500, "InsufficientReservedInstanceCapacity", "", NoCapacity),
    (500, "InsufficientAddressCapacity", "", NoCapacity),
    (400, "InsufficientCapacity", "", NoCapacity),
    (400, "UnfulfillableCapacity", "", NoCapacity),
    (400, "SpotMaxPriceTooLow", "", NoCapacity),
    (400, "ReservationCapacityExceeded", "", NoCapacity),
    (400, "Unsupported", "type (x) is not supported in your requested Availability Zone (y)", NoCapacity),
    (400, "Unsupported", "The requested configuration is currently not supported.", NoCapacity),
    (400, "Unsupported", "Enhanced networking with ENA is required", InvalidRequest),
    (400, "VcpuLimitExceeded", "", QuotaExceeded),
    (400, "InstanceLimitExceeded", "", QuotaExceeded),
    (400, "MaxSpotInstanceCountExceeded", "", QuotaExceeded),
    (400, "MaxIOPSLimitExceeded", "", QuotaExceeded),
    (400, "VolumeLimitExceeded", "", QuotaExceeded),
    (400, "InsufficientFreeAddressesInSubnet", "", QuotaExceeded),
    (503, "RequestLimitExceeded", "", Throttled),
    (400, "Throttling", "", Throttled),
    (400, "ThrottlingException", "", Throttled),
    (400, "RequestThrottledException", "", Throttled),
    (401, "AuthFailure", "", AuthFailed),
    (403, "AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", AuthFailed),
    (403, "UnauthorizedOperation", "", AuthFailed),
    (403, "SignatureDoesNotMatch", "", AuthFailed),
    (400, "RequestExpired", "", AuthFailed),
    (400, "ExpiredToken", "", AuthFailed),
    (403, "InvalidClientTokenId", "", AuthFailed),
    (401, "OptInRequired", "", AuthFailed),
    (400, "InvalidInstanceID.NotFound", "", NotFound),
    (400, "InvalidInstanceID.Malformed", "", NotFound),
    (400, "InvalidAMIID.NotFound", "", InvalidRequest),
    (400, "InvalidSubnetID.NotFound", "", InvalidRequest),
    (400, "InvalidGroup.NotFound", "", InvalidRequest),
    (400, "InvalidKeyPair.NotFound", "", InvalidRequest),
    (400, "InvalidInstanceType", "", InvalidRequest),
    (400, "InvalidParameterValue", "", InvalidRequest),
    (400, "MissingParameter", "", InvalidRequest),
    (400, "DefaultVpcDoesNotExist", "", InvalidRequest),
    (400, "VPCIdNotSpecified", "", InvalidRequest),
    (400, "OperationNotPermitted", "", InvalidRequest),
    (400, "InvalidIPAddress.InUse", "", Transient),
    (400, "InvalidPlacementGroup.Unknown", "", Transient),
    (400, "IncorrectInstanceState", "", Transient),
    (400, "IdempotentParameterMismatch", "", OutcomeUnknown),
    # by the status alone: the server itself, or somebody on the way
    (500, "InternalError", "", OutcomeUnknown),
    (503, "Unavailable", "", OutcomeUnknown),
    (502, "", "", OutcomeUnknown),
    (429, "", "", Throttled),
    (403, "", "", AuthFailed),
    (400, "NeverHeardOfThis", "", Transient),
]


@pytest.mark.parametrize(("status", "code", "words", "kind"), TABLE, ids=[f"{row[1]}-{row[0]}" for row in TABLE])
def test_a_refused_launch_has_one_type_and_keeps_the_words(
    status: int, code: str, words: str, kind: type[CloudError]
) -> None:
    told = words or "in AWS's own words"
    error = FAILURES.classify(Refused(status, code, told), "launch gpu-01", effect=True)
    assert type(error) is kind
    assert told in error.words
    assert code in error.words
    assert str(error).startswith("launch gpu-01: ")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failed_server_has_done_nothing_when_it_was_only_asked_to_tell(status: int) -> None:
    assert type(FAILURES.classify(Refused(status, "", "oh"), "list", effect=False)) is Transient


def test_an_answer_that_is_none_may_have_had_its_effect() -> None:
    assert type(FAILURES.classify(Odd("half a page"), "launch", effect=True)) is OutcomeUnknown
    assert type(FAILURES.classify(Odd("half a page"), "list", effect=False)) is Transient


def test_a_throttled_call_tells_how_long_it_is_to_wait() -> None:
    error = FAILURES.classify(
        Refused(503, "RequestLimitExceeded", "slow", wait=timedelta(seconds=7)), "list", effect=False
    )
    assert isinstance(error, Throttled)
    assert error.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("skew", "told"),
    [
        (timedelta(minutes=16), "clock is 960 s behind"),
        (timedelta(minutes=-16), "clock is 960 s ahead of"),
        (timedelta(seconds=2), ""),
    ],
)
def test_a_clock_that_is_off_is_told_beside_the_refusal(skew: timedelta, told: str) -> None:
    error = FAILURES.classify(Refused(400, "RequestExpired", "Request has expired.", skew=skew), "list", effect=False)
    assert type(error) is AuthFailed
    assert "Request has expired." in error.words
    assert (told in error.words) if told else ("clock" not in error.words)
