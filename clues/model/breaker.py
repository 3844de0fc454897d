"""What failed lately and is left alone for a while: an offer, a site, a pool's VMs of one offer, or a whole pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Between whose VMs fail and of which offer they are, in a breaker's key.
AT = " at "


class BreakerState(StrEnum):
    """What a breaker lets through. One that is closed does not exist any more."""

    #: nothing
    OPEN = "open"
    #: one launch, whose answer decides
    PROBING = "probing"
    #: a few at once, twice as many after each that came
    GROWING = "growing"


@dataclass(frozen=True, slots=True)
class Breaker:
    """Something that failed: left alone until ``until``, longer at each failure in a row, then tried with one launch.

    Its key is one of ``SITE`` (quota, credentials, calls that fail), ``SITE/FLAVOR[/ZONE]/MARKET`` (capacity),
    ``POOL at SITE/FLAVOR[/ZONE]/MARKET`` (what is wrong with the VMs, or the request, of one pool) and ``pool POOL``
    (all of that pool's offers fail so).
    """

    key: str
    code: str
    words: str
    since: datetime
    until: datetime
    #: failures in a row; each VM that comes takes one off
    failures: int = 1
    #: when it failed last; None where an earlier version wrote it down
    failed_at: datetime | None = None
    #: so many launches may wait for their answer at once when it is not open
    allowed: int = 1
    #: whose launch or VM failed last (a pool, or a router's node), and of which offer and image it was
    owner: str = ""
    offer: str = ""
    image: str = ""
    #: its cause was seen by other means since: the site's quota was told as used up, or its VMs could not be listed
    seen: bool = False

    def state(self, now: datetime) -> BreakerState:
        """Return what it lets through now."""
        if self.until > now:
            return BreakerState.OPEN
        return BreakerState.PROBING if self.allowed <= 1 else BreakerState.GROWING

    @property
    def site(self) -> str:
        """The site that it is about; a whole pool's is about none."""
        return "" if self.key == pool_key(self.owner) else self.key.rpartition(AT)[2].partition("/")[0]


def pool_key(pool: str) -> str:
    """Return the key of a whole pool's breaker."""
    return f"pool {pool}"
