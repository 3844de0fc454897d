"""What the signer answers: each call, who may make it, and what it gives.

Tickets, requests and secrets are in no log and in no error. A VM is let in by cluesd, which knows the claim; the signer
adds what cluesd does not have. Renewing needs no cluesd: who is in the inventory with this key gets a new certificate.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clues import rpc
from clues.bootstrap import provision
from clues.bootstrap.tickets import LAUNCH_KEY
from clues.errors import AuthFailed, ConfigError, InvalidRequest, Transient
from clues.inventory import Inventory, Reader
from clues.model import Kind
from clues.signer.authority import Authority
from clues.signer.certificates import Certificates
from clues.signer.crl import SERVERS, belongs
from clues.signer.issued import Issued, IssuedList
from clues.signer.leaves import identity_of, parse_request
from clues.signer.revocation import Revocation
from clues.signer.vaults import Vaults

log = logging.getLogger(__name__)

CERTIFICATE = "/etc/clues/tls/cert.pem"
AUTHORITIES = "/etc/clues/tls/ca.pem"
FRONT_NAME = "clues enrolment"
HUB_NAME = "clues hub"

#: Users that may make a call, besides root and our own.
DAEMON, ENROL, HUB = "clues", "clues-enrol", "clues-hub"
CALLERS: Mapping[str, str] = {
    "enrol": ENROL,
    "renew": ENROL,
    "report": ENROL,
    "front": ENROL,
    "hub": HUB,
    "rotate": DAEMON,
    "status": DAEMON,
}

_DESK_SECONDS = 20.0
#: an X.509 common name is no longer
_LONGEST_KEY = 64
_FINGERPRINT = re.compile(r"(?:(?:[0-9A-F]{2}:){31}[0-9A-F]{2})?")
_HUB = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")


class Signer:
    """Answers the calls; any thread may ask it."""

    def __init__(
        self,
        desk: Path,
        certificates: Certificates,
        vaults: Vaults,
        reader: Reader,
        tell: Callable[[], dict[str, Any]],
    ) -> None:
        """:param desk: the socket where cluesd answers.
        :param tell: what ``status`` says of the authorities and the revocation list.
        """
        self._desk, self._certificates, self._vaults, self._reader = desk, certificates, vaults, reader
        self._tell = tell

    def handlers(self, users: Mapping[str, int]) -> dict[str, rpc.Handler]:
        """Return every call by its name.

        :param users: user ids by the names in :data:`CALLERS`; a name that is missing here may call nothing.
        """
        calls: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "enrol": self._enrol,
            "renew": self._renew,
            "report": self._report,
            "front": self._front,
            "hub": self._hub,
            "rotate": self._rotate,
            "status": self._status,
        }
        return {name: _guarded(name, call, users) for name, call in calls.items()}

    def inventory(self) -> Inventory | None:
        """Return the inventory; None while none is known."""
        try:
            return self._reader.read()
        except ConfigError:
            return None

    def _enrol(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        public_key = parse_request(_text(asked, "csr"))
        identity, fingerprint = identity_of(public_key), _text(asked, "fingerprint")
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise InvalidRequest("the fingerprint is not SHA-256 in upper case with colons")
        answer = rpc.call(
            self._desk,
            "redeem",
            timeout=_DESK_SECONDS,
            ticket=_text(asked, "ticket"),
            identity=identity,
            fingerprint=fingerprint,
            address=_text(asked, "address"),
            proof=_is_text(asked.get("proof", "")),
            facts=asked["facts"],
        )
        try:
            key, kind = _text(answer, "key"), Kind(answer["kind"])
            given = provision.from_wire(answer["provision"])
            if not LAUNCH_KEY.fullmatch(key):
                raise ValueError("no launch key")
        except (KeyError, TypeError, ValueError):
            raise Transient("cluesd answered in a form that is not known here: is it of another version?") from None
        if len(key) > _LONGEST_KEY:
            raise ConfigError(f"claim {key} can have no certificate: a common name has {_LONGEST_KEY} letters at most")
        member = (self.inventory() or _NOBODY).member(key)
        if member is None or member.identity != identity or member.kind is not kind or not belongs(member):
            # Its certificate would be revoked at once. cluesd publishes what it commits; the VM asks again.
            raise Transient(f"claim {key} is not in the inventory with this key yet")
        secrets = [(one.path, one.mode, self._vaults.for_member(kind, key, one)) for one in given.secrets]
        certificate = self._certificates.for_member(key, kind.value, public_key)
        files = [
            *given.files,
            *secrets,
            (CERTIFICATE, 0o644, certificate.encode()),
            (AUTHORITIES, 0o644, self._certificates.bundle().encode()),
        ]
        log.info("enrolled: %s %s", kind.value, key)
        return {
            "files": [[path, mode, base64.b64encode(content).decode()] for path, mode, content in files],
            "settings": dict(given.settings),
            "services": list(given.services),
            "mounts": [list(one) for one in given.mounts],
        }

    def _renew(self, asked: Mapping[str, Any]) -> dict[str, str]:
        public_key = parse_request(_text(asked, "csr"))
        identity = identity_of(public_key)
        known = self.inventory()
        if known is None:
            raise Transient("the inventory is not known yet")
        # A claim that was taken up again after the ledger was lost has no identity there, but here it has.
        member = next(
            (
                one
                for one in known.members
                if belongs(one) and (one.identity or self._certificates.identity_of(one.key)) == identity
            ),
            None,
        )
        if member is None:
            raise AuthFailed("no member of the cluster has this key")
        certificate = self._certificates.for_member(member.key, member.kind.value, public_key)
        log.info("renewed: %s %s", member.kind.value, member.key)
        return {"certificate": certificate, "ca": self._certificates.bundle()}

    def _report(self, asked: Mapping[str, Any]) -> None:
        names = ("ticket", "key", "kind", "text", "address")
        rpc.call(self._desk, "report", timeout=_DESK_SECONDS, **{name: _text(asked, name) for name in names})

    def _front(self, asked: Mapping[str, Any]) -> dict[str, str]:
        public_key = parse_request(_text(asked, "csr"))
        names = asked["names"]
        if not isinstance(names, list) or not names:
            raise InvalidRequest("the enrolment service has no name to be called by")
        names = [_is_text(one) for one in names]
        certificate = self._certificates.for_server(FRONT_NAME, "front", public_key, names)
        return {"certificate": certificate, "ca": self._certificates.bundle()}

    def _hub(self, asked: Mapping[str, Any]) -> dict[str, str]:
        public_key, name = parse_request(_text(asked, "csr")), _text(asked, "name")
        if not _HUB.fullmatch(name):
            raise InvalidRequest("a central point's name has letters, digits and hyphens only, 32 at most")
        secret = self._vaults.for_hub(name)
        certificate = self._certificates.for_server(f"{HUB_NAME} {name}", "hub", public_key)
        return {
            "certificate": certificate,
            "ca": self._certificates.bundle(),
            "tls_crypt_v2": base64.b64encode(secret).decode(),
        }

    def _rotate(self, asked: Mapping[str, Any]) -> dict[str, str]:
        done = self._certificates.rotate(_text(asked, "step"), self.inventory())
        log.warning("rotation of the authority: %s", done)
        return {"done": done, "next": self._certificates.what_next(self.inventory())}

    def _status(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._tell(), "next": self._certificates.what_next(self.inventory())}


def describe(authority: Authority, issued: IssuedList, revocation: Revocation, now: datetime) -> dict[str, Any]:
    """Return what ``status`` says: the authorities, newest first, and the revocation list. Times in ISO 8601.

    :raises Transient: the list of certificates cannot be read now.
    """
    unexpired = issued.unexpired(now)
    generations = []
    for number in sorted(authority.rotation.trusted, reverse=True):
        certificate = authority.issuer(number).certificate
        generations.append(
            {
                "name": str(number),
                "since": certificate.not_valid_before_utc.isoformat(),
                "ends": certificate.not_valid_after_utc.isoformat(),
                "signs": number == authority.signing,
                "certificates": sum(one.authority == number and one.revoked_at is None for one in unexpired),
            }
        )
    return {
        "generations": generations,
        "crl_ends": revocation.ends.isoformat() if revocation.ends else "",
        "revoked": sum(one.revoked_at is not None for one in unexpired),
        # oldest first, so that the newest of a member stays
        "members": {one.holder: one.ends_at.isoformat() for one in unexpired if _counts(one)},
    }


def _counts(one: Issued) -> bool:
    return one.kind not in SERVERS and one.revoked_at is None


_NOBODY = Inventory("", 0, datetime.min.replace(tzinfo=UTC))


def _guarded(name: str, call: Callable[[Mapping[str, Any]], Any], users: Mapping[str, int]) -> rpc.Handler:
    allowed = {0, os.geteuid(), users.get(CALLERS[name], 0)}

    def handle(asked: Mapping[str, Any], user: int) -> Any:
        if user not in allowed:
            raise AuthFailed(f"user id {user} may not ask for {name!r}")
        return call(asked)

    return handle


def _text(asked: Mapping[str, Any], name: str) -> str:
    return _is_text(asked[name])


def _is_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
