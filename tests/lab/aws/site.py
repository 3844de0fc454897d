"""An account in the lab's AWS with what a site has: a network, a security group, images; and the connector to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.model import Kind, LaunchRequest, Market, Offer, Resources
from clues.ports import PluginContext
from connectors.ec2 import PLUGIN
from connectors.ec2.connector import Ec2Connector
from tests.lab.aws.lab import KEYS, REGION, Aws

IMAGE = "clues-worker"
FLAVOR = "c5.xlarge"
NETWORK = "10.77.16.0/20"


@dataclass(frozen=True)
class Account:
    """What was made in the account before clues comes, by id."""

    aws: Aws
    image: str
    subnet: str
    group: str
    table: str


def prepare(aws: Aws) -> Account:
    """Make an account's network and image, once for a lab."""
    ec2 = aws.client()
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=NETWORK, AvailabilityZone=f"{REGION}a")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="workers", Description="workers")["GroupId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return Account(aws, make_image(ec2, IMAGE), subnet, group, table)


def make_image(ec2: Any, name: str) -> str:
    """Register an image of the account's own, from a snapshot, as `aws ec2 register-image` does; return its id. (moto
    gives it a volume of 15 GiB that outlives its instance, and no architecture.)"""
    volume = ec2.create_volume(Size=10, AvailabilityZone=f"{REGION}a")["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.delete_volume(VolumeId=volume)
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 10, "DeleteOnTermination": False}}
    made = ec2.register_image(
        Name=name,
        Architecture="x86_64",
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[disk],
        VirtualizationType="hvm",
    )
    return str(made["ImageId"])


def write_keys(folder: Path, keys: tuple[str, str] = KEYS, more: str = "") -> Path:
    """Write a file of credentials that only we can read, and return it."""
    path = folder / "keys"
    path.touch(mode=0o600)
    path.write_text(f"[clues]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n{more}")
    return path


def config(account: Account, keys: Path, url: str = "", **more: Any) -> dict[str, Any]:
    """Return a site's own keys in clues.yaml, as fast as the lab is."""
    url = url or account.aws.url
    return {
        "region": REGION,
        "credentials": str(keys),
        "endpoint": url,
        "sts_endpoint": url,
        "pricing_endpoint": url,
        "subnet": account.subnet,
        "security_groups": [account.group],
        "calls_per_second": 1000.0,
        "launches_per_second": 1000.0,
        **more,
    }


def connect(settings: dict[str, Any], cluster: str, network: str = "") -> Ec2Connector:
    """Return a new connector; *network* is the cluster's own range."""
    context = PluginContext(cluster, "aws", Path("/nonexistent"), network=network)
    return PLUGIN.build(PLUGIN.Config.model_validate(settings), context)


def request(cluster: str, number: int, *, address: bool = True, market: Market = Market.ON_DEMAND) -> LaunchRequest:
    """Return a request for a worker; node, launch key and address differ by *number*."""
    return LaunchRequest(
        cluster=cluster,
        launch_key=f"key-{cluster[-1]}-{number}",
        kind=Kind.WORKER,
        node=f"node-{number}",
        pool="pool",
        generation=1,
        offer=Offer("aws", FLAVOR, IMAGE, market),
        shape=Resources(4, 8000),
        user_data="#!/bin/sh\n",
        address=f"10.77.{16 + number // 200}.{10 + number % 200}" if address else "",
    )
