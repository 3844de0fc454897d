"""What a launch leaves in the account, and what an end takes away again; against the lab's AWS."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clues.errors import InvalidRequest, NoCapacity, OutcomeUnknown, QuotaExceeded, Transient
from clues.model import Instance, InstanceState, Kind, LaunchRequest, Market
from clues.testing.connector_site import launch, launch_error, listed, the_one
from connectors.common.pace import Gate
from connectors.ec2.api import Ec2Driver
from connectors.ec2.connector import Ec2Connector
from connectors.ec2.credentials import Source
from connectors.ec2.groups import Groups
from tests.lab.aws.site import Account, config, connect, make_image, request

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"


def site(account: Account, keys: Path, **settings: Any) -> Ec2Connector:
    return connect(config(account, keys, **settings), OURS)


def shown(account: Account, instance: Instance) -> dict[str, Any]:
    told = account.aws.client().describe_instances(InstanceIds=[instance.id])
    found: dict[str, Any] = told["Reservations"][0]["Instances"][0]
    return found


def as_router(wanted: LaunchRequest) -> LaunchRequest:
    return replace(wanted, kind=Kind.ROUTER, node="router-aws")


def test_volumes_and_cards_go_with_their_vm(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    made = launch(connector, request(OURS, 1))
    assert account.aws.tell("left")["volumes"] == 1
    connector.terminate(made.id)
    assert account.aws.tell("left") == {"volumes": 0, "cards": 0}


def test_a_vm_is_never_without_its_tags(account: Account, keys: Path) -> None:
    made = launch(site(account, keys), request(OURS, 1))
    (volume,) = account.aws.client().describe_volumes()["Volumes"]
    for tags in (shown(account, made)["Tags"], volume["Tags"]):
        assert {"Key": "clues-cluster", "Value": OURS} in tags
    assert account.aws.calls("CreateTags") == []


def test_what_was_asked_for_is_what_is_there(account: Account, keys: Path) -> None:
    made = launch(site(account, keys), request(OURS, 1, market=Market.SPOT))
    found = shown(account, made)
    assert found["InstanceLifecycle"] == "spot"
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    assert found["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert found["PrivateIpAddress"] == made.addresses[0] == "10.77.16.11"
    assert [group["GroupId"] for group in found["NetworkInterfaces"][0]["Groups"]] == [account.group]
    assert made.macs == (found["NetworkInterfaces"][0]["MacAddress"],)
    assert "InstanceLifecycle" not in shown(account, launch(site(account, keys), request(OURS, 2)))


def test_an_address_that_is_in_use_is_waited_for(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    first = launch(connector, request(OURS, 1))
    again = replace(request(OURS, 1), launch_key="another")
    error = launch_error(connector, again)
    assert type(error) is Transient
    assert "10.77.16.11" in error.words
    connector.terminate(first.id)
    assert launch(connector, again).addresses[0] == "10.77.16.11"


def test_a_launch_that_has_no_room_leaves_nothing(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    for code, kind in (("InsufficientInstanceCapacity", NoCapacity), ("MaxSpotInstanceCountExceeded", QuotaExceeded)):
        account.aws.tell("refuse", action="RunInstances", code=code)
        assert type(launch_error(connector, request(OURS, 1))) is kind
    assert account.aws.tell("alive") == []
    launch(connector, request(OURS, 1))


def test_too_much_user_data_is_told_before_anything_is_sent(account: Account, keys: Path) -> None:
    noise = "".join(chr(0x4E00 + at * 7919 % 20000) for at in range(20_000))
    error = launch_error(site(account, keys), replace(request(OURS, 1), user_data=noise))
    assert type(error) is InvalidRequest
    assert account.aws.calls("RunInstances") == []


def test_a_template_and_a_profile_are_taken_and_what_clues_says_holds(account: Account, keys: Path) -> None:
    ec2, iam = account.aws.client(), account.aws.client(service="iam")
    profile = iam.create_instance_profile(InstanceProfileName="scratch")["InstanceProfile"]
    data = {"InstanceType": "t3.micro", "UserData": "", "MetadataOptions": {"HttpTokens": "optional"}}
    made = ec2.create_launch_template(LaunchTemplateName="workers", LaunchTemplateData=data)["LaunchTemplate"]
    for number, name in enumerate((made["LaunchTemplateId"], "workers")):
        connector = site(account, keys, launch_template=name, instance_profile=["scratch", profile["Arn"]][number])
        found = shown(account, launch(connector, request(OURS, number)))
        assert found["InstanceType"] == request(OURS, 1).offer.flavor
        assert found["MetadataOptions"]["HttpTokens"] == "required"
        assert found["IamInstanceProfile"]["Arn"] == profile["Arn"]
        assert {"Key": "aws:ec2launchtemplate:id", "Value": made["LaunchTemplateId"]} in found["Tags"]
    ec2.delete_launch_template(LaunchTemplateName="workers")
    iam.delete_instance_profile(InstanceProfileName="scratch")


def test_launches_that_wait_for_their_turn_keep_no_listing_waiting(account: Account, keys: Path) -> None:
    connector, turn = site(account, keys, concurrency=2), threading.Event()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert turn.wait(60)

    connector._launches = Gate(0.1, 8, sleep=sleep)
    launch(connector, request(OURS, 0))
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(launch, connector, request(OURS, number)) for number in (1, 2, 3)]
        until(lambda: len(slept) == 3)
        assert len(connector.list_instances().instances) == 1
        assert not any(one.done() for one in waiting)
        turn.set()
    assert len(account.aws.tell("alive")) == 4
    assert [round(one, -1) for one in sorted(slept)] == [10, 20, 30]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- images -----------------------------------------------------------------------------------------------------------


def test_an_image_by_name_has_to_be_one(account: Account, keys: Path) -> None:
    ec2 = account.aws.client()
    made = [make_image(ec2, name) for name in ("twice-1", "twice-2")]
    wanted = replace(request(OURS, 1), offer=replace(request(OURS, 1).offer, image="twice-*"))
    for name, words in (("twice-*", "no image"), ("nowhere", "no image"), ("ami-0123456789abcdef0", "ami-0123")):
        error = launch_error(site(account, keys), replace(wanted, offer=replace(wanted.offer, image=name)))
        assert type(error) is InvalidRequest
        assert words in str(error)
    assert account.aws.calls("RunInstances") == []
    by_id = replace(wanted, offer=replace(wanted.offer, image=made[0]))
    assert shown(account, launch(site(account, keys), by_id))["ImageId"] == made[0]
    newest = launch(site(account, keys, newest_image=True), replace(wanted, launch_key="newest", address=""))
    assert shown(account, newest)["ImageId"] in made
    for one in made:
        ec2.deregister_image(ImageId=one)


def test_two_images_of_one_name_are_none_unless_the_newest_is_wanted(account: Account, keys: Path) -> None:
    ec2 = account.aws.client()
    made = [make_image(ec2, "same") for _ in range(2)]  # moto lets them have one name; shared ones may have it at AWS
    wanted = replace(request(OURS, 1), offer=replace(request(OURS, 1).offer, image="same"))
    error = launch_error(site(account, keys), wanted)
    assert type(error) is InvalidRequest
    assert all(one in str(error) for one in made)
    launch(site(account, keys, newest_image=True), wanted)
    for one in made:
        ec2.deregister_image(ImageId=one)


def test_an_image_is_looked_up_once_for_many_launches(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: launch(connector, request(OURS, number)), range(4)))
    assert len(account.aws.calls("DescribeImages")) == 1


# --- the client token -------------------------------------------------------------------------------------------------


def test_a_key_that_was_launched_otherwise_finds_its_vm(account: Account, keys: Path) -> None:
    """A new image of the same name was made between two launches with one key."""
    first = launch(site(account, keys), request(OURS, 1))
    otherwise = replace(request(OURS, 1), user_data="#!/bin/sh\n: other bytes\n")
    assert launch(site(account, keys), otherwise).id == first.id
    assert account.aws.tell("alive") == [first.id]


def test_a_key_that_was_launched_otherwise_and_has_ended_is_no_vm(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    connector.terminate(launch(connector, request(OURS, 1)).id)
    error = launch_error(connector, replace(request(OURS, 1), user_data="#!/bin/sh\n: other bytes\n"))
    assert type(error) is OutcomeUnknown
    assert account.aws.tell("alive") == []


# --- routers ----------------------------------------------------------------------------------------------------------


def wired(account: Account, **settings: Any) -> dict[str, Any]:
    return {"route_table": account.table, "route_ranges": ["10.77.0.0/20", "192.168.7.0/24"], **settings}


def routes(account: Account) -> dict[str, str]:
    told = account.aws.client().describe_route_tables(RouteTableIds=[account.table])["RouteTables"][0]["Routes"]
    return {route["DestinationCidrBlock"]: route.get("NetworkInterfaceId", "") for route in told}


@pytest.fixture
def no_routes(account: Account) -> Account:
    ec2 = account.aws.client()
    for network in set(routes(account)) - {"10.77.0.0/16"}:
        ec2.delete_route(RouteTableId=account.table, DestinationCidrBlock=network)
    return account


def test_only_a_router_may_pass_on_what_is_not_for_itself(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    router, worker = launch(connector, as_router(request(OURS, 1))), launch(connector, request(OURS, 2))
    assert shown(account, router)["SourceDestCheck"] is False
    assert shown(account, worker)["SourceDestCheck"] is True
    assert account.aws.calls("CreateRoute") == []


def test_the_routes_lead_to_the_router_and_to_the_next_one(no_routes: Account, keys: Path) -> None:
    connector = site(no_routes, keys, **wired(no_routes))
    for number in (1, 2):
        router = launch(connector, as_router(request(OURS, number)))
        card = shown(no_routes, router)["NetworkInterfaces"][0]["NetworkInterfaceId"]
        found = routes(no_routes)
        assert {found["10.77.0.0/20"], found["192.168.7.0/24"]} == {card}
        connector.terminate(router.id)


def test_without_ranges_the_clusters_own_is_led_to_the_router(no_routes: Account, keys: Path) -> None:
    settings = config(no_routes, keys, route_table=no_routes.table)
    launch(connect(settings, OURS, network="10.64.0.0/12"), as_router(request(OURS, 1)))
    assert routes(no_routes)["10.64.0.0/12"].startswith("eni-")


def test_somebody_elses_route_stays_and_the_router_is_there_all_the_same(
    no_routes: Account, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ec2 = no_routes.aws.client()
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    vpc = ec2.describe_subnets(SubnetIds=[no_routes.subnet])["Subnets"][0]["VpcId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(RouteTableId=no_routes.table, DestinationCidrBlock="10.77.0.0/20", GatewayId=gateway)
    with caplog.at_level(logging.WARNING):
        launch(site(no_routes, keys, **wired(no_routes)), as_router(request(OURS, 1)))
    assert routes(no_routes)["10.77.0.0/20"] == ""
    assert gateway in caplog.text
    assert no_routes.aws.calls("ReplaceRoute") == []
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def test_a_router_whose_launch_was_cut_short_is_made_one_by_a_listing(no_routes: Account, keys: Path) -> None:
    account = no_routes
    account.aws.tell("refuse", action="ModifyInstanceAttribute", code="InternalError")
    account.aws.tell("refuse", action="CreateRoute", code="InternalError", times=2)
    connector = site(account, keys, **wired(account))
    made = launch(connector, as_router(request(OURS, 1)))
    assert shown(account, made)["SourceDestCheck"] is True
    for _ in range(3):
        assert the_one(connector.list_instances()).id == made.id
    assert shown(account, made)["SourceDestCheck"] is False
    assert all(routes(account)[network] for network in ("10.77.0.0/20", "192.168.7.0/24"))
    before = len(account.aws.calls())
    listed(connector)
    assert [one["Action"] for one in account.aws.calls(since=before)] == ["DescribeInstances"]
    account.aws.client().modify_instance_attribute(InstanceId=made.id, SourceDestCheck={"Value": True})
    listed(connector)
    assert shown(account, made)["SourceDestCheck"] is False


# --- placement groups -------------------------------------------------------------------------------------------------


def test_a_gang_shares_a_group_of_ours_and_nobody_else_is_in_it(account: Account, keys: Path) -> None:
    connector = site(account, keys, placement="cluster")
    wanted = [replace(request(OURS, number), gang=gang) for number, gang in enumerate(["77", "77", "78", ""])]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda one: launch(connector, one), wanted))
    groups = [shown(account, one)["Placement"].get("GroupName", "") for one in made]
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] == ""
    known = account.aws.tell("groups")
    assert set(known) == {groups[0], groups[2]}
    assert all(tags == {"clues-cluster": OURS} for tags in known.values())


def test_gangs_have_no_group_where_none_is_configured(account: Account, keys: Path) -> None:
    launch(site(account, keys), replace(request(OURS, 1), gang="77"))
    assert account.aws.tell("groups") == {}


def test_an_empty_group_ends_after_a_while_also_for_a_restarted_daemon(account: Account, keys: Path) -> None:
    settings = config(account, keys, placement="cluster")
    connector = connect(settings, OURS)
    now = [0.0]
    connector._groups = Groups(OURS, monotonic=lambda: now[0])
    foreign = connect(settings, OURS[:-1] + "b")
    launch(foreign, replace(request(OURS[:-1] + "b", 3), gang="77"))
    foreign.terminate(the_one(foreign.list_instances()).id)
    made = launch(connector, replace(request(OURS, 1), gang="77"))
    for _ in range(2):
        now[0] += 1000
        connector.list_instances()
        assert len(account.aws.tell("groups")) == 2, "it is inhabited"
    connector.terminate(made.id)
    connector._groups = Groups(OURS, monotonic=lambda: now[0])
    for passed, left in ((0, 2), (500, 2), (200, 1)):
        now[0] += passed
        connector.list_instances()
        assert len(account.aws.tell("groups")) == left
    assert account.aws.tell("groups") == {foreign._groups.name_of("77"): {"clues-cluster": OURS[:-1] + "b"}}
    launch(connector, replace(request(OURS, 2), gang="77"))


def test_a_group_that_was_ended_meanwhile_is_made_anew(account: Account, keys: Path) -> None:
    connector = site(account, keys, placement="cluster")
    connector.terminate(launch(connector, replace(request(OURS, 1), gang="77")).id)
    account.aws.client().delete_placement_group(GroupName=connector._groups.name_of("77"))
    wanted = replace(request(OURS, 2), gang="77")
    assert type(launch_error(connector, wanted)) is Transient
    launch(connector, wanted)


# --- ends -------------------------------------------------------------------------------------------------------------


def test_vms_that_end_together_end_by_few_calls_and_one_that_may_not_spoils_it_for_nobody(
    account: Account, keys: Path
) -> None:
    connector = site(account, keys)
    made = [launch(connector, request(OURS, number)) for number in range(6)]
    account.aws.client().modify_instance_attribute(InstanceId=made[0].id, DisableApiTermination={"Value": True})
    together = threading.Barrier(6)

    def end(one: Instance) -> str:
        together.wait()
        try:
            connector.terminate(one.id)
        except InvalidRequest as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(6) as threads:
        told = list(threads.map(end, made))
    assert "OperationNotPermitted" in told[0]
    assert told[1:] == [""] * 5
    assert account.aws.tell("alive") == [made[0].id]
    account.aws.client().modify_instance_attribute(InstanceId=made[0].id, DisableApiTermination={"Value": False})
    more = [launch(connector, request(OURS, number)) for number in range(10, 15)]
    before = len(account.aws.calls())
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(end, [made[0], *more]))
    actions = [one["Action"] for one in account.aws.calls(since=before)]
    assert account.aws.tell("alive") == []
    assert len(actions) < 12, actions


def test_one_that_ended_by_itself_is_told_with_its_reason(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    made = launch(connector, request(OURS, 1))
    table = [
        ("Server.SpotInstanceTermination", "Spot Instance termination", "no-capacity"),
        ("Server.InsufficientInstanceCapacity", "Insufficient capacity to launch", "no-capacity"),
        ("Client.VolumeLimitExceeded", "Volume limit exceeded", "quota"),
        ("Client.UserInitiatedShutdown", "User initiated shutdown", ""),
    ]
    for code, message, amounts_to in table:
        account.aws.tell("state", instance_id=made.id, state="terminated", code=code, message=message)
        one = the_one(connector.list_instances())
        assert one.state is InstanceState.GONE
        assert one.fault_code == amounts_to
        assert one.fault == (f"{code}: {message}" if amounts_to else "")


# --- the driver's keys ------------------------------------------------------------------------------------------------


def test_keys_that_were_exchanged_in_their_file_are_used_after_a_refusal(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    connector.list_instances()
    written = keys.read_text()
    keys.write_text(written.replace("clues-secret", "an-old-secret"))
    fresh = connect(config(account, keys), OURS)
    source = fresh._source
    assert isinstance(source, Source)
    source.get()
    keys.write_text(written)
    assert fresh.list_instances().instances == ()
    assert isinstance(fresh._drivers.get(), Ec2Driver)
