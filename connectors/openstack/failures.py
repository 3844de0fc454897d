"""What errors of OpenStack's services amount to: how they tell them, and one table.

A quota and a policy are both 403 at nova and differ by words alone. That no host has room is no refusal at all: the
server is made, and becomes ERROR with a ``fault``, whose words and code go through the same table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from libcloud.compute.drivers.openstack import OpenStack_1_1_Response

from clues.errors import (
    AuthFailed,
    InvalidRequest,
    NoCapacity,
    NotFound,
    QuotaExceeded,
    Throttled,
    Transient,
    error_code,
)
from connectors.common.failures import Failures, Refused, Rule, Said, wait_of

#: nova's scheduler and compute service when nowhere is room
_FULL = (
    r"no valid host was found|not enough hosts|exhausted all hosts|exceeded maximum number of retries|"
    r"insufficient compute resources|no available hosts?\b|not enough (memory|pcpus|vcpus)|"
    r"insufficient free .*pci|requested pci device|pci device request .* failed"
)
#: all services when the project may have no more
_QUOTA = (
    r"quota exceeded|exceeds? .*quota|exceeded .*quota|over ?quota|maximum number of (ports|volumes|fixed ips)|"
    r"too many (server groups|instances)"
)
#: a subnet that is used up: another flavor does no better
_NO_ADDRESS = r"no more ip addresses|no fixed ip addresses available|zero fixed ips available"

RULES = (
    Rule(NoCapacity, words=_FULL),
    Rule(QuotaExceeded, code=r"OverQuota|\w*QuotaExceeded|IpAddressGenerationFailure|ExternalIpAddressExhausted"),
    Rule(QuotaExceeded, status=(400, 403, 409, 413, 500), words=_NO_ADDRESS),
    Rule(QuotaExceeded, status=(403, 409, 413, 500), words=_QUOTA),
    Rule(InvalidRequest, status=403, words=r"volume-backed servers"),
    Rule(Throttled, status=(413, 429)),
    Rule(AuthFailed, status=(401, 403, 407)),
    Rule(NotFound, status=(404, 410)),
    # what is asked for does not fit the thing's present state: nothing was done, and it may fit later
    Rule(Transient, status=(408, 409, 423, 425)),
    Rule(InvalidRequest, status=(400, 405, 406, 411, 412, 414, 415, 422, 501)),
)

FAILURES = Failures(RULES)

#: what a fault of a server may amount to; all else tells the core nothing that it could use
_TOLD_BY_FAULTS = frozenset({NoCapacity, QuotaExceeded, InvalidRequest})


def fault_code(fault: Mapping[str, Any]) -> str:
    """Return what a server's fault amounts to, by its name in :data:`clues.errors.CLOUD_ERRORS`; empty: nothing."""
    status = fault.get("code")
    said = Said(str(fault.get("message", "")), status if isinstance(status, int) else None)
    kind = FAILURES.kind(said, effect=False)
    return error_code(kind("")) if kind in _TOLD_BY_FAULTS else ""


def words_of(body: str, content_type: str) -> tuple[str, str]:
    """Return a service's own code (neutron's ``type``) and words, out of the body of an error in any of their forms."""
    if "json" in content_type.lower():
        try:
            loaded = json.loads(body)
        except ValueError:
            loaded = None
        if isinstance(loaded, dict):
            return _words(loaded)
    text = re.sub(r"(?s)<(head|style|script)\b.*?</\1>", " ", body[:20_000])
    return "", " ".join(re.sub(r"<[^>]*>", " ", text).split())


def _words(loaded: Mapping[str, Any]) -> tuple[str, str]:
    # keystone, neutron, nova: {"error": {...}}, {"NeutronError": {...}}, {"badRequest": {...}}
    for inner in loaded.values():
        if isinstance(inner, dict) and isinstance(inner.get("message"), str):
            return str(inner.get("type", "")), inner["message"]
    # an issuer: {"error": "invalid_grant", "error_description": "..."}
    if isinstance(loaded.get("error"), str):
        return loaded["error"], f"{loaded['error']}: {loaded.get('error_description', '')}".rstrip(": ")
    for key in ("message", "NeutronError", "description"):
        if isinstance(loaded.get(key), str):
            return "", " ".join(re.sub(r"<[^>]*>", " ", loaded[key]).split())
    return "", json.dumps(loaded)[:1000]


class Response(OpenStack_1_1_Response):
    """libcloud's response, whose own reading of errors loses neutron's type, the words of a 429, and itself where a
    body is not as it expects."""

    def parse_error(self) -> str:
        """Raise what the reply says.

        :raises Refused: always.
        """
        code, words = words_of(self.body or "", str(self.headers.get("content-type", "")))
        wait = wait_of(self.headers["retry-after"]) if "retry-after" in self.headers else None
        raise Refused(int(self.status), words or str(self.error or ""), code=code, retry_after=wait)
