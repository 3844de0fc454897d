"""What the connector tells of a region and a site: types, prices, consoles, and what is wrong."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clues.errors import AuthFailed
from clues.model import Finding, Gpu, Market, Offer, Resources, Soundness
from clues.testing.connector_site import launch
from connectors.ec2 import PLUGIN, prices
from connectors.ec2.api import Ec2Driver, Odd
from connectors.ec2.flavors import resources
from connectors.ec2.instances import read, read_all
from tests.lab.aws.site import FLAVOR, IMAGE, NETWORK, Account, config, connect, make_image, request

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"
OFFER = Offer("aws", FLAVOR, IMAGE)
SPOT = replace(OFFER, market=Market.SPOT)


def xml(told: str) -> ET.Element:
    return ET.fromstring(told)  # noqa: S314 - our own


def instance_type(name: str, vcpus: int, mib: int, gpus: str = "") -> ET.Element:
    return xml(
        f"<item><instanceType>{name}</instanceType><vCpuInfo><defaultVCpus>{vcpus}</defaultVCpus></vCpuInfo>"
        f"<memoryInfo><sizeInMiB>{mib}</sizeInMiB></memoryInfo>{gpus}</item>"
    )


def gpus(*told: tuple[str, int]) -> str:
    items = "".join(f"<item><name>{name}</name><count>{count}</count></item>" for name, count in told)
    return f"<gpuInfo><gpus>{items}</gpus></gpuInfo>"


@pytest.mark.parametrize(
    ("item", "has"),
    [
        (instance_type("c7i.2xlarge", 8, 16384), Resources(8, 16384)),
        (instance_type("g5.2xlarge", 8, 32768, gpus(("A10G", 1))), Resources(8, 32768, (Gpu("a10g", 1),))),
        (instance_type("g4dn.metal", 96, 393216, gpus(("T4", 8))), Resources(96, 393216, (Gpu("t4", 8),))),
        (
            instance_type("g4ad.xlarge", 4, 16384, gpus(("Radeon Pro V520", 1))),
            Resources(4, 16384, (Gpu("radeon_pro_v520", 1),)),
        ),
        (instance_type("g6f.large", 2, 8192, gpus(("L4", 0))), Resources(2, 8192)),
    ],
)
def test_a_type_has_gpus_by_the_names_that_slurm_is_told(item: ET.Element, has: Resources) -> None:
    assert resources(item) == has


# --- instances --------------------------------------------------------------------------------------------------------


NO_ID = "<reservationSet><item><instancesSet><item/></instancesSet></item></reservationSet>"


@pytest.mark.parametrize("inside", ["", "<reservations/>", NO_ID])
def test_what_is_no_listing_is_none(inside: str) -> None:
    with pytest.raises(Odd):
        read_all(xml(f"<DescribeInstancesResponse>{inside}</DescribeInstancesResponse>"), "aws")


def test_the_first_network_card_is_the_one_at_index_0() -> None:
    cards = "".join(
        f"<item><networkInterfaceId>eni-{at}</networkInterfaceId><macAddress>02:00:00:00:00:0{at}</macAddress>"
        f"<attachment><deviceIndex>{at}</deviceIndex></attachment></item>"
        for at in (1, 0)
    )
    seen = read(
        xml(f"<item><instanceId>i-1</instanceId><networkInterfaceSet>{cards}</networkInterfaceSet></item>"),
        "aws",
    )
    assert seen.interface == "eni-0"
    assert seen.instance.macs == ("02:00:00:00:00:01", "02:00:00:00:00:00")


# --- prices -----------------------------------------------------------------------------------------------------------


class History:
    """A driver that tells a spot price history, and in which zone a subnet is."""

    def __init__(self, told: list[tuple[str, str, str, float]]) -> None:
        self.told = told

    def pages(self, action: str, params: Mapping[str, str]) -> Iterator[ET.Element]:
        assert action == "DescribeSpotPriceHistory"
        wanted = {value for name, value in params.items() if name.startswith("Filter.1.Value.")}
        for flavor, zone, since, price in self.told:
            if flavor in wanted:
                yield xml(
                    f"<r><spotPriceHistorySet><item><instanceType>{flavor}</instanceType><spotPrice>{price}</spotPrice>"
                    f"<timestamp>{since}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
                    "</spotPriceHistorySet></r>"
                )

    def ask(self, action: str, params: Mapping[str, str]) -> ET.Element:
        assert action == "DescribeSubnets"
        zone = "<availabilityZone>eu-west-1b</availabilityZone>"
        return xml(f"<r><subnetSet><item>{zone}</item></subnetSet></r>")


TOLD = [
    (FLAVOR, "eu-west-1a", "2026-11-29T10:00:00.000Z", 0.05),
    (FLAVOR, "eu-west-1a", "2026-11-29T09:00:00.000Z", 0.99),
    (FLAVOR, "eu-west-1b", "2026-11-29T08:00:00.000Z", 0.07),
    ("c7i.large", "eu-west-1a", "2026-11-29T08:00:00.000Z", 9.0),
]


@pytest.mark.parametrize(
    ("zone", "settings", "amount", "hour"),
    [
        ("", {}, 0.07, 8),  # the dearest
        ("eu-west-1a", {}, 0.05, 10),  # the newest
        ("", {"subnet": "subnet-0123abcd"}, 0.07, 8),
        ("", {"subnets": {"eu-west-1a": "subnet-0123abcd"}}, 0.05, 10),
    ],
)
def test_a_spot_price_is_the_newest_of_its_zone(zone: str, settings: dict[str, Any], amount: float, hour: int) -> None:
    checked = PLUGIN.Config.model_validate({"region": "eu-west-1", **settings})
    offer, driver = replace(SPOT, zone=zone), History(TOLD)
    (price,) = prices.spot(driver, [offer, OFFER], checked).values()  # type: ignore[arg-type]
    assert (price.amount, price.currency) == (amount, "USD")
    assert price.as_of == datetime(2026, 11, 29, hour, tzinfo=UTC)
    assert "spot price history" in price.source


def test_a_zone_that_has_no_price_is_left_out() -> None:
    checked, driver = PLUGIN.Config.model_validate({"region": "eu-west-1"}), History(TOLD)
    assert prices.spot(driver, [replace(SPOT, zone="eu-west-1c")], checked) == {}  # type: ignore[arg-type]


def test_an_on_demand_price_is_told_with_the_date_of_its_table() -> None:
    (price,) = prices.on_demand([OFFER, SPOT, replace(OFFER, flavor="t9.huge")], "eu-west-1", {}).values()
    assert price.amount > 0
    assert price.source == "price table of libcloud"
    assert price.as_of is not None
    assert price.as_of.year >= 2025


def test_a_price_of_zero_is_none() -> None:
    assert prices.of_table("g5.2xlarge", "eu-west-1") is None  # libcloud 3.9.1 says 0.0


# --- consoles ---------------------------------------------------------------------------------------------------------


def test_a_console_is_read_also_of_types_that_do_not_tell_what_is_new(account: Account, keys: Path) -> None:
    connector = connect(config(account, keys), OURS)
    made = launch(connector, request(OURS, 1))
    account.aws.tell("refuse", action="GetConsoleOutput", code="UnsupportedOperation")
    assert "Linux version" in connector.console(made.id)
    assert [one.get("Latest") for one in account.aws.calls("GetConsoleOutput")] == ["true", None]


# --- examinations -----------------------------------------------------------------------------------------------------


def by_topic(found: list[Finding], *soundness: Soundness) -> dict[str, str]:
    return {one.topic: f"{one.text} -> {one.cure}" for one in found if one.soundness in (soundness or Soundness)}


def test_a_sound_site_has_nothing_wrong_and_nothing_is_launched(account: Account, keys: Path) -> None:
    more = {"network": NETWORK, "route_table": account.table, "route_ranges": ["10.0.0.0/8"]}
    connector = connect({**config(account, keys), **more}, OURS)
    found = connector.examine([OFFER, SPOT])
    assert by_topic(found, Soundness.BAD) == {}
    assert set(by_topic(found, Soundness.UNKNOWN)) == {"quota"}
    good = by_topic(found, Soundness.GOOD)
    assert {"credentials", "clock", f"flavor {FLAVOR}", f"image {IMAGE}", f"subnet {account.subnet}"} <= set(good)
    assert {f"security group {account.group}", f"route table {account.table}"} <= set(good)
    assert {f"launch {OFFER.key}", f"launch {SPOT.key}"} <= set(good)
    assert "arn:aws" in good["credentials"]
    assert account.aws.tell("alive") == []
    changing = ("Create", "Modify", "Terminate", "Delete", "Replace")
    assert not [one["Action"] for one in account.aws.calls() if one["Action"].startswith(changing)]
    assert {one.get("DryRun") for one in account.aws.calls("RunInstances")} == {"true"}


def test_each_thing_that_is_wrong_is_told_and_hides_no_other(account: Account, keys: Path) -> None:
    for code in ("UnauthorizedOperation", "UnauthorizedOperation"):
        account.aws.tell("refuse", action="RunInstances", code=code, match={"InstanceType": FLAVOR})
    wrong = config(
        account,
        keys,
        network="10.78.0.0/20",
        security_groups=[account.group, "sg-0123456789abcdef0"],
        key_name="nobodys",
        launch_template="lt-0123456789abcdef0",
    )
    found = connect(wrong, OURS).examine([OFFER, replace(OFFER, flavor="t9.huge"), replace(OFFER, image="nowhere")])
    bad = by_topic(found, Soundness.BAD)
    assert "10.78.0.0/20" in bad[f"subnet {account.subnet}"]
    assert NETWORK in bad[f"subnet {account.subnet}"]
    assert {
        "flavor t9.huge",
        "image nowhere",
        "security group sg-0123456789abcdef0",
        "key pair nobodys",
        "launch template lt-0123456789abcdef0",
        f"launch {OFFER.key}",
    } <= set(bad)
    assert "policy" in bad[f"launch {OFFER.key}"]
    assert all(one.split(" -> ")[1] for one in bad.values()), bad
    assert f"security group {account.group}" in by_topic(found, Soundness.GOOD)


def test_an_image_for_another_processor_is_told(account: Account, keys: Path) -> None:
    told = account.aws.client().describe_images(
        Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}]
    )
    image = told["Images"][0]["ImageId"]
    found = connect(config(account, keys), OURS).examine([replace(OFFER, flavor="m6g.large", image=image)])
    assert "x86_64" in by_topic(found, Soundness.BAD)["flavor m6g.large"]


def test_a_zone_that_lacks_a_type_is_told(account: Account, keys: Path) -> None:
    subnets = {"subnet": "", "subnets": {"eu-west-1a": account.subnet, "eu-west-1z": account.subnet}}
    found = connect({**config(account, keys), **subnets}, OURS).examine([replace(OFFER, zone="eu-west-1z")])
    bad = by_topic(found, Soundness.BAD)
    assert "eu-west-1z" in bad[f"flavor {FLAVOR}"]
    assert "not in eu-west-1z" in bad[f"subnet {account.subnet}"]


def test_without_keys_everything_that_needs_them_is_told_and_nothing_raised(account: Account, tmp_path: Path) -> None:
    connector = connect(config(account, tmp_path / "nothing"), OURS)
    found = connector.examine([OFFER])
    assert {"credentials", "flavors", f"image {IMAGE}"} <= set(by_topic(found, Soundness.BAD))
    with pytest.raises(AuthFailed):
        connector.list_instances()


def test_a_subnet_that_is_almost_full_is_told(account: Account, keys: Path) -> None:
    ec2 = account.aws.client()
    vpc = ec2.describe_subnets(SubnetIds=[account.subnet])["Subnets"][0]["VpcId"]
    small = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.0.0/28")["Subnet"]["SubnetId"]
    found = connect(config(account, keys, subnet=small), OURS).examine([OFFER])
    assert "addresses free" in by_topic(found, Soundness.BAD)[f"subnet {small}"]
    ec2.delete_subnet(SubnetId=small)


def test_an_image_by_id_is_examined_too(account: Account, keys: Path) -> None:
    image = make_image(account.aws.client(), "another")
    found = connect(config(account, keys), OURS).examine([replace(OFFER, image=image)])
    assert "15 GiB" in by_topic(found, Soundness.GOOD)[f"image {image}"]
    account.aws.client().deregister_image(ImageId=image)


def test_a_connector_shows_no_secret(account: Account, keys: Path) -> None:
    connector = connect(config(account, keys), OURS)
    connector.list_instances()
    driver = connector._drivers.get()
    assert isinstance(driver, Ec2Driver)
    assert "clues-secret" not in f"{connector!r} {vars(connector)!r} {driver!r} {vars(driver)!r}"
