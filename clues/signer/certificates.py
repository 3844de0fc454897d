"""Issues certificates: made, written down, and only then handed out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from clues.errors import AuthFailed, InvalidRequest
from clues.inventory import Inventory
from clues.signer import leaves, rotation
from clues.signer.authority import Authority
from clues.signer.issued import Issued, IssuedList
from clues.signer.leaves import Usage, identity_of
from clues.signer.rotation import MEANING, Step

#: a member that asks again so soon, with the same key, gets the same certificate
_SAME = timedelta(hours=1)


class Certificates:
    """The authority together with the list of what it issued; any thread may ask it."""

    def __init__(self, authority: Authority, issued: IssuedList, now: Callable[[], datetime]) -> None:
        self._authority, self._issued, self._now = authority, issued, now
        # One at a time: a step of a rotation falls between two certificates, never into one.
        self._lock = threading.Lock()

    def bundle(self) -> str:
        """Return the certificates of all authorities that are trusted, in PEM form."""
        return self._authority.bundle()

    def for_member(self, key: str, kind: str, public_key: ec.EllipticCurvePublicKey) -> str:
        """Return a certificate (PEM) for a member's key, its launch key as common name.

        :raises AuthFailed: this launch key has a certificate for another key: one of the two is a thief's.
        :raises Transient: it could not be written down.
        :raises ConfigError: the authority has ended.
        """
        identity = identity_of(public_key)
        with self._lock:
            now, last = self._now(), self._issued.latest(key)
            if last is not None and last.ends_at > now:
                if last.identity != identity:
                    raise AuthFailed(f"claim {key} has a certificate for another key already")
                if self._still_new(last, now):
                    return last.pem
            return self._issue(key, kind, public_key, Usage.CLIENT, now)

    def for_server(self, name: str, kind: str, public_key: ec.EllipticCurvePublicKey, names: Sequence[str] = ()) -> str:
        """Return a certificate (PEM) for a server of ours.

        :param names: addresses and host names that it is called by.
        :raises InvalidRequest: one of *names* is no name.
        :raises Transient: it could not be written down.
        :raises ConfigError: the authority has ended.
        """
        with self._lock:
            return self._issue(name, kind, public_key, Usage.SERVER, self._now(), names)

    def identity_of(self, key: str) -> str:
        """Return the identity that a member's newest certificate is for; empty: it has none.

        :raises Transient: the list cannot be read now.
        """
        last = self._issued.latest(key)
        return "" if last is None or last.revoked_at is not None else last.identity

    def rotate(self, step: str, inventory: Inventory | None) -> str:
        """Take a step of a rotation (``next``, or its name); return what was done, as a sentence.

        :raises InvalidRequest: there is no such step, it is not its turn, or it would lock somebody out.
        :raises ConfigError: it could not be written.
        """
        with self._lock:
            now, present = self._now(), self._authority.rotation
            turn = rotation.next_step(present)
            if step not in ("next", *Step):
                raise InvalidRequest(f"there is no step {step!r}: it is next, {', '.join(Step)}")
            if step not in ("next", turn):
                raise InvalidRequest(f"the step {step!r} is not next; it is {turn.value!r}: {MEANING[turn]}")
            reason = rotation.obstacle(turn, present, inventory, self._issued.unexpired(now), now)
            if reason:
                raise InvalidRequest(f"not yet ({turn.value}): {reason}")
            match turn:
                case Step.ADD:
                    number = self._authority.add(now)
                    return f"added: authority {number} is trusted, and signs nothing yet"
                case Step.SWITCH:
                    return f"switched: authority {self._authority.switch(now)} signs"
                case Step.DROP:
                    return f"dropped: authority {self._authority.drop(now)} is trusted no more, its key destroyed"

    def what_next(self, inventory: Inventory | None) -> str:
        """Return what the next step of a rotation would do, and what is in its way, as a sentence.

        :raises Transient: the list cannot be read now.
        """
        now, present = self._now(), self._authority.rotation
        turn = rotation.next_step(present)
        reason = rotation.obstacle(turn, present, inventory, self._issued.unexpired(now), now)
        return f"{turn.value}: {MEANING[turn]}" + (f" (not yet: {reason})" if reason else "")

    def _still_new(self, last: Issued, now: datetime) -> bool:
        present = self._authority.rotation
        return (
            last.revoked_at is None
            and last.authority == self._authority.signing
            and last.issued_at > present.changed_at
            and last.issued_at <= now < last.issued_at + _SAME
        )

    def _issue(
        self,
        holder: str,
        kind: str,
        public_key: ec.EllipticCurvePublicKey,
        usage: Usage,
        now: datetime,
        names: Sequence[str] = (),
    ) -> str:
        number = self._authority.signing
        leaf = leaves.issue(self._authority.issuer(number), public_key, holder, usage, now, names=names)
        pem = leaves.to_pem(leaf)
        self._issued.record(
            Issued(
                serial=leaf.serial_number,
                holder=holder,
                identity=identity_of(public_key),
                kind=kind,
                authority=number,
                issued_at=now,
                ends_at=leaf.not_valid_after_utc,
                pem=pem,
            )
        )
        return pem
