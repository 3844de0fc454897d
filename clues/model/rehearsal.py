"""What the next tick would do, told instead of done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clues.model.catalogue import Offer, Settings
from clues.model.expectation import Forecast
from clues.model.world import Outlook


@dataclass(frozen=True, slots=True)
class Purchase:
    """VMs that would be started alike: of one pool (empty: a router's), by one offer."""

    pool: str
    #: with its price in the cluster's currency
    offer: Offer
    nodes: tuple[str, ...]
    #: jobs that they would be bought for
    jobs: tuple[str, ...] = ()

    @property
    def cost_per_hour(self) -> float | None:
        """What all of them cost; None where the price is not known."""
        price = self.offer.price_per_hour
        return None if price is None else price * len(self.nodes)


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one node: ``open``, ``drain`` or ``end``, and why."""

    node: str
    what: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fate:
    """What would become of one pending job."""

    job: str
    user: str
    outlook: Outlook
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A decision that was made on a copy of the world, and of which nothing was carried out."""

    at: datetime
    #: what it was decided by
    settings: Settings
    purchases: tuple[Purchase, ...] = ()
    changes: tuple[Change, ...] = ()
    jobs: tuple[Fate, ...] = ()
    #: what runs and starts, before and after, in the cluster's currency
    cost_per_hour_now: float = 0.0
    cost_per_hour_then: float = 0.0
    #: why nothing would be done at all; empty: there is no such reason
    blind: str = ""
