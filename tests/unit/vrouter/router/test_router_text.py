"""What a router is given and told, as text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind
from vrouter.router import Hub, provision, settings_lines, shortcut_pairs
from vrouter.router.client import client_conf
from vrouter.router.firewall import rules

FINGERPRINT = ":".join(["AB"] * 32)
HUBS = [Hub("hub", "head.example.org", 1194), Hub("second", "198.51.100.2", 1195)]


def router(number: int, **changes: object) -> Member:
    one = Member(
        key=f"router-{number}", kind=Kind.ROUTER, site=f"site{number}", node=f"router-site{number}",
        state=ClaimState.READY, address=f"10.77.{number}.9", mac="52:54:00:00:00:09", tunnel=f"10.77.252.{9 + number}",
        subnets=(f"10.77.{number}.0/24",), identity="0" * 64, fingerprint=FINGERPRINT,
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]


def worker(number: int, host: int, **changes: object) -> Member:
    one = Member(
        key=f"worker-{number}-{host}", kind=Kind.WORKER, site=f"site{number}", node=f"n{number}-{host}",
        state=ClaimState.READY, address=f"10.77.{number}.{host}", mac=f"52:54:00:00:00:{host:02x}",
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]


def written(*members: Member) -> Inventory:
    return Inventory(
        "c", 1, datetime(2026, 1, 1, tzinfo=UTC), "10.77.0.0/16", "10.77.252.0/22", members, shortcut_pairs(members)
    )


def test_a_router_forwards_for_the_members_of_its_own_site() -> None:
    inventory = written(
        router(2), worker(2, 10), worker(2, 11), worker(3, 10), worker(2, 12, mac=""),
        worker(2, 13, address="10.77.3.13"),
        worker(2, 14, tunnel="10.77.252.40"), worker(2, 15, address=""), worker(2, 16, mac="52:54:00:00:00:10 }"),
    )  # fmt: skip
    assert settings_lines(inventory, "router-2") == [
        "forward 52:54:00:00:00:0a 10.77.2.10",
        "forward 52:54:00:00:00:0b 10.77.2.11",
    ]
    assert settings_lines(inventory, "worker-2-10") == []
    assert settings_lines(inventory, "nobody") == []


def test_both_ends_of_a_shortcut_are_told_the_same() -> None:
    inventory = written(router(2), router(3, endpoint="198.51.100.30:1195"))
    assert inventory.shortcuts == (("router-3", "router-2"),)
    assert settings_lines(inventory, "router-3") == [
        f"peer listen router-2 - {FINGERPRINT} 10.77.2.0/24 10.77.252.12 10.77.252.11 1196"
    ]
    assert settings_lines(inventory, "router-2") == [
        f"peer connect router-3 198.51.100.30:1196 {FINGERPRINT} 10.77.3.0/24 10.77.252.11 10.77.252.12 1196"
    ]


def test_each_pair_of_a_listener_has_a_port_of_its_own() -> None:
    inventory = written(router(1), router(2), router(3, endpoint="198.51.100.30:1195"))
    ports = {line.rpartition(" ")[2] for line in settings_lines(inventory, "router-3")}
    assert ports == {"1195", "1196"}


@pytest.mark.parametrize(
    "changes",
    [
        {"state": ClaimState.BOOTING},
        {"state": ClaimState.FAILED},
        {"identity": ""},
        {"fingerprint": ""},
        {"tunnel": ""},
        {"subnets": ()},
        {"kind": Kind.WORKER},
        {"site": "site3"},
    ],
)
def test_who_cannot_have_a_shortcut(changes: dict[str, object]) -> None:
    other = router(3, endpoint="198.51.100.30:1195")
    assert shortcut_pairs([router(2), other])
    assert shortcut_pairs([router(2, **changes), other]) == ()


def test_without_an_endpoint_nobody_can_begin() -> None:
    assert shortcut_pairs([router(2), router(3)]) == ()


def test_an_inventory_without_a_transit_range_has_no_ports() -> None:
    inventory = replace(written(router(2), router(3, endpoint="198.51.100.30:1195")), transit="")
    assert settings_lines(inventory, "router-2") == []


def test_a_client_tries_the_central_points_in_order_and_believes_only_them() -> None:
    lines = client_conf(HUBS).splitlines()
    assert [line for line in lines if line.startswith("remote ")] == [
        "remote head.example.org 1194 udp4",
        "remote 198.51.100.2 1195 udp4",
    ]
    assert 'verify-x509-name "clues hub" name-prefix' in lines
    assert "remote-cert-tls server" in lines
    assert "persist-tun" in lines
    assert "persist-key" not in lines, "a renewed certificate is read again"


@pytest.mark.parametrize("public", ["", "head example", "-x", 'a"', "a\nscript-security 2"])
def test_a_central_point_that_is_no_host_is_refused(public: str) -> None:
    with pytest.raises(ValueError, match="no place to connect to"):
        client_conf([Hub("hub", public, 1194)])


def test_without_a_central_point_there_is_nothing_to_connect_to() -> None:
    with pytest.raises(ValueError, match="no central point"):
        client_conf([])


def test_a_router_gets_rules_and_a_directly_attached_worker_does_not() -> None:
    given = provision(
        hubs=HUBS, network="10.77.0.0/16", lan="10.77.2.0/24", front=["10.77.252.1"], services=[("tcp", 6817, 6820)]
    )
    assert [path for path, _, _ in given.files] == [
        "/etc/openvpn/clues/client.conf",
        "/etc/clues/router.conf",
        "/etc/clues/router.nft",
    ]
    assert [(one.name, one.mode) for one in given.secrets] == [("tls-crypt-v2", 0o600)]
    direct = provision(hubs=HUBS)
    assert [path for path, _, _ in direct.files] == ["/etc/openvpn/clues/client.conf"]
    assert direct.secrets == given.secrets


def test_membership_is_asked_before_connection_tracking() -> None:
    text = rules(network="10.77.0.0/16", lan="10.77.2.0/24", front=["10.77.252.1", "10.77.0.1"], services=[])
    forward = text[text.index("chain forward") : text.index("chain shortcuts")]
    assert "policy drop" in forward
    assert "ct state" not in forward
    assert "ip daddr { 10.77.0.1/32, 10.77.252.1/32 } goto front" in text


@pytest.mark.parametrize("service", [("tcp", 0, 1), ("udp", 5, 4), ("tcp", 1, 65536)])
def test_what_are_no_ports_is_refused(service: tuple[str, int, int]) -> None:
    with pytest.raises(ValueError, match="no ports"):
        rules(network="10.77.0.0/16", lan="10.77.2.0/24", front=[], services=[service])
