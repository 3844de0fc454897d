"""What errors of OpenStack amount to, by the words and forms that its services have for them."""

from __future__ import annotations

import json

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
from connectors.common.failures import Refused, Said
from connectors.openstack.failures import FAILURES, fault_code, words_of

#: status, body, what it is for a call with an effect
NOVA = [
    (403, "forbidden", "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances", QuotaExceeded),
    (403, "forbidden", "Quota exceeded for cores: Requested 8, but already used 40 of 40 cores", QuotaExceeded),
    (403, "forbidden", "Maximum number of ports exceeded", QuotaExceeded),
    (403, "forbidden", "Quota exceeded, too many server groups.", QuotaExceeded),
    (413, "overLimit", "Quota exceeded for ram: Requested 4096, but already used 0 of 1024 ram", QuotaExceeded),
    (403, "forbidden", "Policy doesn't allow os_compute_api:servers:create to be performed.", AuthFailed),
    (403, "forbidden", "Only volume-backed servers are allowed for flavors with zero disk.", InvalidRequest),
    (401, "error", "The request you have made requires authentication.", AuthFailed),
    (413, "overLimit", "This request was rate-limited.", Throttled),
    (429, "overLimit", "This request was rate-limited.", Throttled),
    (404, "itemNotFound", "Instance 0 could not be found.", NotFound),
    (400, "badRequest", "Can not find requested image", InvalidRequest),
    (400, "badRequest", "No more IP addresses available on network 0.", QuotaExceeded),
    (400, "badRequest", "The requested availability zone is not available", InvalidRequest),
    (409, "conflictingRequest", "Instance 0 is locked", Transient),
    (409, "conflictingRequest", "Port 0 is still in use.", Transient),
    (406, "computeFault", "Version 2.999 is not supported by the API.", InvalidRequest),
    (500, "computeFault", "No valid host was found. There are not enough hosts available.", NoCapacity),
    (500, "computeFault", "Unexpected API Error.", OutcomeUnknown),
    (503, "computeFault", "The server is currently unavailable.", OutcomeUnknown),
]
NEUTRON = [
    (409, "OverQuota", "Quota exceeded for resources: ['port'].", QuotaExceeded),
    (409, "IpAddressGenerationFailure", "No more IP addresses available on network 0.", QuotaExceeded),
    (409, "ExternalIpAddressExhausted", "Unable to find any IP address on external network 0.", QuotaExceeded),
    (409, "IpAddressAlreadyAllocated", "IP address 10.0.0.5 already allocated in subnet 0", Transient),
    (403, "PolicyNotAuthorized", "(rule:create_port) is disallowed by policy", AuthFailed),
    (404, "NetworkNotFound", "Network 0 could not be found.", NotFound),
    (400, "InvalidIpForSubnet", "IP address 10.9.0.5 is not a valid IP for the specified subnet.", InvalidRequest),
]


def kind_of(status: int, code: str, message: str, *, effect: bool = True) -> type[CloudError]:
    return type(FAILURES.classify(Refused(status, message, code=code), "launch gpu-01", effect=effect))


@pytest.mark.parametrize(("status", "name", "message", "kind"), NOVA)
def test_nova_is_understood(status: int, name: str, message: str, kind: type[CloudError]) -> None:
    code, words = words_of(json.dumps({name: {"code": status, "message": message}}), "application/json")
    assert words == message
    assert kind_of(status, code, words) is kind


@pytest.mark.parametrize(("status", "name", "message", "kind"), NEUTRON)
def test_neutron_is_understood_by_its_own_codes(status: int, name: str, message: str, kind: type[CloudError]) -> None:
    body = json.dumps({"NeutronError": {"type": name, "message": message, "detail": ""}})
    assert words_of(body, "application/json; charset=UTF-8") == (name, message)
    assert kind_of(status, name, message) is kind


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (
            "<html><head><title>404</title></head><body><h1>Gone</h1>No image 7<br />\n</body></html>",
            "text/html",
            "Gone No image 7",
        ),
        ('{"message": "not here.<br /><br />", "code": "404 Not Found"}', "application/json", "not here."),
        ('{"error": "invalid_grant", "error_description": "over"}', "application/json", "invalid_grant: over"),
        ('{"NeutronError": "old and short"}', "application/json", "old and short"),
        ("[1, 2]", "application/json", "[1, 2]"),
        ('{"broken', "application/json", '{"broken'),
        ('{"x": 7}', "application/json", '{"x": 7}'),
        ("", "", ""),
    ],
)
def test_words_are_found_in_every_form_of_an_error(body: str, content_type: str, words: str) -> None:
    assert words_of(body, content_type)[1] == words


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"code": 500, "message": "No valid host was found. There are not enough hosts available."}, "no-capacity"),
        ({"code": 500, "message": "No valid host was found. "}, "no-capacity"),
        (
            {"code": 500, "message": "Exceeded maximum number of retries. Exhausted all hosts available for retrying"},
            "no-capacity",
        ),
        ({"code": 400, "message": "Insufficient compute resources: Claim pci failed."}, "no-capacity"),
        ({"code": 403, "message": "Quota exceeded for instances: Requested 1"}, "quota"),
        ({"code": 500, "message": "Build of instance 0 aborted: Maximum number of ports exceeded"}, "quota"),
        ({"code": 400, "message": "Image 0 is unacceptable: Image disk size greater than the flavor's"}, "invalid"),
        ({"code": 500, "message": "Build of instance 0 aborted: Failed to allocate the network(s)"}, ""),
        ({"code": 404, "message": "Image 0 could not be found."}, ""),
        ({"code": "x", "message": None}, ""),
        ({}, ""),
    ],
)
def test_a_server_in_error_says_what_that_amounts_to(fault: dict[str, object], code: str) -> None:
    assert fault_code(fault) == code


def test_a_name_that_sounds_like_a_quota_is_none() -> None:
    said = Said("Invalid input for field/attribute name. Value: quota exceeded", 400)
    assert FAILURES.kind(said, effect=True) is InvalidRequest


def test_what_a_proxy_says_before_it_passes_anything_on_is_an_unknown_outcome_only_for_effects() -> None:
    assert kind_of(502, "", "Bad Gateway") is OutcomeUnknown
    assert kind_of(502, "", "Bad Gateway", effect=False) is Transient
