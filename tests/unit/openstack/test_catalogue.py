"""Names that mean one thing, and names that do not."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from clues.errors import InvalidRequest
from clues.model import Gpu
from clues.testing.connector_contract import OURS, THEIRS, launch, launch_error
from connectors.openstack.catalogue import Remembered
from connectors.openstack.gpus import gpus_of
from tests.lab.openstack_fake.state import Image, Network, SecurityGroup, Subnet, new_id
from tests.lab.openstack_fake.under_test import OpenStackSite


def image(site: OpenStackSite, **more: Any) -> Image:
    given = {"id": new_id(), "name": "clues-worker", "owner": site.project.id} | more
    one = Image(**given)
    site.state.images[one.id] = one
    return one


def launched_image(site: OpenStackSite, name: str = "clues-worker", **settings: Any) -> str:
    """Launch a VM and return the id of its image, or what is wrong with the name."""
    request = site.request(OURS, len(site.state.servers))
    connector = site.build(OURS, **settings)
    (outcome,) = connector.launch([replace(request, offer=replace(request.offer, image=name))])
    if outcome.error is not None:
        assert type(outcome.error) is InvalidRequest
        return str(outcome.error)
    assert outcome.instance is not None
    return site.state.servers[outcome.instance.id].image


# --- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True])
def test_an_image_is_the_projects_own_or_its_id(site: OpenStackSite, deaf: bool) -> None:
    site.state.deaf = deaf
    own = next(one for one in site.state.images.values() if one.owner == site.project.id)
    public = image(site, owner="somebody", visibility="public")
    assert launched_image(site) == own.id
    assert launched_image(site, public.id) == public.id


def test_an_image_of_another_owner_is_taken_only_where_he_is_named(site: OpenStackSite) -> None:
    public = image(site, name="debian-12", owner="0badc0de", visibility="public")
    assert "no active image 'debian-12'" in launched_image(site, "debian-12")
    assert launched_image(site, "debian-12", image_owner="0badc0de") == public.id


def test_a_name_of_two_images_is_refused_with_their_ids(site: OpenStackSite) -> None:
    twin = image(site)
    said = launched_image(site)
    assert "has 2 images" in said
    assert twin.id in said
    twin.status = "deactivated"
    assert "has 2 images" not in launched_image(site)


def test_an_image_that_is_still_being_made_is_told(site: OpenStackSite) -> None:
    image(site, name="new", status="queued")
    assert "one that is queued" in launched_image(site, "new")


def test_all_pages_of_images_are_read(site: OpenStackSite) -> None:
    site.state.page = 1
    for _ in range(3):
        image(site)
    assert "has 4 images" in launched_image(site)


# --- networks and security groups -----------------------------------------------------------------------------------


def network(site: OpenStackSite, name: str, cidr: str = "", **more: Any) -> Network:
    one = Network(new_id(), name, site.project.id, **more)
    site.state.networks[one.id] = one
    if cidr:
        part = Subnet(new_id(), f"{name}-part", site.project.id, one.id, cidr, ("10.77.5.2", "10.77.5.8"))
        site.state.subnets[part.id] = part
    return one


def port_network(site: OpenStackSite, **settings: Any) -> str:
    """Launch a VM and return the name of its network, or what is wrong."""
    connector, request = site.build(OURS, **settings), site.request(OURS, 1)
    (outcome,) = connector.launch([request])
    if outcome.error is not None:
        assert type(outcome.error) is InvalidRequest
        return str(outcome.error)
    (port,) = site.state.ports.values()
    return site.state.networks[port.network].name


def test_a_range_finds_its_subnet_and_two_that_have_it_need_a_name(site: OpenStackSite) -> None:
    assert port_network(site) == "clues-net"


def test_of_two_subnets_with_the_range_one_has_to_be_named(site: OpenStackSite) -> None:
    network(site, "second", "10.77.1.0/24")
    assert "write `network_name` or `subnet`" in port_network(site)
    assert port_network(site, network_name="second") == "second"


def test_a_range_may_be_a_part_of_a_named_subnet_and_of_no_other(site: OpenStackSite) -> None:
    network(site, "wide", "10.77.0.0/17")
    assert "has the range 10.77.1.0/24" in port_network(site, network="10.77.0.0/22", subnet="clues-subnet")
    assert port_network(site, network="10.77.0.0/22", subnet="wide-part") == "wide"


def test_without_a_name_the_projects_only_network_is_taken(site: OpenStackSite) -> None:
    network(site, "outside", external=True)
    assert port_network(site, network="") == "clues-net"


def test_without_a_name_several_networks_are_told(site: OpenStackSite) -> None:
    network(site, "second")
    assert "this project has 2: clues-net, second" in port_network(site, network="")


def test_a_network_name_that_two_have_is_refused_with_their_ids(site: OpenStackSite) -> None:
    twin = network(site, "clues-net")
    assert twin.id in port_network(site, network="clues-net")


def test_a_security_group_name_that_two_have_is_refused_with_their_ids(site: OpenStackSite) -> None:
    twin = SecurityGroup(new_id(), "workers", site.project.id)
    site.state.groups[twin.id] = twin
    error = launch_error(site.build(OURS, security_groups="workers"), site.request(OURS, 1))
    assert type(error) is InvalidRequest
    assert twin.id in str(error)
    launch(site.build(OURS, security_groups=twin.id), site.request(OURS, 1))


def test_another_cluster_in_the_same_project_finds_the_same(site: OpenStackSite) -> None:
    launch(site.build(THEIRS), site.request(THEIRS, 1))


# --- flavors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 1000])
@pytest.mark.parametrize("shared", [True, False])
def test_flavors_tell_their_gpus(site: OpenStackSite, page: int, shared: bool) -> None:
    """Also where the list has no extra specs, and they have to be asked for one by one."""
    site.state.page, site.state.shares_specs = page, shared
    flavors = {one.name: one.resources for one in site.build(OURS, gpu_types={"a10-24g": "a10-large"}).flavors()}
    assert set(flavors) == {"m1.small", "gpu.a10", "diskless"}
    assert flavors["gpu.a10"].gpus == (Gpu("a10-large", 1),)
    assert (flavors["m1.small"].cpus, flavors["m1.small"].memory_mib, flavors["m1.small"].gpus) == (2, 4096, ())


@pytest.mark.parametrize(
    ("specs", "types", "gpus"),
    [
        ({"pci_passthrough:alias": "a100:2"}, {}, (Gpu("a100", 2),)),
        ({"pci_passthrough:alias": "nvidia-L40S-48g:1, ib-hca:1"}, {}, (Gpu("l40s", 1),)),
        ({"pci_passthrough:alias": "big:4,t4:1"}, {"big": "h100"}, (Gpu("h100", 4), Gpu("t4", 1))),
        ({"pci_passthrough:alias": "nvme:2"}, {}, ()),
        ({"pci_passthrough:alias": "a100"}, {}, ()),
        ({"resources:VGPU": "1"}, {}, (Gpu("", 1),)),
        ({"resources:VGPU": "1"}, {"VGPU": "a16"}, (Gpu("a16", 1),)),
        ({"resources1:CUSTOM_H200": "2"}, {"CUSTOM_H200": "h200"}, (Gpu("h200", 2),)),
        ({"resources:CUSTOM_FPGA": "1", "hw:cpu_policy": "dedicated"}, {}, ()),
        ({}, {}, ()),
    ],
)
def test_gpus_are_read_out_of_extra_specs(specs: dict[str, str], types: dict[str, str], gpus: tuple[Gpu, ...]) -> None:
    assert gpus_of(specs, types) == gpus


# --- memory ---------------------------------------------------------------------------------------------------------


def test_what_was_found_is_remembered_for_a_while_and_failures_are_not() -> None:
    now, asked = [0.0], []
    known = Remembered(10.0, lambda: now[0])

    def ask() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise InvalidRequest("no")
        return len(asked)

    with pytest.raises(InvalidRequest):
        known.get("x", ask)
    assert [known.get("x", ask), known.get("x", ask)] == [2, 2]
    now[0] = 11.0
    assert known.get("x", ask) == 3
    known.forget()
    assert known.get("x", ask) == 4


def test_many_threads_ask_once() -> None:
    known, asked, barrier = Remembered(), [], threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        known.get("x", lambda: asked.append(1))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
