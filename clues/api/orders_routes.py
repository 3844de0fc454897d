"""The routes of ``/v1`` that act, for operators: orders for nodes, pauses, and trials of images.

Orders are checked as a whole before anything is changed: with one wrong name, nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clues import hostlist
from clues.api import problems, views, wire, wire_clouds
from clues.api.codec import encode
from clues.api.ordering import ordering
from clues.api.respond import as_body, as_json
from clues.api.watching import Pictures
from clues.model import Order, Wish
from clues.ports import Control

#: The verbs of the command line, and the standing order that each of them is.
VERBS: dict[str, Wish | None] = {
    "poweron": Wish.ON,
    "poweroff": Wish.OFF,
    "drain": Wish.DRAIN,
    "disable": Wish.DISABLED,
    "enable": None,
}

#: One that is another is unknown (404), as any other path is.
Verb = Annotated[str, Path(json_schema_extra={"enum": list(VERBS)})]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256), Field(json_schema_extra={"format": "name"})]
Hostlist = Annotated[
    str,
    StringConstraints(min_length=1, max_length=65_536),
    Field(json_schema_extra={"format": "hostlist"}),
]


class NodesBody(BaseModel):
    """The nodes that an order is for, as hostlists: ``["cpu-[001-004]", "gpu-01"]``."""

    model_config = ConfigDict(extra="forbid")
    nodes: list[Hostlist] = Field(min_length=1, max_length=65_536)


class TrialBody(BaseModel):
    """What shall be tried, and where."""

    model_config = ConfigDict(extra="forbid")
    site: str = Field(min_length=1, max_length=63)
    image: str = Field(min_length=1, max_length=256)
    flavor: str = Field("", max_length=256)


def make_orders(control: Control, pictures: Pictures) -> APIRouter:
    """Return the routes of orders for nodes, and of pauses."""
    routes, ordered = APIRouter(), ordering(control)

    @routes.post("/nodes/{verb}", response_model=wire.Accepted, summary="A standing order for nodes")
    def order_nodes(verb: Verb, body: NodesBody, order: Order = ordered) -> Response:
        if verb not in VERBS:
            raise problems.refuse(404, "Unknown order", f"{verb} is not one of {', '.join(VERBS)}")
        names, who = expand(body.nodes), order.deed.who
        lens = pictures.lens()
        ours = {*lens.pool_of, *(site.router_node for site in lens.published.settings.sites.values() if site.router)}
        unknown = [name for name in names if name not in ours]
        if unknown:
            raise problems.refuse_names("not a node of any pool", unknown, ours, "; nothing was changed")
        backed = {claim.node for claim in lens.claims}
        without = tuple(name for name in names if name not in backed) if verb in ("drain", "poweroff") else ()
        accepted = encode(wire.Accepted(verb, tuple(names), who, without))
        return as_body(control.act(order, lambda: control.wish(names, VERBS[verb], who), lambda _: accepted))

    @routes.post("/pause", response_model=wire.Accepted, summary="Buy and stop nothing for now")
    def pause(order: Order = ordered) -> Response:
        return _pause(True, order)

    @routes.post("/resume", response_model=wire.Accepted, summary="End a pause")
    def resume(order: Order = ordered) -> Response:
        return _pause(False, order)

    def _pause(paused: bool, order: Order) -> Response:
        who = order.deed.who
        accepted = encode(wire.Accepted("pause" if paused else "resume", who=who))
        return as_body(control.act(order, lambda: control.pause(paused, who), lambda _: accepted))

    return routes


def make_trials(control: Control) -> APIRouter:
    """Return the routes of trials of images."""
    routes, ordered = APIRouter(prefix="/images/trials"), ordering(control)

    @routes.post("", response_model=wire_clouds.ImageTrial, summary="Start a VM that tries an image")
    def begin(body: TrialBody, order: Order = ordered) -> Response:
        return as_body(
            control.act(
                order,
                lambda: control.try_image(body.site, body.image, body.flavor, order.deed.who),
                lambda changed: encode(views.trial(changed.claims[0])),
            )
        )

    @routes.get("/{key}", response_model=wire_clouds.ImageTrial, summary="How an image's trial goes")
    def look(key: Name) -> Response:
        return as_json(views.trial(control.trial(key)))

    @routes.post("/{key}/stop", response_model=wire_clouds.ImageTrial, summary="End an image's trial")
    def stop(key: Name, order: Order = ordered) -> Response:
        now = control.trial(key)
        return as_body(
            control.act(
                order,
                lambda: control.stop_trial(key),
                lambda changed: encode(views.trial(changed.claims[0] if changed.claims else now)),
            )
        )

    return routes


def expand(hostlists: Sequence[str]) -> list[str]:
    """Return each name once, in order.

    :raises clues.api.problems.Refusal: for a text that is not a hostlist.
    """
    try:
        return list(dict.fromkeys(hostlist.expand(",".join(hostlists))))
    except hostlist.HostlistError as error:
        raise problems.refuse(400, "Not a hostlist", str(error)) from error
