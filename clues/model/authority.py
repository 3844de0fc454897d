"""What the signer tells of the cluster's CA, for people: its generations, and what a rotation does next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clues.errors import Transient


@dataclass(frozen=True, slots=True)
class CaGeneration:
    """One key of the CA, trusted by all members until it is dropped."""

    name: str
    since: datetime
    ends: datetime
    #: new certificates are signed by it; true for one of them
    signs: bool
    #: unexpired certificates that it has signed
    certificates: int = 0


@dataclass(frozen=True, slots=True)
class CaStatus:
    """The CA at one moment; ``generations`` newest first."""

    generations: tuple[CaGeneration, ...]
    #: when the revocation list that is in use ends; None: there is none
    crl_ends: datetime | None = None
    #: certificates on it
    revoked: int = 0
    #: what the next step of a rotation is
    next: str = ""
    #: when the newest certificate of each member ends, by launch key
    members: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def from_answer(cls, answer: Any) -> CaStatus:
        """Return what the signer's ``status`` answered.

        :raises Transient: it is not of the form that is known here.
        """
        try:
            return cls(
                generations=tuple(_generation(one) for one in answer["generations"]),
                crl_ends=_time(answer["crl_ends"]) if answer["crl_ends"] else None,
                revoked=int(answer["revoked"]),
                next=str(answer["next"]),
                members={str(key): _time(end) for key, end in answer.get("members", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Transient(f"the signer's answer is not understood ({error}): is it of another version?") from error


@dataclass(frozen=True, slots=True)
class CaStep:
    """One step of a rotation: what was done, and what comes next."""

    done: str
    next: str

    @classmethod
    def from_answer(cls, answer: Any) -> CaStep:
        """Return what the signer's ``rotate`` answered.

        :raises Transient: it is not of the form that is known here.
        """
        try:
            return cls(done=str(answer["done"]), next=str(answer["next"]))
        except (KeyError, TypeError) as error:
            raise Transient(f"the signer's answer is not understood ({error}): is it of another version?") from error


def _generation(raw: Mapping[str, Any]) -> CaGeneration:
    return CaGeneration(
        name=str(raw["name"]),
        since=_time(raw["since"]),
        ends=_time(raw["ends"]),
        signs=bool(raw["signs"]),
        certificates=int(raw["certificates"]),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time
