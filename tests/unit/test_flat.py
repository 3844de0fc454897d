"""The flat overlay hands out each address once, and not again before it has rested."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clues.errors import ConfigError, QuotaExceeded
from clues.inventory import Inventory
from clues.model import Claim, ClaimState, Kind, Offer, Pace, Resources, Settings, Site
from clues.ports import PluginContext
from vrouter.addressing import choose
from vrouter.flat import PLUGIN, FlatConfig, FlatOverlay

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REST = timedelta(minutes=2)


def claim(
    key: str,
    address: str = "",
    *,
    site: str = "upv",
    state: ClaimState = ClaimState.BOOTING,
    ended: timedelta | None = None,
) -> Claim:
    """A claim; *ended* is how long ago it ended."""
    return Claim(
        key=key,
        kind=Kind.WORKER,
        node=key,
        pool="cpu",
        generation=1,
        offer=Offer(site, "m1", "image"),
        shape=Resources(),
        state=state if ended is None else ClaimState.GONE,
        since=NOW - timedelta(days=1),
        created_at=NOW,
        address=address,
        ended_at=None if ended is None else NOW - ended,
    )


def overlay(**networks: str) -> FlatOverlay:
    sites = {name: Site(name, "local", network=network) for name, network in networks.items()}
    settings = Settings("deep", sites, {}, pace=Pace(quarantine=REST))
    context = PluginContext(cluster="uuid", name="deep", state=Path("/nowhere"))
    return PLUGIN.build(FlatConfig(network="10.77.0.0/16"), context, settings)


def test_the_lowest_free_address_is_given_from_10_up() -> None:
    flat = overlay(upv="10.77.2.0/24", cesnet="10.77.1.0/24")
    held = [claim("a", "10.77.2.10"), claim("b", "10.77.2.12"), claim("c", "10.77.1.11", site="cesnet")]
    assert flat.reserve(claim("new"), held, NOW).address == "10.77.2.11"
    assert flat.reserve(claim("new", site="cesnet"), held, NOW).address == "10.77.1.10"


@pytest.mark.parametrize(
    ("ended", "given"),
    [
        (timedelta(seconds=119), "10.77.2.11"),
        (timedelta(seconds=120), "10.77.2.10"),
        (timedelta(seconds=-60), "10.77.2.11"),
    ],
)
def test_an_address_rests_after_its_claim_has_ended(ended: timedelta, given: str) -> None:
    flat = overlay(upv="10.77.2.0/24")
    assert flat.reserve(claim("new"), [claim("old", "10.77.2.10", ended=ended)], NOW).address == given


def test_a_failed_claim_holds_its_address_until_its_vm_is_gone() -> None:
    flat = overlay(upv="10.77.2.0/24")
    failed = claim("old", "10.77.2.10", state=ClaimState.FAILED)
    assert flat.reserve(claim("new"), [failed], NOW).address == "10.77.2.11"


def test_asked_again_it_answers_the_same() -> None:
    flat = overlay(upv="10.77.2.0/24")
    mine = claim("mine", "10.77.2.14")
    assert flat.reserve(mine, [mine, claim("a", "10.77.2.10")], NOW).address == "10.77.2.14"


def test_a_full_range_is_a_quota() -> None:
    flat = overlay(upv="10.77.2.0/28")  # .10 to .14
    held = [claim(str(number), f"10.77.2.{number}") for number in range(10, 15)]
    assert flat.reserve(claim("new"), held[:-1], NOW).address == "10.77.2.14"
    with pytest.raises(QuotaExceeded, match=r"site upv: no address of 10\.77\.2\.0/28 is free"):
        flat.reserve(claim("new"), held, NOW)


@pytest.mark.parametrize("network", ["", "workers"])
def test_where_the_cloud_chooses_nothing_is_reserved(network: str) -> None:
    assert overlay(upv=network).reserve(claim("new"), [], NOW).address == ""


@given(st.sets(st.integers(10, 30)), st.sets(st.integers(10, 30)))
def test_no_two_claims_ever_share_an_address(live: set[int], resting: set[int]) -> None:
    network = ipaddress.ip_network("10.77.2.0/27")
    claims = [claim(f"l{number}", f"10.77.2.{number}") for number in live]
    claims += [claim(f"r{number}", f"10.77.2.{number}", ended=timedelta(seconds=1)) for number in resting]
    free = sorted(set(range(10, 31)) - live - resting)
    if free:
        assert choose(network, claim("new"), claims, NOW, REST, lambda one: one.address) == f"10.77.2.{free[0]}"
    else:
        with pytest.raises(QuotaExceeded):
            choose(network, claim("new"), claims, NOW, REST, lambda one: one.address)


def test_a_large_range_costs_nothing_to_search() -> None:
    network = ipaddress.ip_network("fd00::/64")
    assert choose(network, claim("new"), [claim("a", "fd00::a")], NOW, REST, lambda one: one.address) == "fd00::b"


def test_every_mistake_in_the_ranges_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        overlay(a="10.77.1.0/24", b="10.77.1.128/25", c="192.168.0.0/24", d="10.77.9.0/29", e="fd00::/64")
    lines = str(told.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"sites.{name}.network" for name in "bcde"]
    assert "overlaps 10.77.1.0/24 of site a" in lines[0]
    assert "is not a part of overlay.network" in lines[1]
    assert "is too small" in lines[2]


def test_who_belongs_to_the_cluster_is_written_down(tmp_path: Path) -> None:
    settings = Settings("deep", {"upv": Site("upv", "local", network="10.77.2.0/24")}, {})
    flat = PLUGIN.build(FlatConfig(network="10.77.0.0/16"), PluginContext("uuid", "deep", tmp_path), settings)
    flat.publish([claim("a", "10.77.2.10"), claim("b", "10.77.2.11", ended=timedelta(1))], NOW)
    written = Inventory.from_json((tmp_path / "inventory.json").read_text())
    assert [(one.key, one.address, one.tunnel) for one in written.members] == [("a", "10.77.2.10", "")]
    assert (written.cluster, written.network, written.transit) == ("uuid", "10.77.0.0/16", "")


def test_there_is_no_tunnel_to_tell_of() -> None:
    assert overlay(upv="10.77.2.0/24", aws="").status() is None


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not a network"):
        FlatConfig(network="10.77.0.1/16")
    assert FlatConfig.model_validate({"network": None}).network == "10.77.0.0/16"
