"""The routes of ``/v1/vrouter``: looking at the private network, putting a VM out of it, and turning the CA over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from clues.api import problems, vrouter, wire_vrouter
from clues.api.peer import caller
from clues.api.respond import as_json
from clues.api.watching import Pictures, Timeout, Wait
from clues.errors import Transient
from clues.ports import Control


class EvictBody(BaseModel):
    """The one VM that an eviction is for: the launch key of its claim, or the name of its node."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=256)


def make_routes(control: Control, pictures: Pictures, now: Callable[[], datetime]) -> APIRouter:
    """Return the routes over *control*."""
    routes = APIRouter(prefix="/vrouter")

    @routes.get("", response_model=wire_vrouter.VrouterStatus)
    def status(wait: Wait = None, timeout: Timeout = 25.0) -> Response:
        lens = pictures.lens(wait, timeout)
        try:
            ends = control.ca_status().members
        except Transient:
            ends = vrouter.NO_ENDS  # everything else is worth telling without the signer
        return as_json(vrouter.status(lens, ends))

    @routes.post("/evict", response_model=wire_vrouter.Evicted)
    def evict(body: EvictBody, request: Request) -> Response:
        lens = pictures.lens()
        claim = vrouter.find(lens, body.name)
        if claim is None:
            known = {one for claim in lens.claims for one in (claim.key, claim.node)}
            raise problems.refuse_names("no VM of this name is in the cluster", [body.name], known)
        who = caller(request)
        control.evict(claim.key, who)
        return as_json(wire_vrouter.Evicted(claim.key, claim.node, claim.offer.site, who))

    @routes.get("/ca", response_model=wire_vrouter.CaView)
    def ca() -> Response:
        return as_json(vrouter.ca(control.ca_status(), now()))

    @routes.post("/ca/rotate", response_model=wire_vrouter.CaRotated)
    def rotate(request: Request) -> Response:
        who = caller(request)
        step = control.rotate_ca(who)
        return as_json(wire_vrouter.CaRotated(step.done, step.next, who))

    return routes
