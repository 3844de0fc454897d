"""The screens as committed in ``tests/golden/cli``: a change of what people see is seen in review.

To accept a change: ``UPDATE_GOLDEN=1 pytest tests/unit/cli/test_screens.py``, and look at the difference.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clues.api import overview, sites, views, wire
from clues.api.codec import decode, encode
from clues.api.lens import Lens
from clues.cli.commands import events, jobs, nodes, orders, status
from clues.cli.commands import sites as sites_command
from clues.cli.output import View, parse
from clues.cli.tables import Style
from tests.unit.builders import NOW, hybrid, make_note

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"
LENS = Lens.of(hybrid(), NOW)
STATUS = overview.status(LENS)
NARROW, TALL, PIPE = Style(width=60, height=24), Style(width=100, height=50), Style()

SCREENS: dict[str, tuple[View[Any], object, Style]] = {
    "status": (status.VIEW, STATUS, TALL),
    "status-narrow": (status.VIEW, STATUS, NARROW),
    "status-pipe": (status.VIEW, STATUS, PIPE),
    "status-paused": (
        status.VIEW,
        replace(
            STATUS,
            state="paused",
            troubles=("the ledger cannot be written: No space left on device",),
            nodes=(),
            jobs_waiting=(),
        ),
        TALL,
    ),
    "nodes": (nodes.VIEW, views.nodes(LENS, [node.name for node in STATUS.nodes]), Style(width=100)),
    "nodes-narrow": (nodes.VIEW, views.nodes(LENS, ["gpu-01", "gpu-02"]), Style(width=40)),
    "nodes-wide": (nodes.VIEW, views.nodes(LENS, ["cpu-005", "gpu-01", "gpu-02"]), Style(wide=True)),
    "jobs": (jobs.VIEW, views.jobs(LENS), Style(width=100)),
    "jobs-wide": (jobs.VIEW, views.jobs(LENS), Style(wide=True)),
    "sites": (sites_command.VIEW, sites.sites(LENS), PIPE),
    "events": (events.VIEW, views.events([make_note(3), make_note(4, "gpu-02", "1 GPU wanted, none found")]), PIPE),
    "accepted": (orders.VIEW, wire.Accepted("disable", ("gpu-01", "gpu-02", "cpu-001"), "alice"), PIPE),
}


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_is_as_committed(name: str) -> None:
    view, answer, style = SCREENS[name]
    value = parse(view.kind, encode(answer))
    shown = "\n".join(view.lines(value, style)) + "\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(shown)
    assert shown == path.read_text()
    assert all(len(line) <= (style.width or 1000) for line in shown.splitlines())


def test_a_screenful_is_not_more_than_the_screen() -> None:
    crowded = replace(STATUS, nodes=STATUS.nodes * 30, nodes_not_off=5000)
    for height in (24, 40, 80):
        lines = status.lines(crowded, Style(width=100, height=height))
        assert len(lines) <= height
        assert any("more that are not off" in line for line in lines)


def test_when_all_nodes_are_off_the_screen_ends_with_the_pools() -> None:
    quiet = replace(STATUS, nodes=(), nodes_not_off=0, jobs_waiting=())
    assert status.lines(quiet, TALL)[-1].startswith("gpu")


@pytest.mark.parametrize(
    ("view", "answer"),
    [(nodes.VIEW, views.nodes(LENS)), (jobs.VIEW, views.jobs(LENS)), (sites_command.VIEW, sites.sites(LENS))],
)
def test_names_are_one_on_each_line(view: View[Any], answer: Any) -> None:
    names = list(view.names(answer))
    assert names
    assert all(name and " " not in name for name in names)


def test_a_screen_can_be_made_of_the_least_that_a_daemon_may_say() -> None:
    """Every field that has a default may be missing: an older daemon's answer."""
    for kind, make in _LEAST.items():
        value = decode(kind, make)
        view = next(view for view, answer, _ in SCREENS.values() if isinstance(answer, kind))
        assert list(view.lines(value, TALL)) is not None


_LEAST: dict[type[Any], dict[str, Any]] = {
    wire.ClusterStatus: {
        "cluster": "deep",
        "state": "running",
        "pools": [{"name": "cpu"}],
        "nodes": [{"name": "a", "state": "idle"}],
    },
    wire.NodeList: {"nodes": [{"name": "a", "state": "new word"}]},
    wire.JobList: {"jobs": [{"id": "1"}]},
    wire.SiteList: {"sites": [{"name": "aws"}]},
    wire.EventList: {"events": [{"id": 1}]},
    wire.Accepted: {"order": "new verb"},
}
