"""The text of the central point's configuration and of its firewall."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from clues.places import Places
from vrouter import firewall
from vrouter.hub.config import quoted, render
from vrouter.hub.settings import HubSettings

PLACES = Places(Path("/var/lib/with blank/clues"), Path("/run/clues/api.sock"))
HUB = HubSettings("0a1b2c3d-0000", PLACES, "hub", 1194, IPv4Network("10.77.0.0/16"), IPv4Network("10.77.252.0/22"))


def test_what_keeps_others_out_is_in_the_configuration() -> None:
    lines = render(HUB, "clues-hub").splitlines()
    for line in (
        "verify-client-cert require",
        "remote-cert-tls client",
        "management-client-auth",
        'management-client-user "clues-hub"',
        "tls-version-min 1.2",
        "reneg-sec 3600",
        "allow-compression no",
        "script-security 0",
        "ifconfig 10.77.252.1 255.255.252.0",
        'crl-verify "/var/lib/with blank/clues/trust/crl.pem"',
        'tls-crypt-v2 "/var/lib/with blank/clues/hub/run/tls-crypt-v2.key" force-cookie',
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith(("client-to-client", "duplicate-cn", "persist-key", "user "))]


def test_two_central_points_and_two_clusters_share_no_name() -> None:
    other = HubSettings("0a1b2c3d-0000", PLACES, "b", 1195, HUB.network, HUB.transit, number=1)
    for name in ("address", "interface", "table", "folder", "management", "status"):
        assert getattr(HUB, name) != getattr(other, name)
    assert len(other.interface) <= 15
    assert other.interfaces == HUB.interfaces


def test_words_are_quoted_as_openvpn_reads_them() -> None:
    assert quoted('a "b" \\c') == '"a \\"b\\" \\\\c"'
    with pytest.raises(ValueError, match="control"):
        quoted("a\nscript-security 2")


def test_the_rules_are_a_function_of_their_values_and_replace_themselves_only() -> None:
    services = (("tcp", 6817, 6817), ("tcp", 60001, 63000), ("udp", 53, 53), ("tcp", 6817, 6818))
    rules = firewall.HubRules("clues_a", "ovpn-a*", 1194, "10.77.252.1", ("10.77.2.0/24",), ("10.77.0.1/32",), services)
    text = firewall.render(rules)
    assert text == firewall.render(rules)
    assert text.startswith("add table inet clues_a\ndelete table inet clues_a\ntable inet clues_a {")
    assert "flush" not in text
    assert "tcp dport { 6817-6818, 60001-63000 } accept" in text
    assert "udp dport { 53 } accept" in text


@pytest.mark.parametrize("bad", ["10.77.2.9/24", "0.0.0.0/0 }; drop", "::/0", ""])
def test_nothing_but_ranges_gets_into_the_rules(bad: str) -> None:
    with pytest.raises(ValueError):
        firewall.render(firewall.HubRules("clues_a", "ovpn-a*", 1194, "10.77.252.1", (bad,)))
