"""What is put over a template: as little as has to be, since a vector replaces all of its name."""

from __future__ import annotations

import base64

import pytest

from clues.model import Kind
from connectors.opennebula.config import Guest
from connectors.opennebula.order import TAGS, Choice, attribute, overlay
from connectors.opennebula.records import Template, Vector, vectors
from tests.unit.opennebula.orders import IMAGE, NETWORK, SCRIPT, request, template

OWN_CONTEXT = {
    "SSH_PUBLIC_KEY": "$USER[SSH_PUBLIC_KEY]",
    "DNS_HOSTNAME": "YES",
    "FILES": "/restricted",
    "START_SCRIPT": 'echo "the site\'s own"',
    "USERDATA": "old",
    "USERDATA_ENCODING": "",
}
MEDIUM = template(
    ("CPU", "2"),
    ("MEMORY", "8192"),
    (
        "DISK",
        {"IMAGE": "debian", "IMAGE_UNAME": "oneadmin", "DEV_PREFIX": "vd", "SIZE": "999", "TOTAL_IOPS_SEC": "9"},
    ),
    ("DISK", {"TYPE": "fs", "SIZE": "100000"}),
    ("NIC", {"NETWORK": "default", "NETWORK_UNAME": "oneadmin", "MODEL": "virtio", "FILTER_IP_SPOOFING": "YES"}),
    ("NIC", {"NETWORK": "storage", "MODEL": "virtio"}),
    ("CONTEXT", OWN_CONTEXT),
)


def over(name: str, choice: Choice | None = None, **changes: object) -> list[Vector]:
    """Return the vectors of one name that are put over the template."""
    return vectors(overlay(choice or Choice(MEDIUM, IMAGE, NETWORK), request(**changes)), name)


def context(guest: Guest = Guest.CLOUD_INIT, of: Template = MEDIUM) -> Vector:
    """Return the CONTEXT."""
    (found,) = over("CONTEXT", Choice(of, IMAGE, NETWORK, guest))
    return found


def test_the_tags_are_attributes_of_their_own() -> None:
    told = dict(overlay(Choice(MEDIUM, IMAGE, NETWORK), request()))
    assert told["CLUES_LAUNCH_KEY"] == "key-1"
    assert told["CLUES_GENERATION"] == "3"
    assert {attribute(tag) for tag in TAGS} <= told.keys()
    assert all(name.isupper() and name.replace("_", "").isalpha() for name in told)


def test_the_context_keeps_what_the_template_has() -> None:
    found = context()
    for name in ("SSH_PUBLIC_KEY", "DNS_HOSTNAME", "FILES", "START_SCRIPT"):
        assert found[name] == OWN_CONTEXT[name]
    assert found["NETWORK"] == "YES"
    assert found["SET_HOSTNAME"] == "cpu-001"


def test_user_data_is_base64_and_nothing_says_otherwise() -> None:
    found = context()
    assert base64.b64decode(found["USER_DATA"]).decode() == SCRIPT
    assert found["USER_DATA_ENCODING"] == "base64"
    assert not {"USERDATA", "USERDATA_ENCODING"} & found.keys(), "cloud-init would believe these first"


def test_one_context_gets_a_start_script_in_place_of_the_template_s() -> None:
    found = context(Guest.ONE_CONTEXT)
    assert base64.b64decode(found["START_SCRIPT_BASE64"]).decode() == SCRIPT
    assert "START_SCRIPT" not in found
    assert found["SSH_PUBLIC_KEY"] == OWN_CONTEXT["SSH_PUBLIC_KEY"]


def test_a_template_without_a_context_gets_one() -> None:
    assert context(of=template()).keys() == {"NETWORK", "SET_HOSTNAME", "USER_DATA", "USER_DATA_ENCODING"}


def test_only_the_first_disk_that_has_an_image_is_changed() -> None:
    first, second = over("DISK")
    assert first == {"DEV_PREFIX": "vd", "SIZE": "999", "TOTAL_IOPS_SEC": "9", "IMAGE_ID": "7"}
    assert second == MEDIUM.vectors("DISK")[1]
    volatile = template(("DISK", {"TYPE": "fs", "SIZE": "1"}), ("DISK", {"IMAGE_ID": "3"}))
    assert over("DISK", Choice(volatile, IMAGE, None)) == [{"TYPE": "fs", "SIZE": "1"}, {"IMAGE_ID": "7"}]


def test_a_template_without_an_image_gets_one_to_boot_from() -> None:
    volatile = template(("DISK", {"TYPE": "fs", "SIZE": "1"}))
    assert over("DISK", Choice(volatile, IMAGE, None)) == [{"IMAGE_ID": "7"}, {"TYPE": "fs", "SIZE": "1"}]


def test_the_first_nic_is_put_into_the_network_and_keeps_model_and_filters() -> None:
    first, second = over("NIC")
    assert first == {"MODEL": "virtio", "FILTER_IP_SPOOFING": "YES", "NETWORK_ID": "5", "IP": "10.77.2.10"}
    assert second == MEDIUM.vectors("NIC")[1]


def test_without_a_network_the_template_s_is_kept_and_only_the_address_added() -> None:
    first, _ = over("NIC", Choice(MEDIUM, IMAGE, None))
    assert first == {**MEDIUM.vectors("NIC")[0], "IP": "10.77.2.10"}


def test_with_neither_network_nor_address_the_nics_are_left_alone() -> None:
    assert over("NIC", Choice(MEDIUM, IMAGE, None), address="") == []


def test_an_address_is_only_asked_for_where_one_is_reserved() -> None:
    first, _ = over("NIC", address="")
    assert "IP" not in first


@pytest.mark.parametrize(("kind", "ip"), [(Kind.WORKER, "YES"), (Kind.ROUTER, "NO")])
def test_the_filters_are_set_where_that_is_wanted_and_let_a_router_pass_packets_on(kind: Kind, ip: str) -> None:
    first, second = over("NIC", Choice(MEDIUM, IMAGE, NETWORK, anti_spoofing=True), kind=kind)
    assert (first["FILTER_IP_SPOOFING"], first["FILTER_MAC_SPOOFING"]) == (ip, "YES")
    assert second == MEDIUM.vectors("NIC")[1]


def test_the_same_request_gives_the_same_bytes() -> None:
    choice = Choice(MEDIUM, IMAGE, NETWORK)
    assert overlay(choice, request()) == overlay(choice, request())
