"""What `clues doctor` is told about a site, and what about its quota."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import Market, Soundness
from clues.testing.connector_contract import OURS, launch
from connectors.openstack import examine
from tests.lab.openstack_fake.neutron import make_port
from tests.lab.openstack_fake.state import Image, new_id, now
from tests.lab.openstack_fake.under_test import OpenStackSite


def looked(site: OpenStackSite, offer: dict[str, Any] | None = None, **settings: Any) -> dict[str, tuple[str, str]]:
    """Return what was found by topic: how it is, and text with cure."""
    request = site.request(OURS, 1)
    found = site.build(OURS, **settings).examine([replace(request.offer, **(offer or {}))])
    for one in found:
        assert (one.soundness is not Soundness.BAD) or one.cure, one
    return {one.topic: (one.soundness.value, f"{one.text} | {one.cure}") for one in found}


def test_a_sound_site_is_good_in_all_that_is_looked_at(site: OpenStackSite) -> None:
    found = looked(site, {"zone": "nova"}, key_pair="ops", floating_ip=True, security_groups="workers")
    assert {how for how, _ in found.values()} == {"good"}
    assert set(found) == {
        *("credentials", "clock", "flavor m1.small", "image clues-worker", "zone nova", "network"),
        *("security groups", "floating IP", "key pair", "quota", "nova"),
    }
    assert "2 CPUs, 4096 MiB" in found["flavor m1.small"][1]
    assert "244 addresses" in found["network"][1]
    assert "0 of 10 VMs" in found["quota"][1]


@pytest.mark.parametrize(
    ("offer", "settings", "topic", "says"),
    [
        ({"flavor": "huge"}, {}, "flavor huge", "there are: diskless, gpu.a10, m1.small"),
        ({"flavor": "diskless"}, {}, "flavor diskless", "boot_volume"),
        ({"image": "nothing"}, {}, "image nothing", "image_owner"),
        ({"zone": "moon"}, {}, "zone moon", "gpu-zone, nova"),
        ({"market": Market.SPOT}, {}, "market", "no spot market"),
        ({}, {"network": "10.99.0.0/24"}, "network", "10.99.0.0/24"),
        ({}, {"security_groups": "x"}, "security groups", "there are: default, workers"),
        ({}, {"floating_ip": "x"}, "floating IP", "there are: public"),
        ({}, {"key_pair": "x"}, "key pair", "Keypair x not found"),
    ],
)
def test_what_is_wrong_is_named_with_a_cure(
    site: OpenStackSite, offer: dict[str, Any], settings: dict[str, Any], topic: str, says: str
) -> None:
    how, text = looked(site, offer, **settings)[topic]
    assert how == "bad"
    assert says in text


def test_wrong_credentials_are_all_that_is_told(site: OpenStackSite) -> None:
    site.credential.secret = "another"
    found = looked(site)
    assert set(found) == {"credentials"}
    assert found["credentials"][0] == "bad"


def test_credentials_that_end_soon_come_with_a_cure(site: OpenStackSite) -> None:
    site.credential.expires = now() + timedelta(days=2)
    assert "make new ones in time" in looked(site)["credentials"][1]


def test_a_clock_that_is_wrong_is_told(site: OpenStackSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_SKEW", timedelta(seconds=-1))
    assert looked(site)["clock"][0] == "bad"


def test_an_image_that_does_not_fit_its_flavor_is_told(site: OpenStackSite) -> None:
    for name, disk, ram in (("big", 0, 8192), ("long", 50, 0)):
        one = Image(new_id(), name, site.project.id, min_disk=disk, min_ram=ram)
        site.state.images[one.id] = one
    assert "needs 8192 MiB" in looked(site, {"image": "big"})["image big"][1]
    assert "needs a disk of 50 GiB" in looked(site, {"image": "long"})["image long"][1]
    assert looked(site, {"image": "long"}, boot_volume={"size": "60GiB"})["image long"][0] == "good"


def test_addresses_of_the_range_that_others_hold_are_told(site: OpenStackSite) -> None:
    network = next(one for one in site.state.networks.values() if one.name == "clues-net")
    make_port(site.state, site.project.id, network, "10.77.1.5", owner="network:dhcp")
    launch(site.connect(OURS), site.request(OURS, 1))
    assert looked(site)["network"][0] == "good"
    make_port(site.state, site.project.id, network, "10.77.1.77", owner="network:dhcp")
    how, text = looked(site)["network"]
    assert how == "bad"
    assert "10.77.1.77 (network:dhcp)" in text
    assert "--allocation-pool start=10.77.1.2,end=10.77.1.8" in text


def test_an_allocation_pool_in_the_range_is_advised_against(site: OpenStackSite) -> None:
    subnet = next(one for one in site.state.subnets.values() if one.name == "clues-subnet")
    subnet.pool = ("10.77.1.2", "10.77.1.254")
    how, text = looked(site)["network"]
    assert how == "good"
    assert "--no-allocation-pool" in text


def test_port_security_that_is_off_is_told_where_groups_are_configured(site: OpenStackSite) -> None:
    next(one for one in site.state.networks.values() if one.name == "clues-net").port_security = False
    assert looked(site, security_groups="workers")["network"][0] == "bad"


# --- the quota ------------------------------------------------------------------------------------------------------


def test_a_quota_of_ports_bounds_the_vms(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    site.project.ports = 4
    launch(connector, site.request(OURS, 1))
    quota = connector.quota()
    assert quota is not None
    assert (quota.limits.vms, quota.vms_used, quota.limits.cpus, quota.used.cpus) == (4, 1, 40, 2)


@pytest.mark.parametrize("l3", [True, False])
def test_no_limit_is_none(site: OpenStackSite, l3: bool) -> None:
    site.state.l3 = l3
    site.project.instances = site.project.cores = site.project.ram = site.project.ports = -1
    quota = site.connect(OURS).quota()
    assert quota is not None
    limits = quota.limits
    assert (limits.vms, limits.cpus, limits.memory_mib, limits.gpus) == (None, None, None, None)
