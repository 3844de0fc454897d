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
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.params import Depends as DependsOn
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clues import __version__, hostlist
from clues.api import limits, offers, overview, privacy, problems, rehearsal, sites, views, wire, wire_clouds, wire_plan
from clues.api.audit import Audit, make_audit
from clues.api.codec import encode
from clues.api.following import make_following
from clues.api.guard import Guard
from clues.api.lens import Lens, utc
from clues.api.ordering import ordering
from clues.api.page import make_page
from clues.api.records_routes import make_records
from clues.api.respond import as_body, as_json
from clues.api.vrouter_routes import make_routes
from clues.api.watching import LONGEST_WAIT_SECONDS, Pictures, Timeout, Wait
from clues.errors import NotFound
from clues.model import LoggedNote, Order, Published, Wish
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

#: ``clues.metrics.Exposition.text``: all metrics and their content type, as an ``Accept`` header asks for them.
Metrics = Callable[[str], tuple[bytes, str]]

_NOTES_FOR_EXPLAIN = 20

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Change = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Hostlist = Annotated[str, StringConstraints(min_length=1, max_length=65_536)]


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


def make_app(
    control: Control,
    explain: Explain,
    metrics: Metrics | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    stopping: Event | None = None,
    open_to_all: bool = False,
) -> FastAPI:
    """Return the API over *control*. Requests that wait give up when *stopping* is set.

    :param metrics: what ``/metrics`` answers; None: there is no such route.
    :param open_to_all: everybody may connect: a caller sees what Slurm would show them; the rest is for operators.
    """
    pictures = Pictures(control, now, stopping or Event())
    app = FastAPI(title="clues", version=__version__, openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)
    app.add_middleware(limits.BodyLimit)
    app.add_middleware(Audit, record=control.record)
    app.add_middleware(Guard)
    problems.install(app)
    eyes = privacy.eyes_of if open_to_all else privacy.sees_all
    app.include_router(_reads(control, pictures, explain, eyes), prefix="/v1")
    app.include_router(make_following(control, pictures, eyes, stopping or Event(), now), prefix="/v1")
    app.include_router(make_page(pictures, eyes))
    for routes in (_logs(control, pictures), _plan(control, pictures), _orders(control, pictures), _trials(control)):
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
            text = f"{user} may not do this: it takes membership of the group {privacy.operators()}"
            raise problems.refuse(403, "Not permitted", text)

    return [Depends(check)]


