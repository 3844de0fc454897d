"""What somebody ordered or tried: the entry of the audit log, and what makes the repetition of an order harmless."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from clues.model.claim import Claim
from clues.model.world import Operator


@dataclass(frozen=True, slots=True)
class Deed:
    """Who did, or tried, what, and what came of it. Nothing in it is a secret."""

    #: a user's name, or a token's subject
    who: str
    #: ``uid 1000``, or ``SUBJECT at ISSUER``; empty: nobody that could be told
    identity: str
    #: ``socket`` or ``token``
    way: str
    #: ``POST /v1/nodes/drain``
    act: str
    #: what it was done to, shortened
    target: str = ""
    #: the answer's HTTP status
    status: int = 200
    #: why it was refused
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoggedDeed:
    """A deed as the ledger keeps it; ``id`` only grows."""

    id: int
    at: datetime
    deed: Deed


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered the first time."""

    #: SHA-256 (hex) of what was ordered
    digest: str
    #: empty: it was begun, and nobody knows what came of it
    body: bytes


@dataclass(frozen=True, slots=True)
class Changed:
    """What the commit of an order changes: its answer is made of this, before it is on the disk."""

    claims: tuple[Claim, ...] = ()
    #: the standing orders as they were, and as they shall be
    before: Operator = field(default_factory=Operator)
    operator: Operator = field(default_factory=Operator)


@dataclass(frozen=True, slots=True)
class Order:
    """A call that changes something."""

    deed: Deed
    #: what the caller calls this one order, whatever often it is sent; empty: nothing
    key: str = ""
    #: SHA-256 (hex) of what is ordered
    digest: str = ""
