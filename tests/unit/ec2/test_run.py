"""What RunInstances is asked for, without asking anybody."""

from __future__ import annotations

import base64
import gzip
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clues.errors import InvalidRequest
from clues.model import LaunchRequest, Market
from connectors.ec2 import PLUGIN
from connectors.ec2.config import Ec2Config
from connectors.ec2.images import Image, Volume
from connectors.ec2.run import MOST_USER_DATA, parameters
from tests.lab.aws.site import request

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"
IMAGE = Image(
    "ami-1", "clues-worker", "x86_64", "/dev/sda1", (Volume("/dev/sdb", 100), Volume("/dev/sda1", 10)), "2026-01-01"
)


def asked(wanted: LaunchRequest | None = None, group: str = "", **settings: Any) -> dict[str, str]:
    checked: Ec2Config = PLUGIN.Config.model_validate({"region": "eu-west-1", **settings})
    return parameters(wanted or request(OURS, 1), checked, IMAGE, group)


def tags_in(params: dict[str, str], kind: int) -> dict[str, str]:
    prefix = f"TagSpecification.{kind}.Tag."
    keys = {name: value for name, value in params.items() if name.startswith(prefix) and name.endswith(".Key")}
    return {value: params[name.removesuffix("Key") + "Value"] for name, value in keys.items()}


def test_the_same_request_is_the_same_bytes() -> None:
    assert asked() == asked()
    long = replace(request(OURS, 1), user_data="#!/bin/sh\n" + "echo a line\n" * 3000)
    assert asked(long) == asked(long)


def test_the_launch_key_is_the_client_token_and_one_that_cannot_be_is_not_sent() -> None:
    assert asked()["ClientToken"] == "key-a-1"
    assert asked(replace(request(OURS, 1), launch_key="k" * 64))["ClientToken"] == "k" * 64
    for key in ("k" * 65, "klíč"):
        with pytest.raises(InvalidRequest):
            asked(replace(request(OURS, 1), launch_key=key))


def test_instance_and_volume_have_our_tags_and_the_sites() -> None:
    params = asked(tags={"project": "deep"})
    assert [params[f"TagSpecification.{n}.ResourceType"] for n in (1, 2)] == ["instance", "volume"]
    for kind in (1, 2):
        tags = tags_in(params, kind)
        assert tags["clues-cluster"] == OURS
        assert tags["clues-launch-key"] == "key-a-1"
        assert (tags["Name"], tags["project"]) == ("node-1", "deep")


@pytest.mark.parametrize("name", ["clues-cluster", "CLUES-CLUSTER", "aws:x", "Name", ""])
def test_the_site_cannot_overwrite_our_tags(name: str) -> None:
    with pytest.raises(ValidationError):
        asked(tags={name: "x"})


