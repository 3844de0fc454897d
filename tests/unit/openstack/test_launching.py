"""What nova and neutron are told when a VM is made, and what becomes of refusals."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.errors import AuthFailed, InvalidRequest, NoCapacity, QuotaExceeded, Throttled
from clues.model import Instance, InstanceState, Kind, LaunchRequest, Market
from clues.testing.connector_contract import OURS, launch, launch_error, listed, the_one
from connectors.openstack.connector import OpenStackConnector
from connectors.openstack.servers import tag_of
from tests.lab.openstack_fake.state import Flavor, SecurityGroup, new_id
from tests.lab.openstack_fake.under_test import OpenStackSite


def sent(site: OpenStackSite, ending: str) -> list[dict[str, Any]]:
    """Return the bodies of all POSTs to this path."""
    return [json.loads(body) for method, path, body in site.wire.requests if method == "POST" and path.endswith(ending)]


def router(site: OpenStackSite, number: int = -1) -> LaunchRequest:
    """Return a request for the site's router, at the ninth address."""
    return replace(site.request(OURS, number), kind=Kind.ROUTER, node="router-here", pool="")


def test_a_server_has_all_that_was_configured(site: OpenStackSite) -> None:
    group = next(one for one in site.state.groups.values() if one.name == "workers" and one.project == site.project.id)
    connector = site.build(
        OURS,
        key_pair="ops",
        boot_volume={"size": "30000MiB", "type": "fast"},
        security_groups="workers",
        server_group="soft-anti-affinity",
    )
    request = site.request(OURS, 1)
    request = replace(
        request, offer=replace(request.offer, zone="gpu-zone"), gang="job-7", user_data="#!/bin/sh\n: é\n"
    )
    launch(connector, request)
    (server,) = site.state.servers.values()
    (body,) = sent(site, "/servers")
    assert (server.name, server.key_name, server.zone, server.config_drive) == ("n01", "ops", "gpu-zone", True)
    assert base64.b64decode(server.user_data).decode() == "#!/bin/sh\n: é\n"
    assert server.tags == [request.launch_key, f"clues-cluster={OURS}"]
    assert server.metadata["clues-launch-key"] == request.launch_key
    assert "imageRef" not in body["server"]
    (volume,) = server.volumes
    assert (volume["volume_size"], volume["volume_type"], volume["delete_on_termination"]) == (30, "fast", True)
    assert site.state.server_groups[server.group].policy == "soft-anti-affinity"
    (port,) = (body["port"] for body in sent(site, "/ports"))
    assert port["security_groups"] == [group.id]
    assert "allowed_address_pairs" not in port
    assert body["server"]["networks"] == [{"port": next(iter(site.state.ports))}]


def test_without_a_range_nova_makes_the_port_in_the_named_network_with_groups_by_id(site: OpenStackSite) -> None:
    """By id, since nova has a conflict where two groups have one name."""
    wanted = next(one for one in site.state.groups.values() if one.name == "workers" and one.project == site.project.id)
    connector = site.build(OURS, network="clues-net", security_groups=[wanted.id])
    twin = SecurityGroup(new_id(), "workers", site.project.id)
    site.state.groups[twin.id] = twin
    launch(connector, site.request(OURS, 1))
    (port,) = site.state.ports.values()
    assert port.made_by_nova
    assert port.security_groups == [wanted.id]
    assert sent(site, "/ports") == []
    connector.terminate(the_one(connector.list_instances()).id)


def test_the_address_of_a_tunnel_is_no_address_of_the_network(site: OpenStackSite) -> None:
    """A directly attached worker is reached at the end of its tunnel; its card gets whatever the cloud chooses."""
    made = launch(site.connect(OURS), replace(site.request(OURS, 1), address="10.77.252.7"))
    assert made.addresses == ()
    assert sent(site, "/ports") == []


