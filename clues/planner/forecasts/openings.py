"""What can be bought later: an offer is tried again, a budget begins anew, or a maintenance is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf

from clues.model import Attach, Claim, Memory, Offer
from clues.planner.capacity.breaker import against, told
from clues.planner.forecasts.spans import Span, plus, until_booted, until_routed
from clues.planner.money.budget import budget_anew
from clues.planner.queue.jobclass import JobClass, Option
from clues.planner.view import View


@dataclass(frozen=True, slots=True)
class Opening:
    """A purchase that becomes possible: when its nodes would be ready, and what that hangs on."""

    span: Span
    text: str


def openings(classed: JobClass, view: View, memory: Memory, routers: Mapping[str, Claim]) -> list[Opening]:
    """Return by site the soonest purchase that would serve jobs of a class, for the sites where one can be told.

    Whether the next try of an offer works nobody knows: it says only "not before". A budget that begins anew is there.
    """
    best: dict[str, Opening] = {}
    for option in classed.options:
        site = option.offer.site
        late = site in classed.key.too_late_at
        opening = _opening(option, classed.key.account, classed.refusals.get(site, ""), view, memory, routers, late)
        if opening is not None and (site not in best or opening.span < best[site].span):
            best[site] = opening
    return sorted(best.values(), key=lambda one: one.span)


def _opening(
    option: Option, account: str, refusal: str, view: View, memory: Memory, routers: Mapping[str, Claim], late: bool
) -> Opening | None:
    pool, offer = option.pool, option.offer
    price = offer.price_per_hour or 0.0
    site = view.settings.sites.get(offer.site)
    if site is None or site.disabled or view.world.operator.paused:
        return None
    tried = _next_try(memory, pool.name, offer, refusal, view.now)
    paid = budget_anew(view.settings, view.world.spent, pool.name, account, price, view.now)
    window = view.maintenance.get(offer.site)
    shut = window is not None and (late or (pool.name, offer.site) in view.closed_for)
    over = window.end if window is not None and shut else None
    begins = max((at for at in (tried and tried[0], paid, over) if at is not None), default=None)
    if begins is None:
        return None
    wait = (begins - view.now).total_seconds()
    span = plus((wait, wait, wait), until_booted(offer, pool, None, memory, view.now))
    if site.attach is Attach.ROUTER:
        span = plus(span, until_routed(site.name, view, memory, routers))
    if tried is not None:
        return Opening((span[0], inf, inf), tried[1])
    if over is not None and begins == over:
        return Opening(span, f"the end of the maintenance of {offer.site} ({over:%Y-%m-%d %H:%M} UTC)")
    return Opening(span, f"the budget that begins anew ({begins:%Y-%m-%d %H:%M} UTC)")


def _next_try(memory: Memory, pool: str, offer: Offer, refusal: str, now: datetime) -> tuple[datetime, str] | None:
    """Return when an offer that failed lately, or whose site did, is tried again, in words too; None: nothing is held
    against it.

    :param refusal: why it cannot be had now. One whose single try is under way may be had when that has worked.
    """
    breakers = list(against(memory, pool, offer))
    rests = [one.until for one in breakers if one.until > now]
    if rests:
        return max(rests), f"the next try at {offer.site} ({max(rests):%H:%M} UTC)"
    if any(told(one) in refusal for one in breakers):
        return now, f"the try at {offer.site} that is under way"
    return None
