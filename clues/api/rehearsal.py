"""A rehearsal as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from clues.api import wire_plan
from clues.api.lens import utc
from clues.model import Fate, Purchase, Rehearsal


def plan(rehearsal: Rehearsal, what_if: Sequence[str], *, paused: bool) -> wire_plan.PlanView:
    """Return what a rehearsal showed; jobs in the order of the queue."""
    return wire_plan.PlanView(
        what_if=tuple(what_if),
        at=utc(rehearsal.at),
        blind=rehearsal.blind,
        paused=paused,
        purchases=tuple([_purchase(one) for one in rehearsal.purchases]),
        changes=tuple([wire_plan.ChangeView(one.node, one.what, one.reason) for one in rehearsal.changes]),
        jobs=tuple([_fate(one, rehearsal.at) for one in rehearsal.jobs]),
        cost_per_hour_now=round(rehearsal.cost_per_hour_now, 4),
        cost_per_hour_then=round(rehearsal.cost_per_hour_then, 4),
        currency=rehearsal.settings.currency,
    )


def _purchase(one: Purchase) -> wire_plan.PurchaseView:
    offer, cost = one.offer, one.cost_per_hour
    return wire_plan.PurchaseView(
        pool=one.pool,
        site=offer.site,
        flavor=offer.flavor,
        zone=offer.zone,
        market=offer.market.value,
        offer=offer.key,
        count=len(one.nodes),
        nodes=one.nodes,
        jobs=one.jobs,
        price_per_hour=None if offer.price_per_hour is None else round(offer.price_per_hour, 6),
        cost_per_hour=None if cost is None else round(cost, 4),
    )


def _fate(one: Fate, now: datetime) -> wire_plan.FateView:
    told = one.forecast
    return wire_plan.FateView(
        id=one.job,
        user=one.user,
        verdict=one.outlook.verdict.value,
        pool=one.outlook.pool,
        why=one.outlook.text,
        waits_for=told.waits_for,
        start_early=utc(told.early),
        start_likely=utc(told.likely),
        start_late=utc(told.late),
        start_early_seconds=_ahead(told.early, now),
        start_late_seconds=_ahead(told.late, now),
    )


def _ahead(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else round(max(0.0, (at - now).total_seconds()), 1)
