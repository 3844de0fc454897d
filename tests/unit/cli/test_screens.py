"""The screens as committed in ``tests/golden/cli``: a change of what people see is seen in review.

To accept a change: ``UPDATE_GOLDEN=1 pytest tests/unit/cli/test_screens.py``, and look at the difference.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from clues.api import (
    offers,
    overview,
    records,
    rehearsal,
    sites,
    views,
    vrouter,
    wire,
    wire_clouds,
    wire_records,
    wire_vrouter,
)
from clues.api.codec import decode, encode
from clues.api.lens import Lens
from clues.api.wire_maintenance import MaintenanceList, MaintenanceView
from clues.cli.commands import cost, doctor, events, history, jobs, maintenance, nodes, orders, status
from clues.cli.commands import offers as offers_command
from clues.cli.commands import plan as plan_command
from clues.cli.commands import sites as sites_command
from clues.cli.commands import vrouter as vrouter_command
from clues.cli.output import View, parse
from clues.cli.tables import Style
from clues.model import Change, ClaimState, Fate, Market, Purchase, Rehearsal, Share
from tests.unit.api.joined import joined, make_ca, make_hub, make_router, make_shortcut, make_status, make_tunnel
from tests.unit.builders import NOW, ago, haggled, hybrid, make_claim, make_note, make_offer

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"
LENS = Lens.of(hybrid(), NOW)
STATUS = overview.status(LENS)
HAGGLED = Lens.of(haggled(), NOW)
JOINED = Lens.of(joined(), NOW)
UPV, IFCA = make_router(), make_router("ifca")
TROUBLED = make_status(
    make_tunnel(UPV),
    make_tunnel(IFCA, since=ago(hours=30), received=0, sent=0),
    hubs=(make_hub(), make_hub("spare", up=False, trouble="its leaf has ended")),
    shortcuts=(make_shortcut(UPV, IFCA),),
    strangers=("upv: 10.77.2.99 (02:00:00:00:00:99)",),
)
DIAGNOSIS = wire_clouds.Diagnosis(
    (
        wire_clouds.FindingView("front-end", "configuration", "good", "/etc/clues/clues.yaml: 3 sites, 2 pools"),
        wire_clouds.FindingView(
            "front-end", "clock", "bad", "nobody keeps it synchronised", "install and start chrony"
        ),
        wire_clouds.FindingView(
            "aws", "flavor g5.2xlarge", "unknown", "the provider does not tell of its GPUs", "boot one"
        ),
    )
)
SPOT = make_offer("aws", "g5.2xlarge", market=Market.SPOT, price_per_hour=0.49)
REHEARSAL = Rehearsal(
    NOW,
    HAGGLED.published.settings,
    (
        Purchase("gpu", SPOT, ("gpu-05", "gpu-06", "gpu-07"), ("4242",)),
        Purchase("", make_offer("upv", "small", price_per_hour=None), ("router-upv",)),
    ),
    (Change("cpu-004", "drain", "idle for 10 min"), Change("gpu-02", "open", "slurmd registered, checks passed")),
    tuple(
        Fate(name, "alice", outlook, HAGGLED.published.plan.forecasts[name])
        for name, outlook in HAGGLED.published.plan.outlooks.items()
    ),
    1.92,
    3.39,
)
SPENT = records.cost(
    [
        Share(ago(days=2), "gpu", "aws", "physics", 31.4),
        Share(ago(days=1), "", "aws", "", 1.2),
        Share(ago(hours=1), "gpu", "aws", "", 0.49),
    ],
    ("day", "pool", "account"),
    ago(days=2),
    NOW,
    UTC,
    "EUR",
)
SHARED = records.cost(
    [
        Share(ago(hours=1), "gpu", "aws", "physics", 31.4, "spot", "alice", "normal", "4188", "job"),
        Share(ago(hours=1), "gpu", "aws", "", 1.2, "spot", use="idle"),
        Share(ago(hours=1), "gpu", "aws", "art", 0.3, "spot", use="unknown"),
        Share(ago(hours=1), "", "aws", "", 0.49, "on-demand", use="router"),
    ],
    ("user", "job", "market"),
    ago(days=2),
    NOW,
    UTC,
    "EUR",
)
STORY = records.history(
    "gpu-02",
    [
        make_claim("gpu-02", ClaimState.JOINING, generation=2, offer=SPOT, launched_at=ago(minutes=9), jobs=("4242",)),
        replace(
            make_claim("gpu-02", ClaimState.GONE, offer=SPOT, failure="boot", account="physics"),
            created_at=ago(hours=1),
            launched_at=ago(minutes=59),
            ended_at=ago(minutes=40),
        ),
    ],
    {"gpu-02-1": [make_note(3, "gpu-02", "launching -> failed: no word from it in 15 min", at=ago(minutes=44))]},
    NOW,
    "EUR",
)
VROUTER = vrouter.status(Lens.of(joined(TROUBLED, [UPV, IFCA]), NOW), make_ca().members)
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
    "status-joined": (status.VIEW, replace(overview.status(JOINED), nodes=(), jobs_waiting=()), TALL),
    "vrouter": (vrouter_command.STATUS, vrouter.status(JOINED, make_ca().members), Style(width=120)),
    "vrouter-troubled": (vrouter_command.STATUS, VROUTER, PIPE),
    "vrouter-wide": (vrouter_command.STATUS, vrouter.status(JOINED, make_ca().members), Style(wide=True)),
    "vrouter-narrow": (vrouter_command.STATUS, VROUTER, NARROW),
    "vrouter-none": (vrouter_command.STATUS, vrouter.status(LENS), PIPE),
    "ca": (vrouter_command.CA_STATUS, vrouter.ca(make_ca(), NOW), PIPE),
    "ca-rotated": (vrouter_command.CA_ROTATED, wire_vrouter.CaRotated("ca-2 is trusted", "ca-2 signs", "root"), PIPE),
    "evicted": (vrouter_command.EVICTED, wire_vrouter.Evicted("3f2a", "router-upv", "upv", "root"), PIPE),
    "nodes": (nodes.VIEW, views.nodes(LENS, [node.name for node in STATUS.nodes]), Style(width=100)),
    "nodes-narrow": (nodes.VIEW, views.nodes(LENS, ["gpu-01", "gpu-02"]), Style(width=40)),
    "nodes-wide": (nodes.VIEW, views.nodes(LENS, ["cpu-005", "gpu-01", "gpu-02"]), Style(wide=True)),
    "jobs": (jobs.VIEW, views.jobs(LENS), Style(width=100)),
    "jobs-wide": (jobs.VIEW, views.jobs(LENS), Style(wide=True)),
    "plan": (plan_command.VIEW, rehearsal.plan(REHEARSAL, ["sites.aws.limits.gpus=16"], paused=False), PIPE),
    "plan-narrow": (plan_command.VIEW, rehearsal.plan(REHEARSAL, [], paused=False), Style(width=80)),
    "plan-blind": (
        plan_command.VIEW,
        rehearsal.plan(Rehearsal(NOW, HAGGLED.published.settings, blind="Slurm was read 4 min ago"), [], paused=True),
        PIPE,
    ),
    "sites": (sites_command.VIEW, sites.sites(LENS), PIPE),
    "sites-wide": (sites_command.VIEW, sites.sites(HAGGLED), Style(wide=True)),
    "offers": (offers_command.VIEW, offers.offers(HAGGLED), PIPE),
    "offers-narrow": (offers_command.VIEW, offers.offers(HAGGLED), Style(width=100)),
    "offers-wide": (offers_command.VIEW, offers.offers(HAGGLED, ["gpu"]), Style(wide=True)),
    "events": (events.VIEW, views.events([make_note(3), make_note(4, "gpu-02", "1 GPU wanted, none found")]), PIPE),
    "cost": (cost.VIEW, SPENT, PIPE),
    "cost-shared": (cost.VIEW, SHARED, PIPE),
    "cost-own": (cost.VIEW, replace(SHARED, rows=SHARED.rows[:1], total=31.4, user="alice"), PIPE),
    "cost-nothing": (cost.VIEW, replace(SPENT, rows=()), PIPE),
    "history": (history.VIEW, STORY, NARROW),
    "history-wide": (history.VIEW, STORY, Style(width=60, wide=True)),
    "doctor": (doctor.VIEW, DIAGNOSIS, PIPE),
    "doctor-narrow": (doctor.VIEW, DIAGNOSIS, Style(width=100)),
    "maintenance": (
        maintenance.LIST,
        MaintenanceList(
            (
                MaintenanceView(
                    3, "aws", "2026-03-07T08:00:00Z", "2026-03-07T12:00:00Z", None, "alice", "emptying", 2, ("4188",)
                ),
                MaintenanceView(
                    4, "upv", "2026-03-09T08:00:00Z", "2026-03-10T08:00:00Z", 172800.0, "bob", "announced", 5
                ),
            )
        ),
        PIPE,
    ),
    "maintenance-none": (maintenance.LIST, MaintenanceList(), PIPE),
    "maintenance-made": (
        maintenance.VIEW,
        MaintenanceView(
            3, "aws", "2026-03-07T08:00:00Z", "2026-03-07T12:00:00Z", None, "alice", "emptying", 2, ("4188",)
        ),
        PIPE,
    ),
    "maintenance-cancelled": (maintenance.VIEW, MaintenanceView(3, "aws", state="cancelled"), PIPE),
    "accepted": (orders.VIEW, wire.Accepted("disable", ("gpu-01", "gpu-02", "cpu-001"), "alice"), PIPE),
    "accepted-off": (
        orders.VIEW,
        wire.Accepted("drain", ("gpu-01", "cpu-001", "cpu-002"), "alice", ("cpu-001", "cpu-002")),
        PIPE,
    ),
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
    assert all(len(line) <= (style.width or 1000) for line in shown.splitlines()) or style.wide


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
    wire_clouds.OfferList: {"offers": [{"pool": "gpu", "site": "aws"}]},
    wire.EventList: {"events": [{"id": 1}]},
    wire_records.CostList: {"rows": [{}], "by": ["pool", "new key"]},
    wire_records.NodeHistory: {"node": "gpu-02", "claims": [{"claim": "gpu-02-1"}]},
    wire_clouds.Diagnosis: {"findings": [{"about": "aws"}]},
    wire.Accepted: {"order": "new verb"},
    MaintenanceList: {"maintenance": [{"number": 1}]},
    MaintenanceView: {"number": 1},
    wire_vrouter.VrouterStatus: {
        "hubs": [{"name": "hub"}],
        "tunnels": [{"node": "router-upv", "state": "new word"}],
        "shortcuts": [{}],
    },
    wire_vrouter.CaView: {"generations": [{"name": "ca-1"}]},
    wire_vrouter.CaRotated: {"done": "something"},
    wire_vrouter.Evicted: {"claim": "3f2a"},
}


def test_budgets_besides_that_of_the_clusters_day_are_told_in_the_head() -> None:
    budgets = (
        wire.BudgetView("the cluster", "day", 14.3, 200.0),
        wire.BudgetView("pool gpu", "month", 3.1, 5.5),
        wire.BudgetView("account physics", "hour", 0.2, 2.0),
    )
    shown = status.lines(replace(STATUS, budgets=budgets), Style(width=120))
    (line,) = [one for one in shown if one.startswith("budget")]
    assert line.split(None, 1)[1].split("   ") == [
        "pool gpu this month 3.10 of 5.50",
        "account physics this hour 0.20 of 2",
    ]
