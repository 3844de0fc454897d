"""A look at a site for ``clues doctor``: whether its offers can be made, and what to do where they cannot.

Each thing is looked at by itself, so that one that is wrong hides no other; nothing is changed. Whether a launch is
allowed EC2 tells when it is asked with ``DryRun``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from clues.errors import AuthFailed, CloudError, InvalidRequest, NoCapacity, NotFound, QuotaExceeded
from clues.model import Finding, Kind, LaunchRequest, Market, Offer, Resources, Soundness
from connectors.ec2 import flavors, pricelist
from connectors.ec2.api import Ec2Driver, Refused, numbered, text
from connectors.ec2.config import Ec2Config
from connectors.ec2.errors import FAILURES
from connectors.ec2.images import Image, Images
from connectors.ec2.run import parameters

#: AWS refuses signatures that are five minutes old.
_WORRYING, _TOO_MUCH = timedelta(seconds=30), timedelta(minutes=4)
_FEW_ADDRESSES = 16
_POLICY = "docs/how-to/use-aws.md has the policy that clues needs"

Call = Callable[[str, Callable[[Ec2Driver], Any]], Any]
Found = Iterator[Finding]


def examine(
    call: Call, config: Ec2Config, images: Images, cluster: str, site: str, offers: Sequence[Offer]
) -> list[Finding]:
    """Return what is found, good things too."""
    looks: list[tuple[str, Callable[[Ec2Driver], list[Finding]]]] = [
        ("credentials", lambda driver: list(_credentials(driver))),
        ("flavors", lambda driver: list(_flavors(driver, images, offers))),
        *((f"prices of {name}", _price_look(config, name)) for name in _flavors_on_demand(offers)[:1]),
        *((f"image {name}", _image_look(images, name)) for name in dict.fromkeys(one.image for one in offers)),
        *((f"subnet {one}", _subnet_look(config, one)) for one in _subnets(config)),
        *((f"{what} {name}", _thing_look(what, name, ask)) for what, name, ask in _things(config)),
        *((f"launch {one.key}", _launch_look(config, images, cluster, site, one)) for one in _one_each(offers)),
    ]
    found: list[Finding] = []
    for topic, look in looks:
        try:
            found += call(topic, look)
        except CloudError as error:
            found.append(_failed(topic, error))
    found.append(
        Finding(
            "quota",
            Soundness.UNKNOWN,
            "EC2 does not tell its limits: they are in vCPUs, for families of types",
            f"look at `aws service-quotas list-service-quotas --service-code ec2 --region {config.region}`, and write "
            "the site's `limits` by it",
        )
    )
    return found


def _failed(topic: str, error: CloudError) -> Finding:
    wrong = isinstance(error, AuthFailed | InvalidRequest | NotFound | QuotaExceeded | NoCapacity)
    cure = _POLICY if isinstance(error, AuthFailed) else "mend what the site's configuration names" if wrong else ""
    return Finding(topic, Soundness.BAD if wrong else Soundness.UNKNOWN, str(error), cure)


def _credentials(driver: Ec2Driver) -> Found:
    yield Finding("credentials", Soundness.GOOD, f"AWS knows us as {driver.who()}")
    if driver.skew is None:
        yield Finding("clock", Soundness.UNKNOWN, "AWS does not tell its time")
        return
    seconds = round(driver.skew.total_seconds())
    off = f"this machine's clock is {abs(seconds)} s {'behind' if seconds > 0 else 'ahead of'} AWS's"
    if abs(driver.skew) < _WORRYING:
        yield Finding("clock", Soundness.GOOD, "agrees with AWS's")
        return
    late = ": signed calls are refused, or soon will be" if abs(driver.skew) > _TOO_MUCH else ""
    yield Finding("clock", Soundness.BAD, off + late, "have it set by chrony or systemd-timesyncd")


def _flavors(driver: Ec2Driver, images: Images, offers: Sequence[Offer]) -> Found:
    names = list(dict.fromkeys(one.flavor for one in offers))
    known = flavors.of(driver, names) if names else {}
    for name in names:
        if name not in known:
            cure = "take another type, or another region"
            yield Finding(f"flavor {name}", Soundness.BAD, f"{driver.region_name} has no such instance type", cure)
            continue
        yield Finding(f"flavor {name}", Soundness.GOOD, f"has {flavors.resources(known[name])}")
        built = {one.text for one in known[name].findall("processorInfo/supportedArchitectures/item")}
        for image in _images_of(driver, images, (one for one in offers if one.flavor == name)):
            if built and image.architecture and image.architecture not in built:
                text = f"image {image.name or image.id} is for {image.architecture}"
                yield Finding(
                    f"flavor {name}", Soundness.BAD, text, "take an image for " + " or ".join(map(str, built))
                )
    yield from _zones(driver, offers, known)


def _zones(driver: Ec2Driver, offers: Sequence[Offer], known: Any) -> Found:
    for zone in dict.fromkeys(one.zone for one in offers if one.zone):
        names = list(dict.fromkeys(one.flavor for one in offers if one.zone == zone and one.flavor in known))
        filters = {"Filter.1.Name": "location", "Filter.1.Value.1": zone, "Filter.2.Name": "instance-type"}
        params = {"LocationType": "availability-zone", **filters, **numbered("Filter.2.Value", names)}
        there = {
            text(item, "instanceType")
            for page in (driver.pages("DescribeInstanceTypeOfferings", params) if names else ())
            for item in page.findall("instanceTypeOfferingSet/item")
        }
        for name in names:
            if name not in there:
                cure = f"take {zone} out of the offer's zones"
                yield Finding(f"flavor {name}", Soundness.BAD, f"zone {zone} does not have it", cure)


def _flavors_on_demand(offers: Sequence[Offer]) -> list[str]:
    return [one.flavor for one in offers if one.market is Market.ON_DEMAND]


def _price_look(config: Ec2Config, flavor: str) -> Callable[[Ec2Driver], list[Finding]]:
    """Look whether the price list may be asked; where not, prices are those of a table, which is nothing bad."""

    def look(driver: Ec2Driver) -> list[Finding]:
        try:
            price = pricelist.read(driver, flavor, config)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is the table
            words = FAILURES.classify(error, "ask AWS's price list", effect=False)
            cure = "allow pricing:GetProducts (docs/how-to/use-aws.md), or give the offers a `price`"
            text = f"on-demand prices are those of libcloud's table: {words}"
            return [Finding("prices", Soundness.UNKNOWN, text, cure)]
        told = "none is sold here" if price is None else f"an hour of {flavor} costs {price.amount:g} {price.currency}"
        return [Finding("prices", Soundness.GOOD, f"AWS's price list: {told}")]

    return look


def _images_of(driver: Ec2Driver, images: Images, offers: Iterator[Offer]) -> Iterator[Image]:
    """Yield the images of offers, without those that are wrong: these are told where images are looked at."""
    for name in dict.fromkeys(one.image for one in offers):
        try:
            yield images.find(driver, name)
        except InvalidRequest:
            continue


def _image_look(images: Images, name: str) -> Callable[[Ec2Driver], list[Finding]]:
    def look(driver: Ec2Driver) -> list[Finding]:
        image = images.find(driver, name)
        volumes = ", ".join(f"{one.size} GiB" for one in image.volumes) or "no volume"
        return [Finding(f"image {name}", Soundness.GOOD, f"is {image.id}, {image.architecture}, {volumes}")]

    return look


def _subnets(config: Ec2Config) -> list[str]:
    return list(config.subnets.values()) or [config.subnet][: bool(config.subnet)]


def _subnet_look(config: Ec2Config, subnet: str) -> Callable[[Ec2Driver], list[Finding]]:
    topic = f"subnet {subnet}"

    def look(driver: Ec2Driver) -> list[Finding]:
        item = driver.ask("DescribeSubnets", {"SubnetId.1": subnet}).find("subnetSet/item")
        if item is None:
            return [Finding(topic, Soundness.BAD, "is not there", "write the id of a subnet of this region")]
        zone, cidr = text(item, "availabilityZone"), text(item, "cidrBlock")
        free = int(text(item, "availableIpAddressCount") or 0)
        found = [Finding(topic, Soundness.GOOD, f"{cidr} in {zone}, {free} addresses free")]
        if free < _FEW_ADDRESSES:
            found = [Finding(topic, Soundness.BAD, f"{cidr} has only {free} addresses free", "take a larger subnet")]
        for named, one in config.subnets.items():
            if one == subnet and named != zone:
                found.append(Finding(topic, Soundness.BAD, f"is in {zone}, not in {named}", "mend `subnets`"))
        if config.network and not _holds(cidr, config.network):
            text_ = f"has the range {cidr}, and the site's `network` {config.network} is not a part of it"
            found.append(Finding(topic, Soundness.BAD, text_, f"write `network: {cidr}`"))
        return found

    return look


def _holds(whole: str, part: str) -> bool:
    try:
        return ipaddress.IPv4Network(part).subnet_of(ipaddress.IPv4Network(whole))
    except ValueError:
        return False


def _things(config: Ec2Config) -> Iterator[tuple[str, str, tuple[str, dict[str, str]]]]:
    """What is named in the site's configuration, and the call that tells whether it is there."""
    for group in config.security_groups:
        yield "security group", group, ("DescribeSecurityGroups", {"GroupId.1": group})
    if config.key_name:
        yield "key pair", config.key_name, ("DescribeKeyPairs", {"KeyName.1": config.key_name})
    if config.route_table:
        yield "route table", config.route_table, ("DescribeRouteTables", {"RouteTableId.1": config.route_table})
    if config.launch_template:
        kind = "Id" if config.launch_template.startswith("lt-") else "Name"
        params = {f"LaunchTemplate{kind}.1": config.launch_template}
        yield "launch template", config.launch_template, ("DescribeLaunchTemplates", params)


