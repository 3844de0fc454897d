"""The overlay over OpenVPN as cluesd uses it: who gets which address, route and file, and what is refused."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from clues.config import OVERLAYS, load
from clues.errors import ConfigError, QuotaExceeded, Transient
from clues.model import Attach, Claim, ClaimState, Settings
from clues.places import Places
from clues.ports import PluginContext, Provision, Reservation
from tests.unit.config_example import EXAMPLE, PLUGINS, errors, write
from tests.unit.vrouter.claims import ALL, AWS, CESNET, NOW, UPV, claim, router, settings, site
from vrouter import plugin as module
from vrouter.addressing import HostRoute
from vrouter.options import CentralPoint, OpenVpnConfig
from vrouter.overlay import OpenVpnOverlay
from vrouter.plugin import PLUGIN

BASE = {"network": "10.77.0.0/16", "public": "198.51.100.10"}
SERVICES = (("tcp", 6817, 6817), ("tcp", 8443, 8443))


def config(**more: object) -> OpenVpnConfig:
    return OpenVpnConfig.model_validate(BASE | more)


def overlay(folder: Path, sites: Settings = ALL, **more: object) -> OpenVpnOverlay:
    places = Places(folder, folder / "clues.sock")
    context = PluginContext("0a1b2c3d-uuid", "deep", folder, places=places, services=SERVICES)
    return PLUGIN.build(config(**more), context, sites)


@pytest.fixture(autouse=True)
def _no_routes_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_routes", lambda _: ())


def reserve(folder: Path, new: Claim, *held: Claim) -> Reservation:
    return overlay(folder).reserve(new, held, NOW)


def test_each_kind_of_vm_gets_the_addresses_that_it_needs(tmp_path: Path) -> None:
    assert reserve(tmp_path, claim("w", site="cesnet")) == Reservation("10.77.1.10", "")
    assert reserve(tmp_path, claim("w")) == Reservation("10.77.2.10", "")
    assert reserve(tmp_path, router("r")) == Reservation("10.77.2.9", "10.77.252.10")
    assert reserve(tmp_path, claim("w", site="aws")) == Reservation("10.77.252.10", "10.77.252.10")


def test_routers_and_direct_workers_share_the_range_of_tunnels(tmp_path: Path) -> None:
    held = [router("r", address="10.77.2.9", tunnel="10.77.252.10"), claim("w", site="aws", tunnel="10.77.252.11")]
    assert reserve(tmp_path, claim("new", site="aws"), *held).tunnel == "10.77.252.12"
    assert reserve(tmp_path, router("new", site="bari"), *held) == Reservation("10.77.3.9", "10.77.252.12")


def test_a_router_waits_for_the_address_of_the_former_one(tmp_path: Path) -> None:
    with pytest.raises(QuotaExceeded, match="held by router-upv"):
        reserve(tmp_path, router("new"), router("old", address="10.77.2.9", state=ClaimState.FAILED))
    gone = router("old", address="10.77.2.9", tunnel="10.77.252.10", ended=timedelta(0))
    assert reserve(tmp_path, router("new"), gone) == Reservation("10.77.2.9", "10.77.252.11")


def test_a_claim_of_a_site_that_is_no_longer_there_harms_nobody(tmp_path: Path) -> None:
    lost = overlay(tmp_path)
    assert lost.reserve(claim("w", site="gone"), [], NOW) == Reservation()
    with pytest.raises(QuotaExceeded, match="no range of the overlay any more"):
        lost.reserve(router("r", site="gone"), [], NOW)
    assert lost.bootstrap(claim("w", site="gone")) == Provision()


def test_a_worker_has_one_route_and_no_vpn_unless_it_is_attached_directly(tmp_path: Path) -> None:
    built = overlay(tmp_path)
    assert built.routes(claim("w")) == (("10.77.0.0/16", "10.77.2.9"),)
    assert built.routes(claim("w", site="cesnet")) == (("10.77.0.0/16", "10.77.0.1"),)
    assert built.routes(claim("w", site="aws")) == built.routes(router("r")) == ()
    assert built.bootstrap(claim("w")) == built.bootstrap(claim("w", site="cesnet")) == Provision()


def test_workers_reach_the_front_ends_ranges_that_lie_outside_too(tmp_path: Path) -> None:
    built = overlay(tmp_path, front="192.168.7.0/24", address="192.168.7.5")
    assert built.routes(claim("w")) == (("10.77.0.0/16", "10.77.2.9"), ("192.168.7.0/24", "10.77.2.9"))
    assert built.routes(claim("w", site="cesnet")) == (("10.77.0.0/16", "192.168.7.5"),)


def test_a_router_is_given_the_central_points_in_order_and_what_it_may_forward(tmp_path: Path) -> None:
    built = overlay(tmp_path, hubs=[{"name": "second", "public": "203.0.113.7", "port": 1200}])
    provision = built.bootstrap(router("r", tunnel="10.77.252.10"))
    files = {path: content.decode() for path, _, content in provision.files}
    client = files["/etc/openvpn/clues/client.conf"]
    assert client.index("198.51.100.10 1194") < client.index("203.0.113.7 1200")
    assert [one.name for one in provision.secrets] == ["tls-crypt-v2"]
    rules = "\n".join(files.values())
    for needed in ("10.77.2.0/24", "10.77.252.1", "10.77.252.2", "10.77.0.1", "6817", "8443"):
        assert needed in rules
    direct = built.bootstrap(claim("w", site="aws", tunnel="10.77.252.11"))
    assert [path for path, _, _ in direct.files] == ["/etc/openvpn/clues/client.conf"]


def test_local_sites_alone_need_no_central_point(tmp_path: Path) -> None:
    built = overlay(tmp_path, settings(CESNET), public=None)
    assert built.status() is None
    assert built.routes(claim("w", site="cesnet")) == ()
    assert built.reserve(claim("w", site="cesnet"), [], NOW) == Reservation("10.77.1.10")


def test_where_no_broker_tells_anything_the_status_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="clues-broker"):
        overlay(tmp_path).status()


def test_further_central_points_have_addresses_of_their_own() -> None:
    second = {"name": "second", "public": "203.0.113.7"}
    assert config(port=1300, hubs=[second]).central_points() == (
        CentralPoint("hub", "198.51.100.10", 1300, "10.77.252.1"),
        CentralPoint("second", "203.0.113.7", 1194, "10.77.252.2"),
    )
    assert config(public=None).central_points() == ()
    assert PLUGIN.front(config(transit="10.77.128.0/24")) == "10.77.128.1"
    assert PLUGIN.front(config(public=None)) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", "10.77.0.1/16"),
        ("network", "workers"),
        ("network", "fd00::/48"),
        ("transit", "fd00::/64"),
        ("transit", "10.77.252.0"),
        ("front", "10.77.0.1"),
        ("address", "head.example"),
        ("port", 0),
        ("port", 70000),
        ("services", ["tcp"]),
        ("services", ["tcp/0"]),
        ("services", ["icmp/1"]),
        ("services", ["tcp/20-10"]),
        ("services", ["tcp/1 accept"]),
        ("hubs", [{"name": "hub", "public": "h"}]),
        ("hubs", [{"name": "a b", "public": "h"}]),
        ("hubs", [{"name": "b", "public": "h; id"}]),
        ("hubs", [{"name": f"h{n}", "public": "h"} for n in range(9)]),
        ("renegotiate", "4s"),
        ("renegotiate", "61min"),
        ("renegotiate", 3600),
        ("bridge", "clues0"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        config(**{key: value})


def mistakes(*sites: object, **more: object) -> list[str]:
    chosen = settings(*sites)  # type: ignore[arg-type]
    return [f"{'.'.join(map(str, place))}: {text}" for place, text in PLUGIN.mistakes(config(**more), chosen)]


def test_what_is_wrong_between_the_overlay_and_the_sites_is_told_with_its_place() -> None:
    assert mistakes(CESNET, UPV, AWS) == []
    assert mistakes(UPV, network="10.77.2.0/23")[0].startswith("overlay.network: 10.77.2.0/23 is too small: take a /22")
    assert mistakes(UPV, network="10.77.2.0/23", transit="10.77.3.0/24") == []
    assert mistakes(UPV, transit="10.77.2.128/25") == [
        "sites.upv.network: 10.77.2.0/24 overlaps the range for the ends of tunnels, overlay.transit, 10.77.2.128/25"
    ]
    named = site("cloud", Attach.LOCAL, "workers")
    assert mistakes(named) == []
    assert mistakes(named, UPV)[0].startswith("sites.cloud.attach: site cloud is in the front-end's network, whose")
    assert mistakes(named, UPV, front="192.168.7.0/24", address="192.168.7.5") == []
    twice = [{"name": "second", "public": "a"}, {"name": "second", "public": "b"}]
    assert mistakes(UPV, hubs=twice) == ["overlay.hubs.1.name: there are two central points second"]


def test_nothing_is_built_while_ranges_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def routes(without: str) -> tuple[HostRoute, ...]:
        asked.append(without)
        return (HostRoute(ipaddress.ip_network("10.77.2.0/24"), "wg0"),)

    monkeypatch.setattr(module, "read_routes", routes)
    with pytest.raises(ConfigError) as told:
        overlay(tmp_path, settings(CESNET, UPV, site("b", Attach.ROUTER, "10.77.1.128/25")))
    lines = str(told.value).splitlines()
    assert lines[0].startswith("sites.b.network: 10.77.1.128/25 overlaps 10.77.1.0/24 of site cesnet")
    assert lines[1] == (
        "overlay.network: 10.77.2.0/24 of site upv overlaps the front-end's own route 10.77.2.0/24 (through wg0)"
    )
    assert asked == ["ovpn-0a1b2c3d"]
    overlay(tmp_path, settings(CESNET))  # where nothing is carried no route can be in the way


def test_ports_of_the_configuration_are_opened_besides() -> None:
    opened = PLUGIN.services(config(services=["tcp/3128", "udp/5000-5010"]))
    assert opened == [("tcp", 3128, 3128), ("udp", 5000, 5010)]


def test_the_example_configuration_pleases_this_overlay(tmp_path: Path) -> None:
    plugins = {**PLUGINS, OVERLAYS: {"openvpn": PLUGIN}}
    loaded = load(write(tmp_path, EXAMPLE), plugins)
    assert loaded.enrolment_names == ("head.example.org", "10.77.252.1")
    assert loaded.overlay[1].front_ranges(loaded.settings) == ("192.168.7.0/24",)
    found = errors(tmp_path, EXAMPLE.replace("  front: 192.168.7.0/24\n", ""), plugins)
    assert len(found) == 1
    assert found[0].startswith("clues.yaml:20: sites.cesnet: site cesnet is in the front-end's network, whose range")
