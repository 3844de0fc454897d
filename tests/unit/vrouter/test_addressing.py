"""Nobody gets another's address, a router takes over its site's one at once, and ranges that clash are told."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.errors import QuotaExceeded
from clues.model import Attach, ClaimState, Settings
from tests.unit.vrouter.claims import ALL, AWS, CESNET, NOW, REST, UPV, claim, router, settings, site
from vrouter import addressing
from vrouter.addressing import HostRoute, default_transit
from vrouter.host_routes import parse_routes, read_routes

WHOLE = IPv4Network("10.77.0.0/16")
TRANSIT = IPv4Network("10.77.252.0/22")
LAN = IPv4Network("10.77.2.0/24")

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
ovpn-1234\t00024D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t00034D0A\t00000000\t0200\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\tnonsense\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\tFFFFFFFFFF\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
short line
"""


@pytest.mark.parametrize(
    ("whole", "transit"),
    [
        ("10.77.0.0/16", "10.77.252.0/22"),
        ("10.0.0.0/8", "10.252.0.0/14"),
        ("192.168.4.0/22", "192.168.7.240/28"),
        ("192.168.4.0/23", None),
        ("10.0.0.0/30", None),
    ],
)
def test_the_ends_of_tunnels_have_the_last_64th(whole: str, transit: str | None) -> None:
    found = default_transit(IPv4Network(whole))
    assert (None if found is None else str(found)) == transit


def test_a_router_takes_over_its_address_as_soon_as_the_former_one_is_gone() -> None:
    new = router("new")
    old = router("old", address="10.77.2.9", state=ClaimState.STOPPING)
    with pytest.raises(QuotaExceeded, match=r"10\.77\.2\.9 is held by router-upv \(old\), which is stopping"):
        addressing.choose_for_router(LAN, new, [old, new])
    gone = router("old", address="10.77.2.9", ended=timedelta(0))
    assert addressing.choose_for_router(LAN, new, [gone, new]) == "10.77.2.9"


def test_the_end_of_a_tunnel_rests_when_its_claim_is_gone() -> None:
    old = router("old", tunnel="10.77.252.10", ended=REST - timedelta(seconds=1))
    assert addressing.choose(TRANSIT, router("new"), [old], NOW, REST, lambda one: one.tunnel) == "10.77.252.11"
    old = router("old", tunnel="10.77.252.10", ended=REST)
    assert addressing.choose(TRANSIT, router("new"), [old], NOW, REST, lambda one: one.tunnel) == "10.77.252.10"


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60))
def test_whoever_comes_and_goes_no_two_live_claims_share_an_address(story: list[tuple[int, bool]]) -> None:
    network = IPv4Network("10.77.2.0/27")
    held: dict[str, str] = {}
    for number, comes in story:
        key = str(number)
        if not comes:
            held.pop(key, None)
            continue
        claims = [claim(one, address=address) for one, address in held.items()]
        try:
            asking = claim(key, address=held.get(key, ""))
            held[key] = addressing.choose(network, asking, claims, NOW, REST, lambda one: one.address)
        except QuotaExceeded:
            assert len(held) == 31 - 10
        assert len(set(held.values())) == len(held)
        assert all(int(ipaddress.ip_address(one)) - int(network[0]) >= 10 for one in held.values())


def test_the_ranges_of_the_sites_do_not_touch_that_of_the_tunnels() -> None:
    low = site("low", Attach.ROUTER, "10.77.253.0/24")
    assert list(addressing.transit_clashes(ALL, WHOLE, TRANSIT)) == []
    assert list(addressing.transit_clashes(settings(UPV, low), WHOLE, TRANSIT)) == [
        (
            ("sites", "low", "network"),
            "10.77.253.0/24 overlaps the range for the ends of tunnels, overlay.transit, 10.77.252.0/22",
        )
    ]
    outside = IPv4Network("10.78.0.0/29")
    assert [text for _, text in addressing.transit_clashes(ALL, WHOLE, outside)] == [
        "10.78.0.0/29 is not a part of overlay.network, 10.77.0.0/16",
        "10.78.0.0/29 is too small: its first 10 addresses are kept for central points",
    ]