def _thing_look(what: str, name: str, ask: tuple[str, dict[str, str]]) -> Callable[[Ec2Driver], list[Finding]]:
    def look(driver: Ec2Driver) -> list[Finding]:
        if driver.ask(*ask).find("*/item") is None:
            return [Finding(f"{what} {name}", Soundness.BAD, f"{driver.region_name} has none", "mend its name or id")]
        return [Finding(f"{what} {name}", Soundness.GOOD, "is there")]

    return look


def _one_each(offers: Sequence[Offer]) -> list[Offer]:
    return list({(one.key, one.image): one for one in offers}.values())


def _launch_look(
    config: Ec2Config, images: Images, cluster: str, site: str, offer: Offer
) -> Callable[[Ec2Driver], list[Finding]]:
    request = LaunchRequest(
        cluster, "clues-doctor", Kind.WORKER, "clues-doctor", "", 0, offer, Resources(), user_data="#!/bin/sh\n"
    )
    topic = f"launch {offer.key}"

    def look(driver: Ec2Driver) -> list[Finding]:
        image = next(_images_of(driver, images, iter([offer])), None)
        if image is None:
            return []  # told where images are looked at
        params = parameters(request, config, image)
        del params["ClientToken"]
        try:
            driver.ask("RunInstances", {**params, "DryRun": "true"})
        except Refused as error:
            if error.code != "DryRunOperation":
                raise
            market = "a spot VM" if offer.market is Market.SPOT else "a VM"
            return [Finding(topic, Soundness.GOOD, f"{site}: {market} of it may be launched")]
        # nobody answers so who knows what DryRun is, and then there may be a VM, with our tags
        return [Finding(topic, Soundness.BAD, "the API ignores DryRun: this is not EC2", "mend `endpoint`")]

    return look
