"""What the daemon shows of itself after each tick: an immutable picture that any thread may read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from clues.model.catalogue import Settings
from clues.model.world import Plan, World


@dataclass(frozen=True, slots=True)
class LoggedNote:
    """A :class:`~clues.model.Note` as the ledger keeps it; ``id`` only grows, so it serves as a cursor."""

    id: int
    at: datetime
    kind: str
    subject: str
    text: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """The cluster as the last tick saw it and what was decided from that."""

    at: datetime
    started_at: datetime
    ticks: int
    settings: Settings
    world: World
    plan: Plan
    #: how long the last tick took, in CPU-seconds of the daemon's own thread
    tick_seconds: float = 0.0
    #: what keeps the daemon from its work, in words for a sysadmin: a full disk, a broken new configuration, ...
    troubles: tuple[str, ...] = field(default_factory=tuple)