def test_a_network_of_the_tenant_that_the_overlay_would_hide_is_told() -> None:
    upv = site("upv", Attach.ROUTER, "10.77.2.0/24", tenants=("10.0.0.0/8", "192.168.0.0/16", "fd00::/8"))
    front = [IPv4Network("192.168.7.0/24"), IPv4Network("10.77.1.0/24")]
    found = list(addressing.tenant_clashes(settings(CESNET, upv), WHOLE, front))
    assert [place for place, _ in found] == [("sites", "upv", "tenant_networks")] * 2
    assert [text.partition(":")[0] for _, text in found] == [
        "10.0.0.0/8 of site upv overlaps overlay.network, 10.77.0.0/16",
        "192.168.0.0/16 of site upv overlaps overlay.front, 192.168.7.0/24",
    ]


@pytest.mark.parametrize(
    ("front", "address", "public", "told"),
    [
        ("10.77.1.0/24", "10.77.0.1", "198.51.100.10", ""),
        ("10.77.1.0/24", "10.77.0.1", "head.example", ""),
        ("0.0.0.0/0", "10.77.0.1", "head.example", "overlay.front: 0.0.0.0/0 is most of the internet"),
        ("10.77.2.128/25", "10.77.0.1", "head.example", "overlay.front: 10.77.2.128/25 overlaps 10.77.2.0/24 of site"),
        (
            "10.77.253.0/24",
            "10.77.0.1",
            "head.example",
            "overlay.front: 10.77.253.0/24 overlaps 10.77.252.0/22 of over",
        ),
        ("10.77.1.0/24", "10.77.3.1", "head.example", "overlay.address: 10.77.3.1 lies in 10.77.3.0/24 of site bari"),
        ("10.77.1.0/24", "10.77.252.1", "head.example", "overlay.address: 10.77.252.1 lies in 10.77.252.0/22"),
        ("10.77.1.0/24", "10.77.0.1", "10.77.0.1", "overlay.public: 10.77.0.1 lies in 10.77.0.0/16, which VMs of"),
        ("192.168.7.0/24", "192.168.7.5", "192.168.7.5", "overlay.public: 192.168.7.5 lies in 192.168.7.0/24, which"),
    ],
)
def test_the_front_ends_own_ranges_are_its_own(front: str, address: str, public: str, told: str) -> None:
    found = addressing.front_clashes(WHOLE, ALL, TRANSIT, [IPv4Network(front)], address, [public])
    lines = [f"{'.'.join(map(str, place))}: {text}" for place, text in found]
    assert lines[0].startswith(told) if told else lines == []


def clashes(sites: Settings, *routes: str, front: tuple[str, ...] = ()) -> list[str]:
    found = [HostRoute(ipaddress.ip_network(one), "eth0") for one in routes]
    networks = [ipaddress.ip_network(one) for one in front]
    return [text for _, text in addressing.host_clashes(sites, WHOLE, TRANSIT, found, networks)]


def test_the_front_ends_own_routes_into_the_overlay_are_told_by_both_names() -> None:
    assert clashes(ALL, "10.77.2.0/25") == [
        "10.77.2.0/24 of site upv overlaps the front-end's own route 10.77.2.0/25 (through eth0)"
    ]
    assert clashes(ALL, "10.0.0.0/8")[0].startswith("10.77.2.0/24 of site upv overlaps the front-end's own route 10.0")
    assert clashes(ALL, "10.77.254.0/24") == [
        "10.77.252.0/22 of overlay.transit overlaps the front-end's own route 10.77.254.0/24 (through eth0)"
    ]
    assert clashes(ALL, "10.77.128.0/24") == [
        "10.77.0.0/16 overlaps the front-end's own route 10.77.128.0/24 (through eth0)"
    ]


def test_the_front_ends_own_network_may_lie_in_the_overlay() -> None:
    assert clashes(ALL, "0.0.0.0/0", "192.168.0.0/16", "10.77.0.0/23") == []
    assert clashes(ALL, "10.77.128.0/24", front=("10.77.128.0/24",)) == []
    assert clashes(settings(AWS), "10.77.0.0/23") != []


def test_the_kernels_table_is_read(tmp_path: Path) -> None:
    found = parse_routes(ROUTES)
    assert [str(one) for one in found] == [
        "0.0.0.0/0 (through eth0)",
        "192.168.0.0/16 (through eth0)",
        "10.77.2.0/24 (through ovpn-1234)",
    ]
    table = tmp_path / "route"
    table.write_text(ROUTES)
    assert [one.device for one in read_routes("ovpn-1234", table)] == ["eth0", "eth0"]
    assert [one.device for one in read_routes("", table)] == ["eth0", "eth0", "ovpn-1234"]
    assert read_routes("", tmp_path / "nothing") == ()


@given(st.text(max_size=300))
def test_a_table_of_any_form_harms_nobody(text: str) -> None:
    parse_routes(f"header\n{text}")