def test_a_vm_shows_its_address_while_it_is_built(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    made = launch(connector, request)
    site.put_in_state(made, "BUILD")
    shown = the_one(connector.list_instances())
    assert (shown.state, shown.addresses, shown.macs) == (InstanceState.PENDING, (request.address,), ())
    site.put_in_state(made, "")
    settle(connector)
    shown = the_one(connector.list_instances())
    assert shown.addresses == (request.address,)
    assert len(shown.macs) == 1


def settle(connector: OpenStackConnector) -> Instance:
    """Wait until the only VM runs."""
    for _ in range(1000):
        one = the_one(connector.list_instances())
        if one.state is InstanceState.RUNNING:
            return one
    raise AssertionError("it does not come to run")


# --- the router -----------------------------------------------------------------------------------------------------


def test_only_the_routers_port_carries_the_overlay_and_a_floating_ip(site: OpenStackSite) -> None:
    connector = site.build(
        OURS, floating_ip=True, router_carries="192.168.9.0/24", router_security_groups="workers", security_groups=()
    )
    launch(connector, site.request(OURS, 1))
    assert site.state.floating == {}
    made = launch(connector, router(site))
    worker, gateway = (body["port"] for body in sent(site, "/ports"))
    assert "allowed_address_pairs" not in worker
    assert "security_groups" not in worker
    assert gateway["allowed_address_pairs"] == [{"ip_address": "10.77.0.0/16"}, {"ip_address": "192.168.9.0/24"}]
    assert len(gateway["security_groups"]) == 1
    (floating,) = site.state.floating.values()
    assert site.state.ports[floating.port].address == "10.77.1.9"
    connector.terminate(made.id)
    assert site.state.floating == {}
    assert len(site.state.ports) == 1


def test_a_router_is_not_made_where_nobody_says_what_it_carries(site: OpenStackSite) -> None:
    from clues.ports import PluginContext

    connector = OpenStackConnector(site.config(), PluginContext(OURS, "here", site.folder))
    error = launch_error(connector, router(site))
    assert type(error) is InvalidRequest
    assert "router_carries" in str(error)
    assert site.state.ports == {}


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_server_without_a_host_becomes_an_error_that_says_no_capacity_and_can_be_ended(site: OpenStackSite) -> None:
    site.state.full.add("m1.small")
    connector = site.connect(OURS)
    launch(connector, site.request(OURS, 1))
    one = the_one(connector.list_instances())
    assert (one.state, one.fault_code) == (InstanceState.ERROR, "no-capacity")
    assert "No valid host was found" in one.fault
    connector.terminate(one.id)
    assert site.left_behind(OURS) == []


@pytest.mark.parametrize("quota", [{"instances": 0}, {"cores": 1}, {"ram": 1}, {"ports": 0}])
def test_a_quota_is_told_from_a_policy(site: OpenStackSite, quota: dict[str, int]) -> None:
    connector = site.connect(OURS)
    for name, value in quota.items():
        setattr(site.project, name, value)
    assert type(launch_error(connector, site.request(OURS, 1))) is QuotaExceeded
    assert site.state.ports == {}


def test_a_policy_is_not_taken_for_a_quota(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    site.state.forbidden.add("os_compute_api:servers:create")
    assert type(launch_error(connector, site.request(OURS, 1))) is AuthFailed
    assert site.state.ports == {}


@pytest.mark.parametrize(
    ("changes", "settings", "says"),
    [
        ({"flavor": "huge"}, {}, "there is no flavor 'huge'; there are: diskless, gpu.a10, m1.small"),
        ({"image": "nothing"}, {}, "has no active image 'nothing'"),
        ({"image": new_id()}, {}, "there is no image"),
        ({"zone": "elsewhere"}, {}, "availability zone is not available"),
        ({"flavor": "diskless"}, {}, "volume-backed"),
        ({"market": Market.SPOT}, {}, "no spot market"),
        ({}, {"key_pair": "nobody"}, "Invalid key_name"),
        ({}, {"security_groups": "nothing"}, "no security group 'nothing'"),
        ({}, {"network": "10.99.0.0/24"}, "subnets with the range 10.99.0.0/24: none"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_and_leaves_nothing(
    site: OpenStackSite, changes: dict[str, Any], settings: dict[str, Any], says: str
) -> None:
    request = site.request(OURS, 1)
    connector = site.build(OURS, **settings)
    error = launch_error(connector, replace(request, offer=replace(request.offer, **changes)))
    assert type(error) is InvalidRequest
    assert says in str(error)
    assert (site.state.ports, site.alive()) == ({}, 0)


def test_user_data_that_nova_does_not_take_is_told_before_anything_is_made(site: OpenStackSite) -> None:
    error = launch_error(site.connect(OURS), replace(site.request(OURS, 1), user_data="x" * 50_000))
    assert type(error) is InvalidRequest
    assert "65535" in str(error)
    assert "xxx" not in repr(error)
    assert site.state.ports == {}


def test_a_flavor_that_comes_later_is_found_then(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    request = replace(request, offer=replace(request.offer, flavor="new"))
    assert type(launch_error(connector, request)) is InvalidRequest
    site.state.flavors["77"] = Flavor("77", "new", 1, 512)
    launch(connector, request)


def test_too_many_requests_are_told_as_nova_tells_them(site: OpenStackSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    launch(connector, site.request(OURS, 2))
    site.state.over_limit = 1
    error = launch_error(connector, request)
    assert type(error) is Throttled
    assert error.retry_after == timedelta(seconds=7)
    launch(connector, request)


def test_an_error_is_not_its_own_cause(site: OpenStackSite) -> None:
    """A log would tell it without an end."""
    request = site.request(OURS, 1)
    error = launch_error(site.connect(OURS), replace(request, offer=replace(request.offer, flavor="huge")))
    assert error.__cause__ is not error


def test_no_capacity_at_the_call_itself_is_no_unknown_outcome(site: OpenStackSite) -> None:
    site.fail_next("launch", "no-capacity")
    assert type(launch_error(site.connect(OURS), site.request(OURS, 1))) is NoCapacity
    assert site.state.ports == {}


# --- older clouds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(2, 1), (2, 26), (2, 53), (2, 79)])
def test_an_older_nova_is_asked_for_no_more_than_it_can(site: OpenStackSite, version: tuple[int, int]) -> None:
    site.state.max_version = version
    connector, request = site.build(OURS, server_group="soft-anti-affinity"), site.request(OURS, 1)
    request = replace(request, gang="g")
    made = launch(connector, request)
    assert launch(site.build(OURS), request).id == made.id
    assert site.alive() == 1
    assert bool(site.state.server_groups) == (version >= (2, 15))
    assert bool(site.state.servers[made.id].tags) == (version >= (2, 52))


def test_a_launch_looks_for_its_key_by_tag_and_does_not_list_all(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    before = site.wire.count(lambda *request: site.is_op("list", *request))
    launch(connector, site.request(OURS, 1))
    assert site.wire.count(lambda *request: site.is_op("list", *request)) == before


def test_a_tag_is_short_enough_for_nova_and_as_unique_as_its_key() -> None:
    keys = ["a" * 64, "a" * 63 + "b", "6f1d7c1e-gpu-01-3-6929d0a1"]
    tags = [tag_of(key) for key in keys]
    assert len(set(tags)) == 3
    assert all(len(tag) <= 60 for tag in tags)
    assert tags[2] == keys[2]


def test_the_console_is_the_end_of_what_was_written(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    made = launch(connector, site.request(OURS, 1))
    site.state.servers[made.id].console = "".join(f"line {number}\n" for number in range(2000))
    settle(connector)
    console = connector.console(made.id)
    assert console.endswith("line 1999\n")
    assert console.count("\n") == 500
    site.put_in_state(made, "BUILD")
    assert connector.console(made.id) == ""
    assert [one.id for one in listed(connector)] == [made.id]
