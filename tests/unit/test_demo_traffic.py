"""The demo's sums of bytes: counters of tunnels begin again, and end before somebody has asked for their last value."""

from __future__ import annotations

import pytest

from tests.lab.demo.traffic import Traffic, in_bytes


def tunnel(claim: str, received: int, sent: int, hub: str = "main") -> dict[str, object]:
    return {"claim": claim, "hub": hub, "received": received, "sent": sent}


def test_what_a_tunnel_carried_stays_counted_when_it_begins_again_or_ends() -> None:
    traffic = Traffic()
    for one in ([tunnel("a", 10, 5)], [tunnel("a", 30, 5), tunnel("b", 1, 1)], [tunnel("a", 2, 2)], []):
        traffic.look({"tunnels": one, "shortcuts": []})
    assert traffic.hub_bytes == 35 + 4 + 2
    assert traffic.tunnels == 2


def test_a_router_without_a_tunnel_counts_for_nothing() -> None:
    traffic = Traffic()
    traffic.look({"tunnels": [tunnel("a", 0, 0, hub="")]})
    traffic.look({})
    assert (traffic.tunnels, traffic.hub_bytes, traffic.shortcuts, traffic.shortcut_bytes) == (0, 0, 0, 0)


def test_shortcuts_are_counted_by_themselves() -> None:
    traffic = Traffic()
    shortcut = {"claims": ["a", "b"], "state": "up", "received": 7, "sent": 3}
    traffic.look({"tunnels": [], "shortcuts": [shortcut, {**shortcut, "claims": ["a", "c"], "state": "down"}]})
    assert (traffic.shortcuts, traffic.shortcut_bytes, traffic.hub_bytes) == (1, 10, 0)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB")])
def test_bytes_are_told_in_a_unit(count: int, text: str) -> None:
    assert in_bytes(count) == text
