"""Several VMs of one launch: each has its own name from its first moment on, and the launch is one however often it is
asked for."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clues.bootstrap import user_data as script
from clues.errors import CloudError, InvalidRequest, NoCapacity, OutcomeUnknown, QuotaExceeded, Throttled
from clues.model import InstanceState, Kind, LaunchOutcome, LaunchRequest
from clues.testing.connector_site import listed
from connectors.common.pace import Gate
from connectors.ec2 import PLUGIN, mates
from connectors.ec2.connector import Ec2Connector
from connectors.ec2.images import Image
from connectors.ec2.run import MOST_USER_DATA, together, user_data
from tests.lab.aws.site import Account, config, connect, request
from tests.unit.bootstrap.lab import Authorities

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"


def site(account: Account, keys: Path, **settings: Any) -> Ec2Connector:
    return connect(config(account, keys, **settings), OURS)


def batch(count: int, first: int = 0, gang: str = "") -> list[LaunchRequest]:
    one_by_one = [request(OURS, number, address=False) for number in range(first, first + count)]
    keys = tuple(one.launch_key for one in one_by_one)
    return [replace(one, batch=keys, gang=gang, generation=at) for at, one in enumerate(one_by_one)]


def made(outcomes: Sequence[LaunchOutcome]) -> dict[str, str]:
    return {one.launch_key: one.instance.id for one in outcomes if one.instance is not None}


def errors(outcomes: Sequence[LaunchOutcome]) -> set[type[CloudError]]:
    return {type(one.error) for one in outcomes if one.error is not None}


def test_forty_vms_are_one_call_and_each_is_known_by_its_own_key(account: Account, keys: Path) -> None:
    connector, wanted = site(account, keys), batch(40)
    outcomes = connector.launch(wanted)
    assert [one.launch_key for one in outcomes] == [one.launch_key for one in wanted]
    assert errors(outcomes) == set()
    (call,) = account.aws.calls("RunInstances")
    assert (call["MinCount"], call["MaxCount"]) == ("1", "40")
    assert len(set(made(outcomes).values())) == 40
    shown = {one.launch_key: one for one in listed(connector)}
    for outcome, one in zip(outcomes, wanted, strict=True):
        for instance in (outcome.instance, shown[one.launch_key]):
            assert instance is not None
            assert instance.id == made(outcomes)[one.launch_key]
            assert (instance.node, instance.generation, instance.pool) == (one.node, one.generation, one.pool)
            assert (instance.cluster, instance.kind, instance.offer) == (OURS, "worker", one.offer.key)
            assert instance.addresses
    assert account.aws.calls("CreateTags") == []


def test_the_same_call_makes_the_same_vms_for_a_restarted_daemon_too(account: Account, keys: Path) -> None:
    first = made(site(account, keys).launch(batch(5)))
    assert made(site(account, keys).launch(batch(5))) == first
    assert len(account.aws.tell("alive")) == 5


def test_a_call_that_was_sent_is_the_same_after_the_site_was_told_to_make_fewer(account: Account, keys: Path) -> None:
    first = made(site(account, keys).launch(batch(5)))
    fewer = site(account, keys, batch=2)
    assert fewer.batch == 2
    assert made(fewer.launch(batch(5))) == first


def test_after_a_lost_answer_all_are_listed_by_their_keys_and_the_call_finds_them(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    account.aws.tell("refuse", action="RunInstances", code="InternalError", after=True)
    assert errors(connector.launch(batch(5))) == {OutcomeUnknown}
    there = {one.launch_key: one.id for one in listed(connector)}
    assert set(there) == set(batch(5)[0].batch)
    assert made(connector.launch(batch(5))) == there


def test_what_there_is_no_room_for_is_told_for_itself(account: Account, keys: Path) -> None:
    account.aws.tell("set", room=3)
    outcomes = site(account, keys).launch(batch(5))
    assert [one.instance is not None for one in outcomes] == [True, True, True, False, False]
    assert errors(outcomes) == {NoCapacity}
    again = site(account, keys).launch(batch(5))
    assert made(again) == made(outcomes)
    assert len(account.aws.tell("alive")) == 3


def test_of_a_gang_all_are_made_or_none(account: Account, keys: Path) -> None:
    connector = site(account, keys, placement="cluster")
    account.aws.tell("set", room=4)
    outcomes = connector.launch(batch(5, gang="77"))
    assert made(outcomes) == {}
    assert errors(outcomes) == {NoCapacity}
    assert account.aws.tell("alive") == []
    assert len(made(connector.launch(batch(4, first=10, gang="78")))) == 4
    places = account.aws.client().describe_instances()["Reservations"][0]["Instances"]
    assert len({one["Placement"]["GroupName"] for one in places}) == 1


@pytest.mark.parametrize(("code", "kind"), [("VcpuLimitExceeded", QuotaExceeded), ("RequestLimitExceeded", Throttled)])
def test_a_refusal_is_everybodys_and_makes_nothing(
    account: Account, keys: Path, code: str, kind: type[CloudError]
) -> None:
    account.aws.tell("refuse", action="RunInstances", code=code)
    outcomes = site(account, keys).launch(batch(3))
    assert [type(one.error) for one in outcomes] == [kind] * 3
    assert account.aws.tell("alive") == []


def test_vms_that_were_asked_for_with_other_bytes_are_found(account: Account, keys: Path) -> None:
    first = made(site(account, keys).launch(batch(3)))
    otherwise = [replace(one, user_data="#!/bin/sh\n: other bytes\n") for one in batch(3)]
    assert made(site(account, keys).launch(otherwise)) == first


def test_each_ends_alone(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    ids = made(connector.launch(batch(3)))
    connector.terminate(ids["key-a-1"])
    states = {one.launch_key: one.state is InstanceState.GONE for one in listed(connector)}
    assert states == {"key-a-0": False, "key-a-1": True, "key-a-2": False}


def test_a_launch_of_many_takes_one_turn(account: Account, keys: Path) -> None:
    connector = site(account, keys)
    slept: list[float] = []
    connector._launches = Gate(0.01, 8, patience=500.0, sleep=slept.append)
    connector.launch(batch(3))
    connector.launch(batch(3, first=10))
    assert len(slept) == 1


WRONG = {
    "too many": batch(46),
    "not all of them": batch(3)[:2],
    "in another order": batch(3)[::-1],
    "an address": [replace(one, address="10.77.16.99") for one in batch(2)],
    "routers": [replace(one, kind=Kind.ROUTER) for one in batch(2)],
    "two pools": [replace(one, pool=one.node) for one in batch(2)],
    "two scripts": [replace(one, user_data=one.node) for one in batch(2)],
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_one_call_is_sent_to_nobody(account: Account, keys: Path, name: str) -> None:
    outcomes = site(account, keys).launch(WRONG[name])
    assert errors(outcomes) == {InvalidRequest}
    assert made(outcomes) == {}
    assert account.aws.calls("RunInstances") == []


# --- without asking anybody -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "3", "-1", "x", "00"])
def test_a_place_that_is_none_of_the_call_names_nobody(place: str) -> None:
    tags = mates.tags_of(batch(3))
    assert "clues-launch-key" not in mates.own(tags, place)
    assert mates.own(tags, place)["clues-cluster"] == OURS
    assert mates.own(tags, "2")["clues-launch-key"] == "key-a-2"


def test_the_largest_call_fits_into_what_ec2_takes_with_the_longest_names(tmp_path: Path) -> None:
    chance = random.Random(7)
    largest = PLUGIN.Config.model_validate({"region": "eu-west-1", "batch": 45})
    count = mates.most(len(largest.tags))
    assert count == 45
    longest = ["".join(chance.choices("abcdefghij0123456789", k=64)) for _ in range(count)]
    text = script.render(
        ca_pem=Authorities.open(tmp_path).ca_pem * 2,
        mates=[f"{key}.{''.join(chance.choices('ABCDEFGHabcdefgh01234567-_', k=43))}" for key in longest],
        urls=["https://" + "x" * 63 + ".example.org:8443"],
        node="n",
        routes=[("10.77.0.0/16", "10.77.2.9")] * 4,
        proof="ec2",
    )
    assert len(user_data(text)) <= MOST_USER_DATA
    whole = [
        replace(one, launch_key=key, batch=tuple(longest), node="n" * 63, generation=10**9 - 1, user_data=text)
        for one, key in zip(batch(count), longest, strict=True)
    ]
    params = together(whole, largest, Image("ami-1", "i", "x86_64", "/dev/sda1", ()))
    assert base64.b64decode(params["UserData"]) == user_data(text)
    tags = [name for name in params if name.startswith("TagSpecification.1.Tag.") and name.endswith(".Key")]
    assert len(tags) <= 50
    assert max(len(value) for name, value in params.items() if ".Tag." in name) <= 256
    assert len(params["ClientToken"]) == 64
    # a site with many tags of its own has room for fewer
    assert connect_most({f"t{n}": "x" for n in range(40)}) == 5


def connect_most(tags: dict[str, str]) -> int:
    return mates.most(len(PLUGIN.Config.model_validate({"region": "eu-west-1", "tags": tags}).tags))
