"""No port and no floating IP is left behind, and none of a stranger's is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.errors import InvalidRequest, OutcomeUnknown, QuotaExceeded, Transient
from clues.model import Kind, LaunchRequest
from clues.testing.connector_contract import OURS, THEIRS, launch, launch_error, listed
from clues.testing.wire import WireFault
from tests.lab.openstack_fake.neutron import make_port
from tests.lab.openstack_fake.state import Port
from tests.lab.openstack_fake.under_test import OpenStackSite


def router(site: OpenStackSite) -> LaunchRequest:
    return replace(site.request(OURS, -1), kind=Kind.ROUTER, node="router-here", pool="")


def someones(site: OpenStackSite, address: str, **more: str) -> Port:
    """Make a port that is not of this cluster."""
    network = next(one for one in site.state.networks.values() if one.name == "clues-net")
    return make_port(site.state, site.project.id, network, address, **more)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- a create that fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [WireFault.status(400, "no"), WireFault.TOO_MANY, WireFault.status(409, "no")])
def test_a_port_is_deleted_when_its_server_was_refused(site: OpenStackSite, fault: WireFault) -> None:
    connector = site.build(OURS, floating_ip="public")
    site.wire.next(fault, lambda *request: site.is_op("launch", *request))
    assert launch_error(connector, router(site)).no_effect
    assert (site.state.ports, site.state.floating) == ({}, {})


def test_a_port_is_kept_while_nobody_knows_whether_there_is_a_server(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    site.wire.next(WireFault.LOST_REPLY, lambda *call: site.is_op("launch", *call))
    assert type(launch_error(connector, request)) is OutcomeUnknown
    assert len(site.state.ports) == 1
    made = launch(connector, request)
    assert (site.alive(), len(site.state.ports)) == (1, 1)
    connector.terminate(made.id)
    assert site.state.ports == {}


def test_a_port_whose_own_reply_was_lost_is_replaced_by_the_next_launch(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    site.wire.next(WireFault.LOST_REPLY, lambda method, path, _: method == "POST" and path.endswith("/ports"))
    error = launch_error(connector, request)
    assert type(error) is Transient  # no VM was asked for, so nobody has to look for one
    (lost,) = site.state.ports
    launch(connector, request)
    assert len(site.state.ports) == 1
    assert lost not in site.state.ports


def test_a_floating_ip_that_cannot_be_had_leaves_no_port(site: OpenStackSite) -> None:
    site.project.floating_ips = 0
    assert type(launch_error(site.build(OURS, floating_ip=True), router(site))) is QuotaExceeded
    assert (site.state.ports, site.alive()) == ({}, 0)


@pytest.mark.parametrize("fault", [WireFault.LOST_REPLY, WireFault.SERVER_ERROR, WireFault.GARBAGE])
def test_a_floating_ip_whose_reply_was_lost_is_not_left_behind(site: OpenStackSite, fault: WireFault) -> None:
    connector = site.build(OURS, floating_ip=True)
    site.wire.next(fault, lambda method, path, _: method == "POST" and path.endswith("/floatingips"))
    launch_error(connector, router(site))
    assert (site.state.ports, site.state.floating, site.alive()) == ({}, {}, 0)


# --- an end that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["ports", "floatingips"])
def test_what_could_not_be_deleted_with_its_vm_is_deleted_by_the_next_listing(site: OpenStackSite, what: str) -> None:
    connector = site.build(OURS, floating_ip=True)
    listed(connector)
    made = launch(connector, router(site))
    site.state.neutron_fails[("DELETE", what)] = 1
    connector.terminate(made.id)
    assert len(site.state.ports) == 1
    gone_by_now(site, connector)
    listed(connector)
    assert (site.state.ports, site.state.floating) == ({}, {})


def gone_by_now(site: OpenStackSite, connector: object) -> None:
    """Wait until nova does not show the server any more."""
    for _ in range(2000):
        if not site.state.servers or not listed(connector):  # type: ignore[arg-type]
            return
    raise AssertionError("it does not go")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_sweep_that_fails_is_no_failed_listing_and_is_repeated_in_its_time(site: OpenStackSite, method: str) -> None:
    clock = Clock()
    connector = site.build(OURS, monotonic=clock)
    made = launch(connector, site.request(OURS, 1))
    site.state.neutron_fails[("DELETE", "ports")] = 1 + (method == "DELETE")
    connector.terminate(made.id)
    site.state.servers.clear()
    site.state.neutron_fails[("GET", "ports")] = int(method == "GET")
    before = site.cloud.count("GET", "/ports")
    for _ in range(3):
        assert listed(connector) == ()
    assert len(site.state.ports) == 1
    assert site.cloud.count("GET", "/ports") == before + 1
    clock.now = 60.0
    listed(connector)
    assert site.state.ports == {}


# --- the sweep ------------------------------------------------------------------------------------------------------


def test_what_a_dead_daemon_left_is_deleted_once_it_has_been_alone_for_minutes(site: OpenStackSite) -> None:
    other = site.build(OURS, floating_ip=True)
    site.wire.next(WireFault.LOST_REPLY, lambda *call: site.is_op("terminate", *call))
    made = launch(other, router(site))
    with pytest.raises(OutcomeUnknown):
        other.terminate(made.id)
    clock = Clock()
    connector = site.build(OURS, monotonic=clock)
    gone_by_now(site, connector)
    for minute in range(5):
        clock.now = 60.0 * minute
        listed(connector)
        assert (len(site.state.ports), len(site.state.floating)) == (1, 1)
    clock.now = 361.0  # five minutes after the first look that did not see the VM
    listed(connector)
    assert (site.state.ports, site.state.floating) == ({}, {})


def test_the_port_of_a_vm_that_lives_is_never_swept_even_before_nova_binds_it(site: OpenStackSite) -> None:
    clock = Clock()
    connector = site.build(OURS, monotonic=clock)
    made = launch(connector, site.request(OURS, 1))
    (port,) = site.state.ports.values()
    port.awaited_by = ""  # it is never bound
    for hour in range(1, 4):
        clock.now = 3600.0 * hour
        listed(connector)
    assert list(site.state.ports) == [port.id]
    connector.terminate(made.id)
    assert site.state.ports == {}


def test_a_port_of_a_launch_that_is_repeated_is_not_taken_for_what_the_first_try_left(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    site.fail_next("launch", "quota")
    launch_error(connector, request)  # what this one leaves may be deleted at once
    site.wire.next(WireFault.SERVER_ERROR, lambda *call: site.is_op("launch", *call))
    assert type(launch_error(connector, request)) is OutcomeUnknown
    (port,) = site.state.ports
    listed(connector)
    assert list(site.state.ports) == [port]


@pytest.mark.parametrize("deaf", [False, True])
def test_others_ports_are_not_touched_even_where_neutron_ignores_what_it_is_asked(
    site: OpenStackSite, deaf: bool
) -> None:
    site.state.deaf = deaf
    mine = [
        someones(site, "10.77.1.40"),
        someones(site, "10.77.1.41", name="clues-6f1d7c1e-a-n01-1-6929d0a1"),
        someones(site, "10.77.1.42", description=f"clues {THEIRS}", name="clues-x"),
        someones(site, "10.77.1.43", description=f"clues {OURS}-and-more", name="clues-y"),
        # ours by its mark, and used by a server that is not ours
        someones(site, "10.77.1.44", description=f"clues {OURS}", name="clues-z"),
    ]
    mine[4].device = site.add_foreign(site.request(OURS, 9))
    connector = site.connect(OURS)
    connector.terminate(launch(connector, site.request(OURS, 1)).id)
    assert site.left_behind(OURS)
    assert list(site.state.ports) == [port.id for port in mine]


# --- addresses that are taken ---------------------------------------------------------------------------------------


def test_the_address_of_a_vm_that_is_gone_is_taken_from_the_port_that_it_left(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    made = launch(connector, request)
    del site.state.servers[made.id]
    (port,) = site.state.ports.values()
    port.awaited_by = port.device = ""
    launch(connector, replace(request, launch_key=f"{request.launch_key}-2", generation=2))
    assert list(site.state.ports) != [port.id]
    assert len(site.state.ports) == 1


@pytest.mark.parametrize("bound", [True, False])
def test_an_address_that_a_vm_of_ours_still_holds_is_waited_for(site: OpenStackSite, bound: bool) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    made = launch(connector, request)
    (port,) = site.state.ports.values()
    port.awaited_by, port.device = "", made.id if bound else ""
    error = launch_error(connector, replace(request, launch_key=f"{request.launch_key}-2", node="n99"))
    assert type(error) is Transient
    assert f"still held by VM {made.id} (n01)" in str(error)
    assert list(site.state.ports) == [port.id]


def test_an_address_that_a_stranger_holds_is_told_with_his_port(site: OpenStackSite) -> None:
    port = someones(site, "10.77.1.11", owner="network:dhcp")
    error = launch_error(site.connect(OURS), site.request(OURS, 1))
    assert type(error) is InvalidRequest
    assert port.id in str(error)
    assert "network:dhcp" in str(error)
    assert list(site.state.ports) == [port.id]


def test_a_vm_whose_server_tag_is_gone_is_found_by_its_port_and_made_no_second_time(site: OpenStackSite) -> None:
    request = site.request(OURS, 1)
    made = launch(site.connect(OURS), request)
    site.state.servers[made.id].tags = []
    (port,) = site.state.ports.values()
    port.awaited_by, port.device = "", made.id
    assert launch(site.connect(OURS), request).id == made.id
    assert site.alive() == 1


def test_without_l3_nobody_asks_for_floating_ips_twice(site: OpenStackSite) -> None:
    site.state.l3 = False
    clock = Clock()
    connector = site.build(OURS, monotonic=clock)
    for hour in range(3):
        clock.now = 3600.0 * hour
        listed(connector)
    assert site.cloud.count("GET", "/floatingips") == 1
    assert connector.quota() is not None
