"""What is told of routers, of their sites, and of the workers that wait for them."""

from __future__ import annotations

from typing import Any

import pytest

from clues.errors import NotFound
from clues.model import Attach, Operator, Wish
from clues.planner.explain import explain
from tests.unit.builders import BUSY, ago, make_published
from tests.unit.planner.deciding import job
from tests.unit.planner.routed import DOWN, NO_HUB, SETTINGS, UP, S, planned, routed_settings, router, worker, world
from tests.unit.planner.test_routers import BROKEN

PAPER = worker(state=S.PLANNED, jobs=("101",), reason="for job 101")


def told(subject: str, *claims: Any, settings: Any = SETTINGS, **more: Any) -> str:
    seen = world(*claims, settings=settings, **more)
    return explain(make_published(settings, seen, planned(seen, settings)), subject, [])


def test_a_router_tells_its_state_its_site_and_its_tunnel() -> None:
    text = told("router-upv", router())
    assert "Router router-upv is ready since 60 s, VM i-router-upv at upv (upv/small/on-demand)" in text
    assert "Its tunnel is up since 60 min." in text


@pytest.mark.parametrize(
    ("claims", "overlay", "more", "words"),
    [
        ([router(tunnel_since=None, tunnel_missing_since=ago(seconds=40))], DOWN, {}, "Its tunnel is down since 40 s."),
        ([router(idle_since=ago(minutes=3))], UP, {}, "Without a worker for 3 min."),
        ([router()], NO_HUB, {}, "No central point is known to work now"),
        ([], UP, {}, "Site upv has no router now: it gets one with its first worker."),
        ([], UP, {"memory": BROKEN}, "None can be started now: boot for upv/small/on-demand"),
        ([], UP, {"operator": Operator(wishes={"router-upv": Wish.OFF})}, "An operator's order stands: off."),
    ],
)
def test_a_router_tells_what_is_wrong(claims: Any, overlay: Any, more: Any, words: str) -> None:
    assert words in told("router-upv", *claims, overlay=overlay, **more)
    assert words in told("upv", *claims, overlay=overlay, **more)


def test_a_worker_on_paper_tells_which_router_it_waits_for() -> None:
    text = told("cpu-1", router(S.BOOTING), PAPER, jobs=[job()], overlay=DOWN)
    assert "It waits for the router of upv (booting since 60 s)." in text
    assert "It waits for the router of upv (none yet)." in told("cpu-1", PAPER, jobs=[job()], overlay=DOWN)


def test_its_job_tells_the_same() -> None:
    assert "waits for the router of upv." in told("101", router(S.BOOTING), PAPER, jobs=[job()], overlay=DOWN)


def test_a_worker_out_of_reach_tells_that_it_is_left_alone() -> None:
    text = told("cpu-1", router(S.JOINING), worker(), overlay=DOWN, flags={"cpu-1": BUSY})
    assert "The router of upv does not carry its network now (joining since 60 s)" in text
    assert "does not carry" not in told("cpu-1", router(), worker(), flags={"cpu-1": BUSY})
    direct = routed_settings(attach=Attach.DIRECT, router=None)
    text = told("cpu-1", worker(), overlay=NO_HUB, flags={"cpu-1": BUSY}, settings=direct)
    assert "No central point is known to work, so it cannot be reached now" in text


def test_a_site_without_a_router_has_none_to_tell() -> None:
    assert "router" not in told("aws")
    with pytest.raises(NotFound):
        told("router-aws")
