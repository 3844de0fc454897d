"""The routes of ``/v1`` that read the ledger, for operators: what was spent, and the whole story of a node."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from clues.api import problems, records, wire_records
from clues.api.respond import as_json
from clues.api.watching import Pictures
from clues.planner.money.periods import zone_named
from clues.ports import Control

#: One claim makes about ten.
_MOST_NOTES = 200

When = Annotated[str, Query(max_length=40, description="a day, a month, or a time; in the budgets' time zone")]


def make_records(control: Control, pictures: Pictures, now: Callable[[], datetime]) -> APIRouter:
    """Return the routes over *control*."""
    routes = APIRouter()

    @routes.get("/cost", response_model=wire_records.CostList)
    def cost(
        by: Annotated[
            list[Literal["pool", "site", "account", "day", "month"]] | None,
            Query(max_length=5, description="by what it is told apart; by pool without any"),
        ] = None,
        since: When = "",
        until: When = "",
    ) -> Response:
        settings = pictures.lens().published.settings
        zone = zone_named(settings.budgets.time_zone)
        try:
            begin, end = records.span(since, until, now(), zone)
        except records.NoSuchTime as error:
            raise problems.refuse(400, "Not a time", str(error)) from error
        rows = control.spending(begin, end)
        return as_json(records.cost(rows, by or ["pool"], begin, end, zone, settings.currency))

    @routes.get("/claims/{node}", response_model=wire_records.NodeHistory)
    def claims(
        node: Annotated[str, Path(min_length=1, max_length=256)],
        limit: Annotated[int, Query(ge=1, le=100, description="most claims, the latest ones")] = 20,
    ) -> Response:
        lens = pictures.lens()
        found = control.past_claims(node, limit)
        if not found and node not in lens.pool_of:
            known = {*lens.pool_of, *(claim.node for claim in lens.claims)}
            raise problems.refuse_names("nothing is known of such a node", [node], known)
        notes = {one.key: control.notes(about=one.key, limit=_MOST_NOTES) for one in found}
        return as_json(records.history(node, found, notes, now(), lens.published.settings.currency))

    return routes
