"""The routes of ``/v1`` that read the ledger: what was spent, for users what their own jobs cost; and the whole story
of a node, for operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from clues.api import problems, records, wire_records
from clues.api.cursors import Cursor, cursor_of, make_cursor
from clues.api.orders_routes import Name
from clues.api.respond import as_json
from clues.api.watching import Pictures
from clues.errors import Transient
from clues.model import Share
from clues.planner.money.periods import zone_named
from clues.planner.money.sharing import share_out
from clues.ports import Control

#: One claim makes about ten.
_MOST_NOTES = 200

_IN_WORDS = "a day, a month, or a time; in the budgets' time zone"
#: How long somebody waits for their turn.
PATIENCE_SECONDS = 10.0

When = Annotated[str, Query(max_length=40, description=_IN_WORDS, json_schema_extra={"format": "moment"})]
Until = Annotated[str, Query(max_length=40, description=_IN_WORDS, json_schema_extra={"format": "later-moment"})]


def make_records(control: Control, pictures: Pictures, now: Callable[[], datetime]) -> APIRouter:
    """Return the routes over *control*."""
    routes = APIRouter()

    @routes.get(
        "/claims/{node}",
        response_model=wire_records.NodeHistory,
        summary="What became of each VM of a node, the latest first",
    )
    def claims(
        node: Name,
        limit: Annotated[int, Query(ge=1, le=100, description="most claims, the latest ones")] = 20,
        cursor: Cursor = "",
    ) -> Response:
        lens = pictures.lens()
        found = control.past_claims(node, limit + 1, cursor_of("claims", cursor))
        older = make_cursor("claims", found[limit - 1].generation) if len(found) > limit else ""
        found = found[:limit]
        if not found and not cursor and node not in lens.pool_of:
            known = {*lens.pool_of, *(claim.node for claim in lens.claims)}
            raise problems.refuse_names("nothing is known of such a node", [node], known)
        notes = {one.key: control.notes(about=one.key, limit=_MOST_NOTES) for one in found}
        return as_json(records.history(node, found, notes, now(), lens.published.settings.currency, older))

    return routes


def make_cost(
    control: Control, pictures: Pictures, now: Callable[[], datetime], eyes: Callable[[Request], str | None]
) -> APIRouter:
    """Return the route that tells money: operators all of it, users that of their own jobs.

    To share a month of 100,000 jobs out takes some seconds of the daemon's processor, and everybody may ask: one at a
    time.
    """
    routes, reckoning = APIRouter(), Lock()

    @routes.get("/cost", response_model=wire_records.CostList, summary="What was spent, told apart as one likes")
    def cost(
        request: Request,
        by: Annotated[
            list[Literal["pool", "site", "market", "account", "user", "qos", "job", "day", "month"]],
            Query(default_factory=list, max_length=9, description="by what it is told apart; by pool without any"),
        ],
        since: When = "",
        until: Until = "",
    ) -> Response:
        settings = pictures.lens().published.settings
        zone, keys, own = zone_named(settings.budgets.time_zone), by or ["pool"], eyes(request)
        try:
            begin, end = records.span(since, until, now(), zone)
        except records.NoSuchTime as error:
            raise problems.refuse(400, "Not a time", str(error)) from error
        rows = control.spending(begin, end)
        shares: Iterable[Share] = (Share(one.hour, one.pool, one.site, one.account, one.amount) for one in rows)
        jobs_asked = own is not None or not wire_records.OF_JOBS.isdisjoint(keys)
        if not (jobs_asked or "market" in keys):
            return as_json(records.cost(shares, keys, begin, end, zone, settings.currency))
        if not reckoning.acquire(timeout=PATIENCE_SECONDS):
            raise Transient("costs are being shared out for somebody else; try again in a moment")
        try:
            # a VM that was charged ahead has ended before the hour in which it was booked, at most a day
            claims = control.claims_between(begin - timedelta(days=1), end)
            uses = control.job_uses(begin - timedelta(days=1), end) if jobs_asked else ()
            shares = share_out(rows, claims, uses, now())
            if own is not None:
                shares = (one for one in shares if one.user == own)
            told = records.cost(shares, keys, begin, end, zone, settings.currency)
        finally:
            reckoning.release()
        return as_json(replace(told, user=own or ""))

    return routes
