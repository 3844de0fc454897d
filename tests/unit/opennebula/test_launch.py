"""What the connector makes of a request, against the emulator."""

from __future__ import annotations

from typing import Any

import pytest

from clues.errors import InvalidRequest, NoCapacity, Transient
from clues.model import Kind, Market, Offer
from clues.testing.connector_site import launch, launch_error, the_one
from tests.lab.opennebula.objects import Image, VmTemplate
from tests.unit.opennebula.emulated import Site
from tests.unit.opennebula.orders import SCRIPT, request


def test_a_vm_has_its_script_its_address_its_image_and_what_the_template_gave(site: Site) -> None:
    made = launch(site.connect(), request())
    machine = site.machine(made)
    seen = site.cloud.context_of(machine.id)
    assert seen["USER_DATA"] == SCRIPT
    assert seen["SET_HOSTNAME"] == "cpu-001"
    assert seen["DNS_HOSTNAME"] == "YES"
    assert "SSH_PUBLIC_KEY" in seen
    assert seen["ETH0_IP"] == "10.77.2.10"
    (nic,) = machine.template.vectors("NIC")
    assert (nic["NETWORK"], nic["MODEL"]) == ("clues-net", "virtio")
    (disk,) = machine.template.vectors("DISK")
    assert (disk["IMAGE"], disk["DEV_PREFIX"]) == ("clues-worker", "vd")
    assert machine.user_template.text("CLUES_LAUNCH_KEY") == "key-1"
    assert machine.user_template.text("DESCRIPTION") == "Debian 12"
    shown = the_one(site.connect().list_instances())
    assert (shown.addresses, shown.macs) == (("10.77.2.10",), ("02:00:0a:4d:02:0a",))


def test_what_a_template_restricts_is_kept_and_so_not_refused(site: Site) -> None:
    content = site.cloud.templates[0].content
    content.vectors("NIC")[0] |= {"FILTER_IP_SPOOFING": "YES", "FILTER_MAC_SPOOFING": "YES"}
    content.vectors("CONTEXT")[0]["FILES"] = "/var/lib/one/files/init.sh"
    machine = site.machine(launch(site.connect(), request()))
    assert machine.template.vectors("NIC")[0]["FILTER_IP_SPOOFING"] == "YES"


def test_filters_of_our_own_are_for_members_of_oneadmin_s_group(site: Site) -> None:
    error = launch_error(site.connect(anti_spoofing=True), request())
    assert type(error) is InvalidRequest
    assert "restricted attribute" in error.words
    site.cloud.users[2].group = site.cloud.groups[0]
    for number, kind in enumerate((Kind.WORKER, Kind.ROUTER), 1):
        asked = request(kind=kind, launch_key=f"key-{number}", address=f"10.77.2.{number + 10}")
        (nic,) = site.machine(launch(site.connect(anti_spoofing=True), asked)).template.vectors("NIC")
        assert nic["FILTER_IP_SPOOFING"] == ("YES" if kind is Kind.WORKER else "NO")


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ({"vnet": "", "network": "10.77.2.0/24"}, "clues-net"),
        ({"vnet": "", "network": "oneadmin/clues-net"}, "clues-net"),
        ({"vnet": "1"}, "clues-net"),
        ({"vnet": ""}, "default"),
    ],
)
def test_the_network_is_that_of_the_range_or_of_the_name_or_the_template_s(
    site: Site, given: dict[str, Any], network: str
) -> None:
    address = "10.77.2.10" if network == "clues-net" else ""
    machine = site.machine(launch(site.connect(**given), request(address=address)))
    assert [nic["NETWORK"] for nic in machine.template.vectors("NIC")] == [network]


def test_a_range_that_no_network_has_is_a_mistake_and_not_left_to_the_template(site: Site) -> None:
    error = launch_error(site.connect(vnet="", network="10.77.9.0/24"), request(address="10.77.9.10"))
    assert type(error) is InvalidRequest
    assert site.cloud.alive() == 0


def test_an_address_outside_the_network_is_a_mistake_and_no_want_of_capacity(site: Site) -> None:
    error = launch_error(site.connect(), request(address="10.99.0.1"))
    assert type(error) is InvalidRequest
    assert site.cloud.alive() == 0


def test_an_address_that_somebody_holds_is_a_want_of_capacity(site: Site) -> None:
    launch(site.connect(), request())
    error = launch_error(site.connect(), request(launch_key="key-2"))
    assert type(error) is NoCapacity
    assert "Cannot get IP/MAC lease" in error.words


@pytest.mark.parametrize(
    "offer", [Offer("upv", "medium", "clues-worker", Market.SPOT), Offer("upv", "medium", "clues-worker", zone="a")]
)
def test_what_opennebula_does_not_have_is_refused_and_not_ignored(site: Site, offer: Offer) -> None:
    assert type(launch_error(site.connect(), request(offer=offer))) is InvalidRequest
    assert site.cloud.alive() == 0


def test_an_image_that_was_replaced_under_its_name_is_found_anew(site: Site) -> None:
    connector = site.connect()
    launch(connector, request())
    del site.cloud.images[1]
    site.cloud.images[9] = Image(9, "clues-worker", site.cloud.users[0])
    other = request(launch_key="key-2", address="10.77.2.11")
    assert type(launch_error(connector, other)) is InvalidRequest
    (disk,) = site.machine(launch(connector, other)).template.vectors("DISK")
    assert disk["IMAGE_ID"] == "9"


def test_a_template_that_was_just_made_is_found_at_once(site: Site) -> None:
    connector = site.connect()
    launch(connector, request())
    site.cloud.templates[9] = VmTemplate(9, "large", site.cloud.users[0], content=site.cloud.templates[0].content)
    launch(connector, request(launch_key="key-2", address="10.77.2.11", offer=Offer("upv", "large", "clues-worker")))


def test_odd_objects_of_others_do_not_hide_ours(site: Site) -> None:
    odd = "\x1b[2J\n" + "x" * 5000
    stranger = site.cloud.users[4]
    stranger.name = odd
    site.cloud.templates[70] = VmTemplate(70, "theirs", stranger)
    site.cloud.images[70] = Image(70, "theirs", stranger, size_mb=0)
    connector = site.connect()
    launch(connector, request())
    error = launch_error(connector, request(launch_key="key-2", offer=Offer("upv", "theirs", "clues-worker")))
    assert type(error) is InvalidRequest
    assert error.words.isprintable()
    assert len(error.words) <= 1000


def test_a_lookup_that_fails_before_a_launch_is_known_to_be_harmless(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = site.connect()
    monkeypatch.setattr(site.emulator, "answer", lambda body, real=site.emulator.answer: _garbled(body, real))
    error = launch_error(connector, request())
    assert type(error) is Transient
    assert site.cloud.alive() == 0


def _garbled(body: bytes, real: Any) -> str:
    return "<broken" if b"one.imagepool.info" in body else str(real(body))
