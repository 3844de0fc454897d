"""How long a VM takes from its launch until its node could be opened, learnt from the boots that were seen.

The latest boots of each offer are kept as they are, and quantiles are taken from them: one boot that hung moves no
quantile by much, and what a new image takes is known after a few.  An offer that has never booted is judged by its
site's others, then by what the pool's other offers took elsewhere.  Where nothing was seen nothing is known, and it is
for the asker to say so; who has to reckon with a figure all the same takes :data:`USUAL`.

A boot that failed teaches nothing here: that is for the breakers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from clues.model import Boots, Claim, Kind, Memory, Offer, Pool

#: So many of an offer's latest boots are kept, of so many offers; those that booted last.
KEPT = 20
OFFERS_KEPT = 256

#: Boots outside of these were not timed by a clock that can be believed.
_SHORTEST, _LONGEST = timedelta(milliseconds=50), timedelta(hours=6)

#: What one has to reckon with where nothing was seen: between the minute of a small image and the five of a GPU's.
USUAL = timedelta(minutes=3)


class Source(StrEnum):
    """Whose boots a time was taken from."""

    OFFER = "offer"
    SITE = "site"
    POOL = "pool"
    #: nobody's: it is :data:`USUAL`, and to be told to nobody
    NONE = "none"


@dataclass(frozen=True, slots=True)
class BootTime:
    """How long a boot takes: nine in ten end before ``late``, one in ten before ``early``, half of them before
    ``likely``. Of few boots the range is made wider than they show."""

    early: timedelta
    likely: timedelta
    late: timedelta
    source: Source
    #: boots that it was taken from
    seen: int = 0

    @property
    def known(self) -> bool:
        """Whether any boot was seen that it follows from."""
        return self.source is not Source.NONE


def learn_boot(memory: Memory, before: Claim, claim: Claim) -> Memory:
    """Return *memory* with the boot of a claim that has just become ready for the first time; else as it is."""
    if claim.ready_at is None or before.ready_at is not None or claim.launched_at is None:
        return memory
    took = claim.ready_at - claim.launched_at
    if claim.adopted or claim.probe or not _SHORTEST <= took <= _LONGEST:
        return memory
    key = boots_key(claim)
    others = {name: boots for name, boots in memory.boots.items() if name != key}
    for name in list(others)[: max(0, len(others) + 1 - OFFERS_KEPT)]:
        del others[name]
    known = memory.boots.get(key, Boots()).seconds
    seconds = (*known, round(took.total_seconds(), 1))[-KEPT:]
    return replace(memory, boots={**others, key: Boots(seconds)})


def boots_key(claim: Claim) -> str:
    """Return under which name a claim's boot is remembered: its offer's, or the router's own."""
    return claim.node if claim.kind is Kind.ROUTER else offer_key(claim.offer)


def offer_key(offer: Offer) -> str:
    """Return the name of an offer's boots. One flavor boots alike in all zones of a site."""
    return f"{offer.site}/{offer.flavor}/{offer.market}"


def boot_time(memory: Memory, offer: Offer, pool: Pool | None = None, *, after: timedelta = timedelta(0)) -> BootTime:
    """Return how long a VM of *offer* takes from its launch until it is ready.

    :param pool: whose other offers may stand for one that was never seen, at a site that was never seen.
    :param after: what a boot has taken already: only those that took longer can tell when it will end. One that is
        slower than all that were seen gets ``after`` for all three.
    """
    own = memory.boots.get(offer_key(offer), Boots()).seconds
    if own:
        return _of(own, Source.OFFER, after)
    site = _together(memory, (f"{offer.site}/",))
    if site:
        return _of(site, Source.SITE, after)
    elsewhere = _together(memory, {offer_key(one) for one in pool.offers}) if pool is not None else []
    if elsewhere:
        return _of(elsewhere, Source.POOL, after)
    usual = max(after, USUAL)
    return BootTime(after, usual, max(2 * usual, after), Source.NONE)


def router_time(memory: Memory, node: str, *, after: timedelta = timedelta(0)) -> BootTime | None:
    """Return how long the router *node* takes until its tunnel is up; None when none of that site was seen yet."""
    seconds = memory.boots.get(node, Boots()).seconds
    return _of(seconds, Source.OFFER, after) if seconds else None


def _together(memory: Memory, prefixes: Iterable[str]) -> list[float]:
    """Return all that is known of the offers whose names begin so."""
    starts = tuple(prefixes)
    return [second for key, boots in memory.boots.items() if key.startswith(starts) for second in boots.seconds]


def _of(seconds: Sequence[float], source: Source, after: timedelta) -> BootTime:
    seen = len(seconds)
    gone = after.total_seconds()
    left = sorted(one for one in seconds if one > gone)
    if not left:
        return BootTime(after, after, after, source, seen)
    # few boots do not show how far they may lie apart: the range is widened, less with each
    wider = 1 + 1 / len(left)
    early, likely, late = (quantile(left, share) for share in (0.1, 0.5, 0.9))
    return BootTime(
        max(after, timedelta(seconds=early / wider)),
        timedelta(seconds=likely),
        timedelta(seconds=late * wider),
        source,
        seen,
    )


def quantile(values: Sequence[float], share: float, start: int = 0) -> float:
    """Return the value below which *share* of the sorted *values* from *start* on lie, interpolated; there are some."""
    place = start + share * (len(values) - start - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
