"""Server-sent events: whoever listens is told what has changed, as soon as it has.

One picture is shared by all: a listener costs a comparison a tick and holds no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from threading import Event

from starlette.concurrency import run_in_threadpool

from clues.api import overview, views, wire
from clues.api.codec import encode
from clues.api.lens import Lens, utc
from clues.api.wire_page import Change

#: The longest queue that is sent.
MOST_JOBS = 500
#: Listeners at once.
MOST_LISTENERS = 50
_LOOK_SECONDS = 0.5
#: A line that says nothing, so that what stands between keeps the connection open.
_STILL_HERE_SECONDS = 15.0


class Follower:
    """One listener: what it knows, and so what is new to it."""

    def __init__(self) -> None:
        self._nodes: dict[str, wire.NodeView] = {}
        self._status: wire.ClusterStatus | None = None
        self._jobs: tuple[wire.JobView, ...] | None = None

    def take(self, lens: Lens) -> Change:
        """Return what a picture holds that was not told before."""
        nodes = {node.name: _timeless(node) for node in views.nodes(lens, outsiders=True).nodes}
        every = views.jobs(lens).jobs
        pending = [job for job in every if job.state == "pending"]
        shown = (*pending, *(job for job in every if job.state != "pending"))[:MOST_JOBS]
        jobs = tuple(_ageless(job) for job in shown)
        status = _without_ages(overview.status(lens, most_nodes=0))
        change = Change(
            tick=lens.published.ticks,
            at=utc(lens.published.at),
            status=() if status == self._status else (status,),
            nodes=tuple(node for name, node in nodes.items() if self._nodes.get(name) != node),
            gone=tuple(name for name in self._nodes if name not in nodes),
            queue_changed=jobs != self._jobs,
            jobs=() if jobs == self._jobs else jobs,
            jobs_total=len(every),
        )
        self._nodes, self._status, self._jobs = nodes, status, jobs
        return change


async def changes(look: Callable[[], Lens | None], ticks: Callable[[], int], stopping: Event) -> AsyncIterator[bytes]:
    """Go through the changes as server-sent events, until the listener leaves or *stopping* is set.

    :param look: returns the present picture as the listener may see it; None before there is one.
    :param ticks: returns the number of the last tick.
    """
    follower, told, silent = Follower(), -1, 0.0
    while not stopping.is_set():
        if ticks() != told and (lens := await run_in_threadpool(look)) is not None:
            change = await run_in_threadpool(follower.take, lens)
            told, silent = change.tick, 0.0
            yield b"event: change\nid: %d\ndata: %s\n\n" % (told, encode(change))
        elif silent >= _STILL_HERE_SECONDS:
            silent = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_SECONDS)
        silent += _LOOK_SECONDS


def _timeless(node: wire.NodeView) -> wire.NodeView:
    return replace(node, age_seconds=None)


def _ageless(job: wire.JobView) -> wire.JobView:
    return replace(job, age_seconds=None, start_early_seconds=None, start_late_seconds=None)


def _ageless_site(site: wire.SiteView) -> wire.SiteView:
    resting = tuple(replace(one, again_seconds=0.0) for one in site.resting)
    return replace(site, age_seconds=None, credentials_seconds=None, resting=resting)


def _without_ages(status: wire.ClusterStatus) -> wire.ClusterStatus:
    """Return *status* with what changes by itself left out; ages of observations to the next ten seconds, which is what
    a person reads of them."""
    return replace(
        status,
        at="",
        tick=0,
        spent_today=round(status.spent_today, 2),
        observations=tuple(
            replace(one, age_seconds=None if one.age_seconds is None else one.age_seconds // 10 * 10.0)
            for one in status.observations
        ),
        sites=tuple(_ageless_site(site) for site in status.sites),
        links=tuple(replace(link, age_seconds=None) for link in status.links),
    )
