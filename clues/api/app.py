"""The routes of ``/v1``. All state is the daemon's; this is only its counter.

Reads answer from the picture of the last tick. Orders are checked as a whole before anything is changed: with
one wrong name, nothing is. Answers are put together by ``views.py`` and encoded directly, since a validating
framework would take longer over 5,000 nodes than everything else; the framework still checks what comes in,
and describes the API (``/v1/openapi.json``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clues import __version__, hostlist
from clues.api import limits, overview, problems, sites, views, wire
from clues.api.codec import encode
from clues.api.lens import utc
from clues.api.peer import caller
from clues.api.watching import LONGEST_WAIT_SECONDS, Pictures
from clues.errors import NotFound
from clues.model import LoggedNote, Published, Wish
from clues.ports import Control

#: ``clues.planner.explain.explain``: what one paragraph tells about a node, a job or a site.
Explain = Callable[[Published, str, Sequence[LoggedNote]], str]

#: The verbs of the command line, and the standing order that each of them is.
VERBS: dict[str, Wish | None] = {
    "poweron": Wish.ON,
    "poweroff": Wish.OFF,
    "drain": Wish.DRAIN,
    "disable": Wish.DISABLED,
    "enable": None,
}

_NOTES_FOR_EXPLAIN = 20

Wait = Annotated[int | None, Query(ge=0, description="answer when there is a tick after this one")]
Timeout = Annotated[
    float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds after which the present is answered")
]
Hostlist = Annotated[str, StringConstraints(min_length=1, max_length=65_536)]


class NodesBody(BaseModel):
    """The nodes that an order is for, as hostlists: ``["cpu-[001-004]", "gpu-01"]``."""

    model_config = ConfigDict(extra="forbid")
    nodes: list[Hostlist] = Field(min_length=1, max_length=65_536)


def make_app(
    control: Control,
    explain: Explain,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    stopping: Event | None = None,
) -> FastAPI:
    """Return the API over *control*. Requests that wait give up when *stopping* is set."""
    pictures = Pictures(control, now, stopping or Event())
    app = FastAPI(title="clues", version=__version__, openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)
    app.add_middleware(limits.BodyLimit)
    problems.install(app)
    app.include_router(_reads(control, pictures, explain), prefix="/v1")
    app.include_router(_orders(control, pictures), prefix="/v1")
    return app


def _reads(control: Control, pictures: Pictures, explain: Explain) -> APIRouter:
    routes = APIRouter()

    @routes.get("/status", response_model=wire.ClusterStatus)
    def status(
        wait: Wait = None,
        timeout: Timeout = 25.0,
        nodes: Annotated[int, Query(ge=0, le=65_536, description="most nodes to list")] = 100,
    ) -> Response:
        return _json(overview.status(pictures.lens(wait, timeout), most_nodes=nodes))

    @routes.get("/nodes", response_model=wire.NodeList)
    def nodes(
        names: Annotated[list[Hostlist] | None, Query(description="hostlists; all nodes without any")] = None,
        all: Annotated[bool, Query(description="nodes outside the pools, too")] = False,
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        lens = pictures.lens(wait, timeout)
        wanted = None if names is None else _expand(names)
        if wanted is not None and (unknown := views.unknown_nodes(lens, wanted)):
            raise problems.refuse_names("no such node", unknown, {*lens.pool_of, *lens.nodes})
        return _json(views.nodes(lens, wanted, outsiders=all))

    @routes.get("/jobs", response_model=wire.JobList)
    def jobs(wait: Wait = None, timeout: Timeout = 25.0) -> Response:
        return _json(views.jobs(pictures.lens(wait, timeout)))

    @routes.get("/sites", response_model=wire.SiteList)
    def list_sites(wait: Wait = None, timeout: Timeout = 25.0) -> Response:
        return _json(sites.sites(pictures.lens(wait, timeout)))

    @routes.get("/events", response_model=wire.EventList)
    def events(
        after: Annotated[int, Query(ge=0, description="the cursor: `last` of the answer before")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        about: Annotated[str, Query(max_length=256, description="a node, job, site or pool")] = "",
        timeout: Annotated[
            float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds to wait for the first one")
        ] = 0.0,
    ) -> Response:
        return _json(views.events(pictures.events(after, about, limit, timeout), after))

    @routes.get("/explain/{subject:path}", response_model=wire.Explanation)
    def explained(subject: str) -> Response:
        lens = pictures.lens()
        notes = control.notes(about=subject, limit=_NOTES_FOR_EXPLAIN)
        try:
            text = explain(lens.published, subject, notes)
        except NotFound as error:
            known = {*lens.pool_of, *lens.nodes, *lens.published.settings.sites, *(job.id for job in lens.jobs)}
            raise problems.refuse_names("no such node, job or site", [subject[:256]], known) from error
        return _json(wire.Explanation(subject, text))

    @routes.get("/version", response_model=wire.VersionInfo)
    def version() -> Response:
        published = control.published()
        if published is None:
            return _json(wire.VersionInfo(__version__))
        started = utc(published.started_at)
        return _json(wire.VersionInfo(__version__, published.settings.cluster, started, published.ticks))

    return routes


def _orders(control: Control, pictures: Pictures) -> APIRouter:
    routes = APIRouter()

    @routes.post("/nodes/{verb}", response_model=wire.Accepted)
    def order_nodes(verb: str, body: NodesBody, request: Request) -> Response:
        if verb not in VERBS:
            raise problems.refuse(404, "Unknown order", f"{verb} is not one of {', '.join(VERBS)}")
        names, who = _expand(body.nodes), caller(request)
        lens = pictures.lens()
        unknown = [name for name in names if name not in lens.pool_of]
        if unknown:
            raise problems.refuse_names("not a node of any pool", unknown, lens.pool_of, "; nothing was changed")
        control.wish(names, VERBS[verb], who)
        return _json(wire.Accepted(verb, tuple(names), who))

    @routes.post("/pause", response_model=wire.Accepted)
    def pause(request: Request) -> Response:
        return _pause(True, wire.Accepted("pause", who=caller(request)))

    @routes.post("/resume", response_model=wire.Accepted)
    def resume(request: Request) -> Response:
        return _pause(False, wire.Accepted("resume", who=caller(request)))

    def _pause(paused: bool, accepted: wire.Accepted) -> Response:
        control.pause(paused, accepted.who)
        return _json(accepted)

    return routes


def _expand(hostlists: Sequence[str]) -> list[str]:
    """Return each name once, in order.

    :raises clues.api.problems.Refusal: for a text that is not a hostlist.
    """
    try:
        return list(dict.fromkeys(hostlist.expand(",".join(hostlists))))
    except hostlist.HostlistError as error:
        raise problems.refuse(400, "Not a hostlist", str(error)) from error


def _json(value: object) -> Response:
    return Response(encode(value), media_type="application/json")
