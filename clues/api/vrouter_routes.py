"""The routes of ``/v1/vrouter``: looking at the private network, putting a VM out of it, and turning the CA over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from clues.api import problems, vrouter, wire_vrouter
from clues.api.codec import encode
from clues.api.ordering import ordering
from clues.api.orders_routes import Name
from clues.api.respond import as_body, as_json
from clues.api.watching import Pictures, Timeout, Wait
from clues.errors import Transient
from clues.model import Order
from clues.ports import Control


class EvictBody(BaseModel):
    """The one VM that an eviction is for: the launch key of its claim, or the name of its node."""

    model_config = ConfigDict(extra="forbid")
    name: Name


def make_routes(control: Control, pictures: Pictures, now: Callable[[], datetime]) -> APIRouter:
    """Return the routes over *control*."""
    routes, ordered = APIRouter(prefix="/vrouter"), ordering(control)

    @routes.get("", response_model=wire_vrouter.VrouterStatus, summary="The private network in one screen")
    def status(wait: Wait = None, timeout: Timeout = 25.0) -> Response:
        lens = pictures.lens(wait, timeout)
        try:
            ends = control.ca_status().members
        except Transient:
            ends = vrouter.NO_ENDS  # everything else is worth telling without the signer
        return as_json(vrouter.status(lens, ends))

    @routes.post("/evict", response_model=wire_vrouter.Evicted, summary="Put a VM out of the cluster at once")
    def evict(body: EvictBody, order: Order = ordered) -> Response:
        lens = pictures.lens()
        claim = vrouter.find(lens, body.name)
        if claim is None:
            known = {one for claim in lens.claims for one in (claim.key, claim.node)}
            raise problems.refuse_names("no VM of this name is in the cluster", [body.name], known)
        key, who = claim.key, order.deed.who
        evicted = encode(wire_vrouter.Evicted(key, claim.node, claim.offer.site, who))
        return as_body(control.act(order, lambda: control.evict(key, who), lambda _: evicted))

    @routes.get("/ca", response_model=wire_vrouter.CaView, summary="The CA's generations and certificates")
    def ca() -> Response:
        return as_json(vrouter.ca(control.ca_status(), now()))

    @routes.post("/ca/rotate", response_model=wire_vrouter.CaRotated, summary="Take the next step to a new CA")
    def rotate(order: Order = ordered) -> Response:
        who = order.deed.who

        def turn() -> bytes:
            step = control.rotate_ca(who)
            return encode(wire_vrouter.CaRotated(step.done, step.next, who))

        return as_body(control.act_outside(order, turn))

    return routes