def _reads(control: Control, pictures: Pictures, explain: Explain, eyes: privacy.Eyes) -> APIRouter:
    routes = APIRouter()

    def seen(request: Request, wait: int | None = None, timeout: float = LONGEST_WAIT_SECONDS) -> Lens:
        """Return the picture as the caller may see it."""
        return pictures.lens(wait, timeout, lambda published: privacy.as_seen_by(published, eyes(request)))

    @routes.get("/status", response_model=wire.ClusterStatus)
    def status(
        request: Request,
        wait: Wait = None,
        timeout: Timeout = 25.0,
        nodes: Annotated[int, Query(ge=0, le=65_536, description="most nodes to list")] = 100,
    ) -> Response:
        return as_json(overview.status(seen(request, wait, timeout), most_nodes=nodes))

    @routes.get("/nodes", response_model=wire.NodeList)
    def nodes(
        request: Request,
        names: Annotated[list[Hostlist] | None, Query(description="hostlists; all nodes without any")] = None,
        all: Annotated[bool, Query(description="nodes outside the pools, too")] = False,
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        lens = seen(request, wait, timeout)
        wanted = None if names is None else _expand(names)
        if wanted is not None and (unknown := views.unknown_nodes(lens, wanted)):
            raise problems.refuse_names("no such node", unknown, {*lens.pool_of, *lens.nodes})
        return as_json(views.nodes(lens, wanted, outsiders=all))

    @routes.get("/jobs", response_model=wire.JobList)
    def jobs(
        request: Request,
        pending: Annotated[bool, Query(description="only those that have not started")] = False,
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        return as_json(views.jobs(seen(request, wait, timeout), pending_only=pending))

    @routes.get("/sites", response_model=wire.SiteList)
    def list_sites(request: Request, wait: Wait = None, timeout: Timeout = 25.0) -> Response:
        return as_json(sites.sites(seen(request, wait, timeout)))

    @routes.get("/offers", response_model=wire_clouds.OfferList)
    def list_offers(
        request: Request,
        about: Annotated[list[Name] | None, Query(description="pools and sites; all offers without any")] = None,
        wait: Wait = None,
        timeout: Timeout = 25.0,
    ) -> Response:
        lens = seen(request, wait, timeout)
        if unknown := offers.unknown(lens, about or ()):
            raise problems.refuse_names("no such pool or site", unknown, offers.known(lens))
        return as_json(offers.offers(lens, about or ()))

    @routes.get("/events", response_model=wire.EventList)
    def events(
        request: Request,
        after: Annotated[int, Query(ge=0, description="the cursor: `last` of the answer before")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        about: Annotated[str, Query(max_length=256, description="a node, job, site or pool")] = "",
        timeout: Annotated[
            float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds to wait for the first one")
        ] = 0.0,
    ) -> Response:
        if not privacy.may_read_notes(pictures.lens().published, about, eyes(request)):
            return as_json(views.events((), after))
        return as_json(views.events(pictures.events(after, about, limit, timeout), after))

    @routes.get("/explain/{subject:path}", response_model=wire.Explanation)
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

    @routes.get("/version", response_model=wire.VersionInfo)
    def version() -> Response:
        published = control.published()
        if published is None:
            return as_json(wire.VersionInfo(__version__))
        started = utc(published.started_at)
        return as_json(wire.VersionInfo(__version__, published.settings.cluster, started, published.ticks))

    return routes


def _logs(control: Control, pictures: Pictures) -> APIRouter:
    routes = APIRouter()

    @routes.get("/logs/{node}", response_model=wire_clouds.LogText)
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

    @routes.get("/ssh/{node}", response_model=wire_clouds.SshWay)
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
    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def read(request: Request) -> Response:
        text, content_type = metrics(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    return routes


def _plan(control: Control, pictures: Pictures) -> APIRouter:
    routes = APIRouter()

    @routes.get("/plan", response_model=wire_plan.PlanView)
    def plan(
        what_if: Annotated[
            list[Change] | None, Query(max_length=64, description="PATH=VALUE each, as if clues.yaml had it")
        ] = None,
    ) -> Response:
        changes = what_if or []
        paused = pictures.lens().published.world.operator.paused
        return as_json(rehearsal.plan(control.rehearse(changes), changes, paused=paused))

    return routes


def _orders(control: Control, pictures: Pictures) -> APIRouter:
    routes, ordered = APIRouter(), ordering(control)

    @routes.post("/nodes/{verb}", response_model=wire.Accepted)
    def order_nodes(verb: str, body: NodesBody, order: Order = ordered) -> Response:
        if verb not in VERBS:
            raise problems.refuse(404, "Unknown order", f"{verb} is not one of {', '.join(VERBS)}")
        names, who = _expand(body.nodes), order.deed.who
        lens = pictures.lens()
        ours = {*lens.pool_of, *(site.router_node for site in lens.published.settings.sites.values() if site.router)}
        unknown = [name for name in names if name not in ours]
        if unknown:
            raise problems.refuse_names("not a node of any pool", unknown, ours, "; nothing was changed")
        backed = {claim.node for claim in lens.claims}
        without = tuple(name for name in names if name not in backed) if verb in ("drain", "poweroff") else ()
        accepted = encode(wire.Accepted(verb, tuple(names), who, without))
        return as_body(control.act(order, lambda: control.wish(names, VERBS[verb], who), lambda _: accepted))

    @routes.post("/pause", response_model=wire.Accepted)
    def pause(order: Order = ordered) -> Response:
        return _pause(True, order)

    @routes.post("/resume", response_model=wire.Accepted)
    def resume(order: Order = ordered) -> Response:
        return _pause(False, order)

    def _pause(paused: bool, order: Order) -> Response:
        who = order.deed.who
        accepted = encode(wire.Accepted("pause" if paused else "resume", who=who))
        return as_body(control.act(order, lambda: control.pause(paused, who), lambda _: accepted))

    return routes


def _trials(control: Control) -> APIRouter:
    routes, ordered = APIRouter(prefix="/images/trials"), ordering(control)

    @routes.post("", response_model=wire_clouds.ImageTrial)
    def begin(body: TrialBody, order: Order = ordered) -> Response:
        return as_body(
            control.act(
                order,
                lambda: control.try_image(body.site, body.image, body.flavor, order.deed.who),
                lambda claims: encode(views.trial(claims[0])),
            )
        )

    @routes.get("/{key}", response_model=wire_clouds.ImageTrial)
    def look(key: Name) -> Response:
        return as_json(views.trial(control.trial(key)))

    @routes.post("/{key}/stop", response_model=wire_clouds.ImageTrial)
    def stop(key: Name, order: Order = ordered) -> Response:
        now = control.trial(key)
        return as_body(
            control.act(
                order,
                lambda: control.stop_trial(key),
                lambda claims: encode(views.trial(claims[0] if claims else now)),
            )
        )

    return routes


def _expand(hostlists: Sequence[str]) -> list[str]:
    """Return each name once, in order.

    :raises clues.api.problems.Refusal: for a text that is not a hostlist.
    """
    try:
        return list(dict.fromkeys(hostlist.expand(",".join(hostlists))))
    except hostlist.HostlistError as error:
        raise problems.refuse(400, "Not a hostlist", str(error)) from error
