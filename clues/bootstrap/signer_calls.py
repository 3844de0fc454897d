"""What the enrolment front asks of the signer: it holds no key that outlives it, and decides nothing about a ticket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues import rpc
from clues.bootstrap import provision
from clues.bootstrap.wire import Enrolment
from clues.errors import Transient
from clues.ports import Provision

#: longer than the signer waits for cluesd
_PATIENCE_SECONDS = 25.0


class SignerCalls:
    """The signer at its socket. Every call blocks; its errors are the signer's own, or :class:`Transient`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def enrol(self, ticket: str, enrolment: Enrolment, address: str) -> Provision:
        """Redeem a ticket; return what its VM gets, secrets and certificate among the files."""
        answer = self._call(
            "enrol",
            ticket=ticket,
            csr=enrolment.csr,
            fingerprint=enrolment.fingerprint,
            address=address,
            proof=enrolment.proof,
            facts={
                "cpus": enrolment.cpus,
                "memory_mib": enrolment.memory_mib,
                "gpus": enrolment.gpus,
                "clock": enrolment.clock,
                "clock_skew_seconds": enrolment.clock_skew_seconds,
                "host_keys": list(enrolment.host_keys),
            },
        )
        try:
            return provision.from_wire(answer)
        except (ValueError, TypeError) as error:
            raise Transient("the signer's answer is not understood") from error

    def renew(self, csr: str) -> str:
        """Return a new certificate for the key of a member, and after it the authorities, in PEM form."""
        answer = self._call("renew", csr=csr)
        return _pem(answer, "certificate") + _pem(answer, "ca")

    def report(self, *, ticket: str = "", key: str = "", kind: str, text: str, address: str) -> None:
        """Hand on a VM's word."""
        self._call("report", ticket=ticket, key=key, kind=kind, text=text, address=address)

    def front(self, csr: str, names: tuple[str, ...]) -> str:
        """Return a certificate for the front's own key, in PEM form."""
        return _pem(self._call("front", csr=csr, names=list(names)), "certificate")

    def _call(self, operation: str, **arguments: Any) -> Any:
        return rpc.call(self._socket, operation, timeout=_PATIENCE_SECONDS, **arguments)


def _pem(answer: Any, name: str) -> str:
    try:
        text = answer[name]
    except (KeyError, TypeError) as error:
        raise Transient("the signer's answer is not understood") from error
    if not isinstance(text, str):
        raise Transient("the signer's answer is not understood")
    return text.rstrip("\n") + "\n"