def test_no_volume_and_no_card_outlives_the_vm_whatever_the_image_says() -> None:
    params = asked()
    assert params["NetworkInterface.1.DeleteOnTermination"] == "true"
    assert [params[f"BlockDeviceMapping.{n}.DeviceName"] for n in (1, 2)] == ["/dev/sdb", "/dev/sda1"]
    assert {params[f"BlockDeviceMapping.{n}.Ebs.DeleteOnTermination"] for n in (1, 2)} == {"true"}
    assert params["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_the_root_volume_alone_is_as_configured() -> None:
    params = asked(volume={"size": 40, "type": "gp3", "iops": 4000, "throughput": 250, "encrypted": True})
    root = {
        name.removeprefix("BlockDeviceMapping.2.Ebs."): value for name, value in params.items() if ".2.Ebs." in name
    }
    assert root == {
        "DeleteOnTermination": "true",
        "VolumeSize": "40",
        "VolumeType": "gp3",
        "Iops": "4000",
        "Throughput": "250",
        "Encrypted": "true",
    }
    assert params["BlockDeviceMapping.1.Ebs.VolumeSize"] == "100"


def test_the_metadata_service_wants_a_token_and_answers_no_container() -> None:
    params = asked()
    assert params["MetadataOptions.HttpTokens"] == "required"
    assert params["MetadataOptions.HttpPutResponseHopLimit"] == "1"


def test_spot_is_asked_for_once_and_ends_when_it_is_called_back() -> None:
    spot = replace(request(OURS, 1), offer=replace(request(OURS, 1).offer, market=Market.SPOT))
    options = {name: value for name, value in asked(spot).items() if name.startswith("InstanceMarketOptions")}
    assert options == {
        "InstanceMarketOptions.MarketType": "spot",
        "InstanceMarketOptions.SpotOptions.SpotInstanceType": "one-time",
        "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior": "terminate",
    }
    assert not [name for name in asked() if name.startswith("InstanceMarketOptions")]


def test_the_network_is_the_configured_one_and_the_address_the_reserved_one() -> None:
    params = asked(subnet="subnet-0123abcd", security_groups=["sg-0123abcd", "sg-4567cdef"], public_address=False)
    card = {name.removeprefix("NetworkInterface.1."): value for name, value in params.items() if "Interface.1" in name}
    assert card == {
        "DeviceIndex": "0",
        "DeleteOnTermination": "true",
        "SubnetId": "subnet-0123abcd",
        "PrivateIpAddress": "10.77.16.11",
        "AssociatePublicIpAddress": "false",
        "SecurityGroupId.1": "sg-0123abcd",
        "SecurityGroupId.2": "sg-4567cdef",
    }
    # EC2 takes them at the card or at the instance, not at both
    assert not {"SubnetId", "SecurityGroupId.1", "PrivateIpAddress"} & set(params)


def test_an_offers_zone_chooses_the_subnet_and_one_without_a_subnet_is_wrong() -> None:
    subnets = {"eu-west-1a": "subnet-0000000a", "eu-west-1b": "subnet-0000000b"}
    there = request(OURS, 1)
    there = replace(there, offer=replace(there.offer, zone="eu-west-1b"))
    assert asked(there, subnets=subnets)["NetworkInterface.1.SubnetId"] == "subnet-0000000b"
    assert asked(there, subnets=subnets)["Placement.AvailabilityZone"] == "eu-west-1b"
    assert asked(subnets=subnets)["NetworkInterface.1.SubnetId"] == "subnet-0000000a"
    nowhere = replace(there, offer=replace(there.offer, zone="eu-west-1c"))
    with pytest.raises(InvalidRequest, match="eu-west-1c"):
        asked(nowhere, subnets=subnets)


def test_a_worker_has_no_role_and_no_key_unless_they_are_configured() -> None:
    assert not [name for name in asked() if name.startswith(("IamInstanceProfile", "KeyName", "LaunchTemplate"))]
    params = asked(instance_profile="scratch", key_name="admin", launch_template="workers", launch_template_version="3")
    assert params["IamInstanceProfile.Name"] == "scratch"
    assert params["KeyName"] == "admin"
    assert (params["LaunchTemplate.LaunchTemplateName"], params["LaunchTemplate.Version"]) == ("workers", "3")
    params = asked(instance_profile="arn:aws:iam::1:instance-profile/x", launch_template="lt-0123abcd")
    assert params["IamInstanceProfile.Arn"] == "arn:aws:iam::1:instance-profile/x"
    assert params["LaunchTemplate.LaunchTemplateId"] == "lt-0123abcd"


def test_user_data_goes_as_it_is_or_packed_and_what_is_still_too_long_is_told() -> None:
    def sent(script: str) -> bytes:
        return base64.b64decode(asked(replace(request(OURS, 1), user_data=script))["UserData"])

    fits = "x" * MOST_USER_DATA
    assert sent(fits) == fits.encode()
    longer = fits + "y"
    assert len(sent(longer)) < MOST_USER_DATA
    assert gzip.decompress(sent(longer)) == longer.encode()
    chance = random.Random(7)
    noise = "".join(chance.choice("0123456789abcdef") for _ in range(3 * MOST_USER_DATA))
    with pytest.raises(InvalidRequest, match=f"{len(noise)} bytes") as caught:
        sent(noise)
    assert noise[:40] not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": "eu-west-1a"},
        {"region": "eu-west-1", "profile": "a", "credentials": "b"},
        {"region": "eu-west-1", "subnet": "subnet-0123abcd", "subnets": {"eu-west-1a": "subnet-0123abcd"}},
        {"region": "eu-west-1", "subnet": "workers"},
        {"region": "eu-west-1", "security_groups": ["workers"]},
        {"region": "eu-west-1", "route_ranges": ["10.77.0.0/16"]},
        {"region": "eu-west-1", "route_table": "rtb-0123abcd", "route_ranges": ["0.0.0.0/0"]},
        {"region": "eu-west-1", "endpoint": "http://ec2.example.org"},
        {"region": "eu-west-1", "endpoint": "https://ec2.example.org/path"},
        {"region": "eu-west-1", "secret_key": "hush"},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PLUGIN.Config.model_validate(wrong)


def test_a_configuration_is_checked_without_loading_libcloud() -> None:
    program = "import sys, connectors.ec2; sys.exit('libcloud' in sys.modules or connectors.ec2.PLUGIN.Config is None)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_a_spot_vm_of_ec2_asks_its_metadata_service_whether_it_is_to_go() -> None:
    assert PLUGIN.spot_notices == "ec2"  # what clues.main looks for
