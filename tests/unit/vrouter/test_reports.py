"""What routers and brokers tell: read strictly, put together, and never a reason to believe that a tunnel is down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.errors import Transient
from clues.model import HubStatus, OverlayStatus, ShortcutStatus, Tunnel
from clues.places import Places
from tests.unit.vrouter.claims import NOW
from vrouter.broker import status as broker
from vrouter.hub.settings import status_path
from vrouter.reports import LONGEST, Reports
from vrouter.statuses import merge, merged_status

MAC = "02:00:00:00:00:66"


def tunnel(key: str, hub: str, age: int) -> Tunnel:
    return Tunnel(key, hub, "203.0.113.9:5000", "10.77.252.10", NOW - timedelta(seconds=age))


def told(hub: str, age: int, *tunnels: Tunnel, up: bool = True) -> OverlayStatus:
    at = NOW - timedelta(seconds=age)
    return OverlayStatus(at, (HubStatus(hub, up, at),), {one.claim: one for one in tunnels})


def test_a_shortcut_is_told_by_the_listening_router_else_by_the_other() -> None:
    reports = Reports()
    assert reports.shortcuts([("a", "b")]) == ()
    reports.heard("b", "bari", "shortcut", "a down 1 2", NOW)
    assert reports.shortcuts([("a", "b")]) == (ShortcutStatus(("a", "b"), False, NOW, 1, 2),)
    later = NOW + timedelta(seconds=5)
    reports.heard("a", "upv", "shortcut", "b up 10 20\nc up 1 1", later)
    assert reports.shortcuts([("a", "b")]) == (ShortcutStatus(("a", "b"), True, later, 10, 20),)
    reports.heard("a", "upv", "shortcut", "b up 11 21", later + timedelta(seconds=5))
    assert reports.shortcuts([("a", "b")]) == (ShortcutStatus(("a", "b"), True, later, 11, 21),)


def test_strangers_are_told_with_their_site() -> None:
    reports = Reports()
    reports.heard("r", "upv", "strangers", f"10.77.2.66 {MAC}\n10.77.2.67 {MAC}", NOW)
    assert reports.strangers() == (f"upv: 10.77.2.66 ({MAC})", f"upv: 10.77.2.67 ({MAC})")
    reports.heard("r", "upv", "strangers", "", NOW)
    assert reports.strangers() == ()


def test_a_router_that_is_gone_is_forgotten() -> None:
    reports = Reports()
    reports.heard("r", "upv", "strangers", f"10.77.2.66 {MAC}", NOW)
    reports.keep(["other"])
    assert reports.strangers() == ()


@given(st.sampled_from(["shortcut", "strangers", "else"]), st.text(max_size=400))
def test_what_a_router_tells_may_have_any_form(kind: str, text: str) -> None:
    reports = Reports()
    reports.heard("r", "upv", kind, text, NOW)
    assert all(one.isprintable() for one in reports.strangers())


def test_a_router_cannot_fill_the_memory() -> None:
    reports = Reports()
    line = f"10.77.2.66 {MAC}\n"
    reports.heard("r", "upv", "strangers", line * 100_000, NOW)
    assert 0 < len(reports.strangers()) <= LONGEST / len(line)
    assert len(reports.strangers()) == 50
    reports.heard("r", "upv", "shortcut", "".join(f"k{n} up 1 1\n" for n in range(100_000)), NOW)
    assert reports.shortcuts([("r", "k0")])
    assert not reports.shortcuts([("r", "k99999")])


def test_a_client_of_two_central_points_is_where_it_connected_last() -> None:
    both = {"hub": told("hub", 1, tunnel("r", "hub", 60)), "second": told("second", 1, tunnel("r", "second", 5))}
    assert merge(["hub", "second"], both).tunnels["r"].hub == "second"
    assert [hub.name for hub in merge(["hub", "second"], both).hubs] == ["hub", "second"]


def test_a_broker_that_fell_silent_does_not_bring_its_tunnels_down() -> None:
    both = {"hub": told("hub", 1), "second": told("second", 60, tunnel("r", "second", 90))}
    status = merge(["hub", "second"], both)
    assert "r" in status.tunnels
    assert status.taken_at == NOW - timedelta(seconds=1)
    assert [(hub.name, hub.up) for hub in status.hubs] == [("hub", True), ("second", False)]
    assert "start clues-broker" in status.hubs[1].trouble
    moved = {**both, "hub": told("hub", 1, tunnel("r", "hub", 30))}
    assert merge(["hub", "second"], moved).tunnels["r"].hub == "hub"


def test_a_central_point_that_its_broker_calls_down_has_no_tunnels(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "clues.sock")
    with pytest.raises(Transient):
        merged_status(places, ["hub"], (), (), NOW)
    path = status_path(places, 0)
    path.parent.mkdir(parents=True)
    broker.write(path, broker.Told(HubStatus("hub", True, NOW), (tunnel("r", "hub", 9),)))
    status = merged_status(places, ["hub", "second"], (), ("upv: x",), NOW)
    assert (list(status.tunnels), status.known, status.strangers) == (["r"], True, ("upv: x",))
    assert [(hub.name, hub.up) for hub in status.hubs] == [("hub", True), ("second", False)]
    broker.write(path, broker.Told(HubStatus("hub", False, NOW), (tunnel("r", "hub", 9),)))
    status = merged_status(places, ["hub", "second"], (), (), NOW)
    assert (dict(status.tunnels), status.known) == ({}, False)
    path.write_text("{")
    with pytest.raises(Transient, match="clues-broker"):
        merged_status(places, ["hub", "second"], (), (), NOW)


def test_a_broker_that_died_before_the_clock_was_set_back_does_not_outdo_those_that_live(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "clues.sock")
    for number, at in enumerate((NOW, NOW + timedelta(hours=1))):
        path = status_path(places, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        name = ("hub", "second")[number]
        broker.write(path, broker.Told(HubStatus(name, True, at), (tunnel(f"r-{name}", name, 9),)))
    status = merged_status(places, ["hub", "second"], (), (), NOW)
    assert [(hub.name, hub.up) for hub in status.hubs] == [("hub", True), ("second", False)]
    assert (status.taken_at, sorted(status.tunnels)) == (NOW, ["r-hub", "r-second"])
