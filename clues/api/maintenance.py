"""Maintenance of sites in the API: what is announced, and the two orders."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from clues.api import problems
from clues.api.codec import encode
from clues.api.lens import Lens, utc
from clues.api.ordering import ordering
from clues.api.respond import as_body, as_json
from clues.api.watching import Pictures
from clues.api.wire_maintenance import MaintenanceList, MaintenanceView
from clues.model import Changed, Maintenance, Order
from clues.planner.maintenance.closing import closures, kept_free
from clues.planner.maintenance.overstay import jobs_past
from clues.ports import Control


class MaintenanceBody(BaseModel):
    """A time in which a site is to be empty."""

    model_config = ConfigDict(extra="forbid")
    site: str = Field(min_length=1, max_length=63)
    #: with a zone
    begin: AwareDatetime
    end: AwareDatetime
    ahead_seconds: float | None = Field(None, ge=0, le=366 * 86400)


def make_maintenance(control: Control, pictures: Pictures) -> APIRouter:
    """Return the routes over *control*, for operators."""
    routes, ordered = APIRouter(prefix="/maintenance"), ordering(control)

    @routes.get("", response_model=MaintenanceList, summary="When which site is to be empty")
    def listed() -> Response:
        lens = pictures.lens()
        found = sorted(lens.published.world.operator.maintenance, key=lambda one: (one.begin, one.site))
        return as_json(MaintenanceList(tuple(view(one, lens) for one in found if one.end > lens.now)))

    @routes.post("", response_model=MaintenanceView, summary="Announce that a site is to be empty")
    def announce(body: MaintenanceBody, order: Order = ordered) -> Response:
        lens = pictures.lens()
        if body.site not in (known := lens.published.settings.sites):
            raise problems.refuse_names("no such site", [body.site], known, "; nothing was changed")
        ahead = None if body.ahead_seconds is None else timedelta(seconds=body.ahead_seconds)
        return as_body(
            control.act(
                order,
                lambda: control.announce_maintenance(body.site, body.begin, body.end, ahead, order.deed.who),
                lambda changed: encode(view(changed.operator.maintenance[-1], lens)),
            )
        )

    @routes.post("/{number}/cancel", response_model=MaintenanceView, summary="Call a maintenance off")
    def cancel(number: int, order: Order = ordered) -> Response:
        lens = pictures.lens()

        def told(changed: Changed) -> bytes:
            gone = next(one for one in changed.before.maintenance if one.number == number)
            return encode(view(gone, lens, cancelled=True))

        return as_body(control.act(order, lambda: control.cancel_maintenance(number, order.deed.who), told))

    return routes


def view(one: Maintenance, lens: Lens, *, cancelled: bool = False) -> MaintenanceView:
    """Return a maintenance with what is at its site still."""
    there = {claim.node for claim in lens.claims if claim.offer.site == one.site}
    snapshot = lens.published.world.lrms.value
    pools = lens.published.settings.pools.values()
    windows = {one.site: one}
    kept = kept_free(windows, snapshot, lens.published.world.cluster, lens.now)
    closed = closures(pools, windows, snapshot, lens.now, kept)
    state = "on" if one.begin <= lens.now else "emptying" if closed else "announced"
    return MaintenanceView(
        number=one.number,
        site=one.site,
        begin=utc(one.begin),
        end=utc(one.end),
        ahead_seconds=None if one.ahead is None else one.ahead.total_seconds(),
        who=one.who,
        state="cancelled" if cancelled else state,
        vms=len(there),
        jobs_past_begin=tuple(job.id for job in jobs_past(one, lens.claims, lens.jobs)),
    )
