"""Server-sent events: whoever listens is told what has changed, as soon as it has.

What is new since the tick before is worked out and encoded once for all who see the same (:class:`Feed`); a listener
costs the sending of it, and holds no thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from threading import Event, Lock

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
#: A listener that is further behind gets the whole again.
_CHANGES_KEPT = 32
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


class Feed:
    """What all who see the same are told: the present picture as a whole, and the changes up to it. Any thread."""

    def __init__(self, look: Callable[[], Lens | None]) -> None:
        """:param look: returns the present picture as they may see it; None before there is one."""
        self._look, self._lock = look, Lock()
        self._follower = Follower()
        #: of each: the tick before, its own, and the event
        self._changes: deque[tuple[int, int, bytes]] = deque(maxlen=_CHANGES_KEPT)
        self._whole = (-1, b"")
        self._tick = -1

    def since(self, tick: int) -> list[tuple[int, bytes]] | None:
        """Return the changes after a tick, or with -1 the whole, each as its tick and its event; None: it was too many
        ticks ago, or none of these."""
        with self._lock:
            lens = self._look()
            if lens is None:
                return []
            self._go_on(lens)
            if tick < 0:
                return [self._now(lens)]
            later = [one for one in self._changes if one[1] > tick]
            if later and later[0][0] != tick:
                return None
            return [(own, event) for _, own, event in later]

    def _go_on(self, lens: Lens) -> None:
        if lens.published.ticks == self._tick:
            return
        change = self._follower.take(lens)
        event = _event(change)
        if self._tick < 0:
            self._whole = (change.tick, event)
        else:
            self._changes.append((self._tick, change.tick, event))
        self._tick = change.tick

    def _now(self, lens: Lens) -> tuple[int, bytes]:
        if self._whole[0] != self._tick:
            self._whole = (self._tick, _event(Follower().take(lens)))
        return self._whole


def _event(change: Change) -> bytes:
    return b"event: change\nid: %d\ndata: %s\n\n" % (change.tick, encode(change))


async def changes(feed: Callable[[], Feed], ticks: Callable[[], int], stopping: Event) -> AsyncIterator[bytes]:
    """Go through the changes as server-sent events, until the listener leaves, can no longer be told what has changed
    (and asks anew then), or *stopping* is set.

    :param feed: returns that of all who see what the listener sees; another one when that has become something else.
    :param ticks: returns the number of the last tick.
    """
    mine, told, silent = feed(), -1, 0.0
    while not stopping.is_set():
        if ticks() != told:
            if feed() is not mine:
                return
            events = await run_in_threadpool(mine.since, told)
            if events is None:
                return
            for tick, event in events:
                told, silent = tick, 0.0
                yield event
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
