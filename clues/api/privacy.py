"""What a user may see on the socket that is open to all: what Slurm itself would show them.

Slurm's ``PrivateData`` says what it hides from users of what is not theirs. Where it hides jobs, others' jobs are not
in the picture at all, so that no view can show them by mistake; where it hides nodes, neither are nodes.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request

from clues.api.peer import groups_of, name_of, uid_of
from clues.model import Published, Seen

#: Returns the user whose eyes the answer is for; None for who may see everything.
Eyes = Callable[[Request], str | None]


def sees_all(_request: Request) -> None:
    """Say of every caller that they may see everything: for the socket that only operators can open."""


def eyes_of(request: Request) -> str | None:
    """Return the caller's name, or None for root, the daemon's own user, and members of its group."""
    if uid_of(request) in (0, os.geteuid()) or os.getegid() in groups_of(request):
        return None
    return name_of(uid_of(request))


def operators() -> str:
    """Return the name of the group whose members may see and do everything: the daemon's own."""
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return str(os.getegid())


def viewer(published: Published, user: str | None) -> str | None:
    """Return *user* where Slurm hides something from them, else None: all of these see the same."""
    snapshot = published.world.lrms.value
    if user is None or (snapshot is not None and snapshot.private.isdisjoint({"jobs", "nodes"})):
        return None
    return user


def as_seen_by(published: Published, user: str | None) -> Published:
    """Return the picture without what Slurm would not show to *user*."""
    snapshot = published.world.lrms.value
    if user is None or snapshot is None or snapshot.private.isdisjoint({"jobs", "nodes"}):
        return published
    world, plan, settings = published.world, published.plan, published.settings
    own = {job.id for job in snapshot.jobs if job.user == user}
    if "jobs" in snapshot.private:
        snapshot = replace(snapshot, jobs=tuple(job for job in snapshot.jobs if job.id in own))
        plan = replace(
            plan,
            outlooks={job: outlook for job, outlook in plan.outlooks.items() if job in own},
            forecasts={job: forecast for job, forecast in plan.forecasts.items() if job in own},
            seen=Seen(),
        )
        claims = {
            key: replace(claim, jobs=tuple(one for one in claim.jobs if one in own), gang="")
            for key, claim in world.claims.items()
        }
        world = replace(world, claims=claims)
        plan = replace(plan, claims=())
    if "nodes" in snapshot.private:
        snapshot = replace(snapshot, nodes={}, jobs=tuple(replace(job, nodes=()) for job in snapshot.jobs))
        world, settings = replace(world, claims={}), replace(settings, pools={})
        # what they wait for may be a node by its name
        forecasts = {job: replace(forecast, waits_for="") for job, forecast in plan.forecasts.items()}
        plan = replace(plan, claims=(), forecasts=forecasts)
    world = replace(world, lrms=replace(world.lrms, value=snapshot))
    return replace(published, world=world, plan=plan, settings=settings)


def may_read_notes(published: Published, about: str, user: str | None) -> bool:
    """Return whether *user* may read the event log's entries about something: where Slurm hides jobs, or nodes, of the
    user's own jobs alone, since what happened to a node names the jobs that it happened for."""
    snapshot = published.world.lrms.value
    if user is None:
        return True
    if snapshot is None:
        return False
    if snapshot.private.isdisjoint({"jobs", "nodes"}):
        return True
    return about.removeprefix("job ") in {job.id for job in snapshot.jobs if job.user == user}
