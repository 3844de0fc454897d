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
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.params import Depends as DependsOn
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints
from starlette.types import ASGIApp

from clues import __version__
from clues.api import limits, offers, overview, privacy, problems, rehearsal, sites, views, wire, wire_clouds, wire_plan
from clues.api.audit import Audit, make_audit
from clues.api.buckets import Rate
from clues.api.cursors import Cursor, cursor_of, make_cursor
from clues.api.description import describe
from clues.api.following import make_following
from clues.api.guard import Guard
from clues.api.lens import Lens, utc
from clues.api.limiter import Limiter, RateLimit
from clues.api.maintenance import make_maintenance
from clues.api.orders_routes import Hostlist, Name, expand, make_orders, make_trials
from clues.api.page import make_page
from clues.api.records_routes import make_cost, make_records
from clues.api.respond import as_body, as_json
from clues.api.strict import known_parameters
from clues.api.vrouter_routes import make_routes
from clues.api.watching import LONGEST_WAIT_SECONDS, Pictures, Timeout, Wait
from clues.api.who import token_eyes, who
from clues.errors import NotFound
from clues.model import LoggedNote, Published
from clues.ports import Control

#: ``clues.planner.explain.explain``: what one paragraph tells about a node, a job or a site.
Explain = Callable[[Published, str, Sequence[LoggedNote]], str]

#: ``clues.metrics.Exposition.text``: all metrics and their content type, as an ``Accept`` header asks for them.
Metrics = Callable[[str], tuple[bytes, str]]

#: What metrics may be told in, as Prometheus asks.
_TEXTS: dict[str, Any] = {
    kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/openmetrics-text")
}

_NOTES_FOR_EXPLAIN = 20

Change = Annotated[str, StringConstraints(min_length=1, max_length=1024), Field(json_schema_extra={"format": "change"})]


def make_app(
    control: Control,
    explain: Explain,
    metrics: Metrics | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    stopping: Event | None = None,
    open_to_all: bool = False,
    limiter: Limiter | None = None,
    door: Callable[[ASGIApp], ASGIApp] | None = None,
) -> FastAPI:
    """Return the API over *control*. Requests that wait give up when *stopping* is set.

    :param metrics: what ``/metrics`` answers; None: there is no such route.
    :param limiter: how much each caller may ask, shared by all ways in.
    :param door: for who comes by TCP: knows callers by their tokens.
    :param open_to_all: everybody may connect: a caller sees what Slurm would show them; the rest is for operators.
    """
    limiter = limiter or Limiter(Rate(1000.0, 1000), 50)
    pictures = Pictures(control, now, stopping or Event())
    app = FastAPI(
        title="clues",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(known_parameters)],
    )
    app.add_api_route("/v1/openapi.json", lambda: JSONResponse(app.openapi()), include_in_schema=False)
    describe(app, tokens=door is not None)
    app.add_middleware(limits.BodyLimit)
    app.add_middleware(RateLimit, limiter=limiter)
    if door is not None:
        app.add_middleware(door)
    app.add_middleware(Audit, record=control.record)
    app.add_middleware(Guard, any_host=door is not None)
    problems.install(app)
    eyes: privacy.Eyes = privacy.eyes_of if open_to_all else privacy.sees_all
    eyes = eyes if door is None else token_eyes
    app.include_router(_reads(control, pictures, explain, eyes), prefix="/v1")
    app.include_router(make_following(control, pictures, eyes, stopping or Event(), now, limiter), prefix="/v1")
    app.include_router(make_cost(control, pictures, now, eyes), prefix="/v1")
    if door is None:  # a browser shows no token
        app.include_router(make_page(pictures, eyes))
    for routes in (
        _logs(control, pictures),
        _plan(control, pictures),
        make_orders(control, pictures),
        make_trials(control),
        make_maintenance(control, pictures),
    ):
        app.include_router(routes, prefix="/v1", dependencies=operators_only(eyes))
    for make in (make_routes, make_records, make_audit):
        app.include_router(make(control, pictures, now), prefix="/v1", dependencies=operators_only(eyes))
    if metrics is not None:
        app.include_router(_metrics(metrics))
    return app


