"""The desk: where the signer asks the daemon whether a VM is expected, and hands in what a VM says.

Calls come over a socket (:mod:`clues.rpc`) on threads of their own; what they change is changed by the owner's thread.
A ticket's MAC is checked before the owner is troubled: a flood of false ones costs it nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from clues.bootstrap import provision, wire
from clues.bootstrap.tickets import Tickets
from clues.daemon import Daemon
from clues.errors import AuthFailed, CluesError, InvalidRequest, Transient
from clues.model import Claim, Facts
from clues.ports import Provision
from clues.reconciler import Counter

_IDENTITY = re.compile(r"[0-9a-f]{64}")


class Desk:
    """Answers ``redeem`` and ``report``."""

    def __init__(
        self, daemon: Daemon, counter: Counter, tickets: Tickets, provide: Callable[[Claim], Provision]
    ) -> None:
        """:param provide: returns what a claim's VM gets; may be slow, is called on the caller's thread."""
        self._daemon, self._counter, self._tickets, self._provide = daemon, counter, tickets, provide

    @property
    def handlers(self) -> Mapping[str, Callable[[Mapping[str, Any], int], Any]]:
        """The calls, for :class:`clues.rpc.Server`."""
        return {"redeem": self.redeem, "report": self.report}

    def redeem(self, arguments: Mapping[str, Any], _: int) -> dict[str, Any]:
        """Commit that a ticket was redeemed, then tell what the VM needs.

        :raises AuthFailed: nobody with this ticket and this key is expected there.
        :raises InvalidRequest: the call is malformed.
        :raises Transient: try again later.
        """
        key = self._key(_text(arguments, "ticket"))
        identity, fingerprint = _text(arguments, "identity"), _text(arguments, "fingerprint")
        address, facts, proof = _text(arguments, "address"), _facts(arguments["facts"]), _text(arguments, "proof")
        if not _IDENTITY.fullmatch(identity) or not wire.is_fingerprint(fingerprint) or not wire.is_proof(proof):
            raise InvalidRequest("the call holds no identity of a key")
        claim = self._daemon.ask(lambda: self._counter.redeem(key, identity, fingerprint, address, facts, proof))
        try:
            wanted = self._provide(claim)
        except CluesError as error:  # what is missing is ours to mend; the VM comes again
            raise Transient(str(error)) from error
        return {
            "key": claim.key,
            "kind": str(claim.kind),
            "node": claim.node,
            "site": claim.offer.site,
            "provision": provision.to_wire(wanted),
        }

    def report(self, arguments: Mapping[str, Any], _: int) -> None:
        """Take a VM's word, by its ticket, or by its key where the enrolment front has seen its certificate.

        :raises AuthFailed: unknown ticket.
        :raises InvalidRequest: the call is malformed.
        :raises Transient: try again later.
        """
        ticket, key = _text(arguments, "ticket"), _text(arguments, "key")
        kind, text = _text(arguments, "kind"), wire.clean(_text(arguments, "text"))[-wire.LONGEST_WORD :]
        if kind not in wire.REPORTS:
            raise InvalidRequest("there is no report of this kind")
        of, address = (self._key(ticket), _text(arguments, "address")) if ticket else (key, "")
        self._daemon.ask(lambda: self._counter.report(of, kind, text, address))

    def _key(self, ticket: str) -> str:
        key = self._tickets.find(ticket, (ticket.rpartition(".")[0],))
        if key is None:
            raise AuthFailed("no VM with this ticket is booting now")
        return key


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name) or ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is not a text")
    return value


def _facts(raw: Mapping[str, Any]) -> Facts:
    skew = float(raw["clock_skew_seconds"])
    if not math.isfinite(skew):
        raise InvalidRequest("the clock is no number")
    keys = [str(key) for key in raw.get("host_keys", ())]
    return wire.make_facts(int(raw["cpus"]), int(raw["memory_mib"]), str(raw["gpus"]), skew, keys)
