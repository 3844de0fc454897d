"""The inventory says who is a member, is written when that changes, and its revision never goes back."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from clues.inventory import Inventory
from clues.model import Attach, Claim, ClaimState
from clues.places import Places
from clues.ports import PluginContext
from tests.unit.vrouter.claims import ALL, NOW, claim, router, settings, site
from vrouter import plugin as module
from vrouter.options import OpenVpnConfig
from vrouter.overlay import OpenVpnOverlay
from vrouter.plugin import PLUGIN
from vrouter.publishing import endpoints

WORKER = claim("w", address="10.77.2.10", mac="02:00:00:00:00:01", identity="ab")
ROUTER = router("r", address="10.77.2.9", tunnel="10.77.252.10", identity="cd", fingerprint="AA:BB")
OTHER = router("s", site="bari", address="10.77.3.9", tunnel="10.77.252.11", identity="ef", fingerprint="CC:DD")


@pytest.fixture(autouse=True)
def _no_routes_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_routes", lambda _: ())


def overlay(folder: Path, *, cluster: str = "uuid", **more: object) -> OpenVpnOverlay:
    config = OpenVpnConfig.model_validate({"network": "10.77.0.0/16", "public": "198.51.100.10"} | more)
    context = PluginContext(cluster, "deep", folder, places=Places(folder, folder / "clues.sock"))
    return PLUGIN.build(config, context, ALL)


def written(folder: Path) -> Inventory:
    return Inventory.from_json((folder / "inventory.json").read_text())


def test_the_inventory_holds_what_the_other_processes_go_by(tmp_path: Path) -> None:
    overlay(tmp_path).publish([WORKER, ROUTER], NOW)
    found = written(tmp_path)
    assert (found.cluster, found.network, found.transit) == ("uuid", "10.77.0.0/16", "10.77.252.0/22")
    assert found.routes == ("10.77.1.0/24", "10.77.0.1/32")
    worker, member = found.members
    assert (worker.key, worker.site, worker.address, worker.mac, worker.tunnel, worker.subnets, worker.endpoint) == (
        ("w", "upv", "10.77.2.10", "02:00:00:00:00:01", "", (), "")
    )
    assert (member.tunnel, member.subnets, member.endpoint, member.fingerprint) == (
        ("10.77.252.10", ("10.77.2.0/24",), "198.51.100.20:1195", "AA:BB")
    )


@pytest.mark.parametrize(
    ("state", "member"),
    [
        (ClaimState.PLANNED, False),
        (ClaimState.LAUNCHING, True),
        (ClaimState.BOOTING, True),
        (ClaimState.JOINING, True),
        (ClaimState.READY, True),
        (ClaimState.DRAINING, True),
        (ClaimState.STOPPING, False),
        (ClaimState.FAILED, False),
        (ClaimState.GONE, False),
    ],
)
def test_who_is_evicted_stolen_or_stopping_leaves_at_once(tmp_path: Path, state: ClaimState, member: bool) -> None:
    built = overlay(tmp_path)
    built.publish([WORKER, ROUTER], NOW)
    built.publish([replace(WORKER, state=state), ROUTER], NOW)
    assert [one.key for one in written(tmp_path).members] == (["w", "r"] if member else ["r"])


def test_two_routers_of_which_one_is_reached_from_outside_get_a_shortcut(tmp_path: Path) -> None:
    overlay(tmp_path).publish([ROUTER, OTHER], NOW)
    assert written(tmp_path).shortcuts == (("r", "s"),)
    overlay(tmp_path, shortcuts=False).publish([ROUTER, OTHER], NOW)
    assert written(tmp_path).shortcuts == ()


def test_it_is_written_only_when_something_changes(tmp_path: Path) -> None:
    built, path = overlay(tmp_path), tmp_path / "inventory.json"
    built.publish([WORKER], NOW)
    first = path.stat()
    built.publish([replace(WORKER, reason="another reason", idle_since=NOW)], NOW + timedelta(seconds=1))
    overlay(tmp_path).publish([WORKER], NOW + timedelta(seconds=2))  # a restart
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (first.st_mtime_ns, first.st_ino)
    assert written(tmp_path).written_at == NOW
    built.publish([replace(WORKER, state=ClaimState.DRAINING)], NOW + timedelta(seconds=3))
    assert path.stat().st_ino != first.st_ino


def test_an_empty_cluster_is_written_too(tmp_path: Path) -> None:
    overlay(tmp_path).publish([], NOW)
    assert written(tmp_path).members == ()


def test_the_revision_grows_over_restarts_and_damage(tmp_path: Path) -> None:
    path, seen = tmp_path / "inventory.json", []
    later = NOW

    def publish(*claims: Claim) -> None:
        nonlocal later
        later += timedelta(seconds=1)
        overlay(tmp_path).publish(claims, later)
        seen.append(written(tmp_path).revision)

    publish(WORKER)
    publish(WORKER, ROUTER)
    path.write_text("{")
    later += timedelta(seconds=10)
    publish(WORKER, ROUTER)
    path.unlink()
    later += timedelta(seconds=10)
    publish(WORKER, ROUTER)
    assert seen == sorted(set(seen))


def test_one_that_somebody_took_away_is_written_again(tmp_path: Path) -> None:
    built, path = overlay(tmp_path), tmp_path / "inventory.json"
    built.publish([WORKER], NOW)
    path.unlink()
    built.publish([WORKER], NOW)
    assert [one.key for one in written(tmp_path).members] == ["w"]
    path.write_text(path.read_text().replace('"w"', '"x"'))
    built.publish([WORKER], NOW)
    assert [one.key for one in written(tmp_path).members] == ["w"]


def test_the_inventory_of_another_cluster_is_not_gone_on_with(tmp_path: Path) -> None:
    overlay(tmp_path, cluster="other").publish([WORKER], NOW)
    overlay(tmp_path).publish([WORKER], NOW)
    assert written(tmp_path).cluster == "uuid"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        overlay(tmp_path / "nowhere").publish([WORKER], NOW)


@pytest.mark.parametrize(
    ("public", "endpoint"),
    [("198.51.100.20", "198.51.100.20:1195"), ("gw.example:1300", "gw.example:1300"), ("", None)],
)
def test_routers_are_reached_where_the_configuration_says(public: str, endpoint: str | None) -> None:
    found = endpoints(settings(site("upv", Attach.ROUTER, "10.77.2.0/24", public=public)))
    assert found.get("upv") == endpoint


def test_a_large_cluster_is_compared_quickly(tmp_path: Path) -> None:
    claims = [claim(f"w{n}", address=f"10.77.{n // 250}.{n % 250}") for n in range(5000)]
    built = overlay(tmp_path)
    built.publish(claims, NOW)
    start = time.process_time()
    for _ in range(10):
        built.publish(claims, NOW)
    assert (time.process_time() - start) / 10 < 0.1


def test_a_member_that_a_lost_ledger_may_lack_stands_as_it_is(tmp_path: Path) -> None:
    overlay(tmp_path).publish([WORKER, ROUTER, OTHER], NOW)
    before = written(tmp_path).members
    fresh = overlay(tmp_path)
    fresh.publish([], NOW, lambda _, site: site == "upv")
    assert written(tmp_path).members == before[:2]  # as it was, and of the other site nobody is spared
    fresh.publish([replace(ROUTER, identity="", adopted=True)], NOW, lambda *_: False)
    assert [(one.key, one.identity) for one in written(tmp_path).members] == [("r", "")]


def test_members_of_another_cluster_are_never_spared(tmp_path: Path) -> None:
    overlay(tmp_path, cluster="other").publish([ROUTER], NOW)
    overlay(tmp_path).publish([], NOW, lambda *_: True)
    assert written(tmp_path).members == ()