def operators_only(eyes: privacy.Eyes) -> list[DependsOn]:
    """Return what keeps a route for those who may see, and do, everything."""

    def check(request: Request) -> None:
        if (user := eyes(request)) is not None:
            group = f"membership of the group {privacy.operators()}"
            text = f"{user} may not do this: it takes {group if who(request).way == 'socket' else 'the role operator'}"
            raise problems.refuse(403, "Not permitted", text)

    return [Depends(check)]


def _reads(control: Control, pictures: Pictures, explain: Explain, eyes: privacy.Eyes) -> APIRouter:
    routes = APIRouter()

    def seen(request: Request, wait: int | None = None, timeout: float = LONGEST_WAIT_SECONDS) -> Lens:
        """Return the picture as the caller may see it."""
        return pictures.lens(wait, timeout, eyes(request))

    @routes.get("/status", response_model=wire.ClusterStatus, summary="The cluster in one screen")
    def status(
        request: Request,
        wait: Wait = None,
        timeout: Timeout = 25.0,
        nodes: Annotated[int, Query(ge=0, le=65_536, description="most nodes to list")] = 100,
    ) -> Response:
        lens = seen(request, wait, timeout)
        what = ("status", nodes, id(lens.published))
        return as_body(pictures.told(lens, what, lambda lens: overview.status(lens, most_nodes=nodes)))

    @routes.get("/nodes", response_model=wire.NodeList, summary="Nodes, and the VMs behind them")
    def nodes(
        request: Request,
        names: Annotated[list[Hostlist], Query(default_factory=list, description="hostlists; all nodes without any")],
        all: Annotated[bool, Query(description="nodes outside the pools, too")] = False,
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        lens = seen(request, wait, timeout)
        wanted = expand(names) if names else None
        if wanted is not None and (unknown := views.unknown_nodes(lens, wanted)):
            raise problems.refuse_names("no such node", unknown, {*lens.pool_of, *lens.nodes})
        if wanted is not None:
            return as_json(views.nodes(lens, wanted, outsiders=all))
        what = ("nodes", all, id(lens.published))
        return as_body(pictures.told(lens, what, lambda lens: views.nodes(lens, outsiders=all)))

    @routes.get(
        "/jobs",
        response_model=wire.JobList,
        summary="The queue, with what each job waits for and when it is expected to start",
    )
    def jobs(
        request: Request,
        pending: Annotated[bool, Query(description="only those that have not started")] = False,
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        lens = seen(request, wait, timeout)
        what = ("jobs", pending, id(lens.published))
        return as_body(pictures.told(lens, what, lambda lens: views.jobs(lens, pending_only=pending)))

    @routes.get("/sites", response_model=wire.SiteList, summary="The sites, what runs there and what is allowed")
    def list_sites(request: Request, wait: Wait = None, timeout: Timeout = 25.0) -> Response:
        return as_json(sites.sites(seen(request, wait, timeout)))

    @routes.get(
        "/offers",
        response_model=wire_clouds.OfferList,
        summary="What could be bought where, and what stands against it",
    )
    def list_offers(
        request: Request,
        about: Annotated[list[Name], Query(default_factory=list, description="pools and sites; all without any")],
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        lens = seen(request, wait, timeout)
        if unknown := offers.unknown(lens, about):
            raise problems.refuse_names("no such pool or site", unknown, offers.known(lens))
        return as_json(offers.offers(lens, about))

    @routes.get(
        "/events",
        response_model=wire.EventList,
        summary="The log of decisions and of what came of them, the newest entries",
    )
    def events(
        request: Request,
        after: Annotated[int, Query(ge=0, lt=2**63, description="only what came after: `last` of an answer")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        about: Annotated[str, Query(max_length=256, description="a node, job, site or pool")] = "",
        timeout: Annotated[
            float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds to wait for the first one")
        ] = 0.0,
        cursor: Cursor = "",
    ) -> Response:
        if not privacy.may_read_notes(pictures.lens().published, about, eyes(request)):
            return as_json(views.events((), after))
        notes = pictures.events(after, cursor_of("events", cursor), about, limit + (not after), timeout)
        older = make_cursor("events", notes[1].id) if len(notes) > limit else ""
        return as_json(views.events(notes[-limit:], after, older))

    @routes.get(
        "/explain/{subject:path}",
        response_model=wire.Explanation,
        summary="Why a job waits, or what a node, pool or site is about",
    )
    def explained(subject: str, request: Request) -> Response:
        lens = seen(request)
        about = f"job {subject}" if any(job.id == subject for job in lens.jobs) else subject
        may_read = privacy.may_read_notes(lens.published, about, eyes(request))
        notes = control.notes(about=about, limit=_NOTES_FOR_EXPLAIN) if may_read else []
        try:
            text = explain(lens.published, subject, notes)
        except NotFound as error:
            known = {*lens.pool_of, *lens.nodes, *offers.known(lens), *(job.id for job in lens.jobs)}
            known |= {claim.node for claim in lens.claims}  # a router's is no node of Slurm's
            raise problems.refuse_names("no such node, job, pool or site", [subject[:256]], known) from error
        return as_json(wire.Explanation(subject, text))

    @routes.get("/version", response_model=wire.VersionInfo, summary="Which daemon this is")
    def version() -> Response:
        published = control.published()
        if published is None:
            return as_json(wire.VersionInfo(__version__))
        started = utc(published.started_at)
        return as_json(wire.VersionInfo(__version__, published.settings.cluster, started, published.ticks))

    return routes


def _logs(control: Control, pictures: Pictures) -> APIRouter:
    routes = APIRouter()

    @routes.get("/logs/{node}", response_model=wire_clouds.LogText, summary="A VM's console or boot log")
    def logs(
        node: Name,
        source: Annotated[
            Literal["console", "ssh"], Query(description="the provider's console, or by SSH")
        ] = "console",
    ) -> Response:
        lens = pictures.lens()
        known = {*lens.pool_of, *(claim.node for claim in lens.claims)}
        if node not in known:
            raise problems.refuse_names("not a node of any pool", [node], known)
        found = control.logs(node, ssh=source == "ssh")
        return as_json(wire_clouds.LogText(found.node, found.site, found.instance_id, found.source, found.text))

    @routes.get("/ssh/{node}", response_model=wire_clouds.SshWay, summary="How a VM is reached by SSH, and known")
    def ssh(node: Name) -> Response:
        lens = pictures.lens()
        known = {*lens.pool_of, *(claim.node for claim in lens.claims)}
        if node not in known:
            raise problems.refuse_names("not a node of any pool", [node], known)
        way = control.ssh_way(node)
        return as_json(
            wire_clouds.SshWay(way.node, way.claim, way.address, way.host_keys, way.user, way.identity, way.port)
        )

    return routes


def _metrics(metrics: Metrics) -> APIRouter:
    routes = APIRouter()

    # not below /v1, because that is where Prometheus and its friends look for it
    @routes.get(
        "/metrics", response_class=Response, responses={200: {"content": _TEXTS}}, summary="All metrics, for Prometheus"
    )
    def read(request: Request) -> Response:
        text, content_type = metrics(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    return routes


def _plan(control: Control, pictures: Pictures) -> APIRouter:
    routes = APIRouter()

    @routes.get(
        "/plan", response_model=wire_plan.PlanView, summary="What the next decision would be, also with other settings"
    )
    def plan(
        what_if: Annotated[
            list[Change],
            Query(default_factory=list, max_length=64, description="PATH=VALUE each, as if clues.yaml had it"),
        ],
    ) -> Response:
        paused = pictures.lens().published.world.operator.paused
        return as_json(rehearsal.plan(control.rehearse(what_if), what_if, paused=paused))

    return routes
