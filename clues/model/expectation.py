"""What is expected of the time to come, what that is taken from, and how well it was expected before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Boots:
    """How long the latest boots of one offer (or of a site's router) took from launch to ready."""

    #: in seconds, oldest first; no more than the planner keeps
    seconds: tuple[float, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Spot:
    """What was seen of one spot offer's market, as it counted at *as_of*: VM-hours, and VMs that were taken back."""

    hours: float
    interruptions: float
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Lulls:
    """How long nodes of one pool stood idle until the pool had use for one again."""

    #: in seconds, oldest first; no more than the planner keeps
    seconds: tuple[float, ...] = ()
    #: since when those were idle that have been let go, and that nothing was bought for since; the latest last
    let_go: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a pending job is expected to start. What cannot be told is None: then nobody knows it."""

    #: hardly before; with a ``late`` of None, "not before"
    early: datetime | None = None
    likely: datetime | None = None
    #: hardly after, if nothing else comes in between
    late: datetime | None = None
    #: what it waits for, in a few words
    waits_for: str = ""

    @property
    def known(self) -> bool:
        """Whether it says by when."""
        return self.late is not None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one tick saw of the queue that the next one learns from. Kept in memory alone: a restart begins anew."""

    at: datetime | None = None
    #: by pending job, the first forecast for it that said by when; None while there was none
    promised: Mapping[str, Forecast | None] = field(default_factory=dict)
    #: by running job with a time limit, when it started and that limit
    running: Mapping[str, tuple[datetime, timedelta]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good the forecasts were, over all jobs that started: sums, so that means and rates follow from them."""

    #: starts that had a forecast, and those of them that fell within it
    told: int = 0
    inside: int = 0
    #: starts that nothing had been told of
    untold: int = 0
    #: sums of start minus likely start, and of its absolute value, in seconds
    bias_seconds: float = 0.0
    error_seconds: float = 0.0

    @property
    def mean_error(self) -> timedelta | None:
        """Mean absolute error of the likely start; None while no start had a forecast."""
        return timedelta(seconds=self.error_seconds / self.told) if self.told else None

    @property
    def mean_bias(self) -> timedelta | None:
        """How much later than expected jobs start on average; negative: earlier."""
        return timedelta(seconds=self.bias_seconds / self.told) if self.told else None

    @property
    def share_inside(self) -> float | None:
        """Share of the starts that fell within their forecast."""
        return self.inside / self.told if self.told else None
