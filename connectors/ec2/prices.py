"""What offers cost: spot VMs as EC2 itself tells, others by AWS's price list (:mod:`.pricelist`), else from the table
that comes with libcloud, with its date.

EC2's own API knows no prices but those of spot. libcloud's table is as old as the libcloud that is installed, or as its
newer copy in ``~/.libcloud/pricing.json``, so its date is told with each price.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from libcloud.pricing import get_pricing, get_pricing_file_path

from clues.model import Market, Offer, Price
from connectors.ec2.api import Ec2Driver, numbered, text
from connectors.ec2.config import Ec2Config

CURRENCY = "USD"
_LINUX = "Linux/UNIX"


def on_demand(offers: Sequence[Offer], region: str, listed: Mapping[str, Price]) -> dict[str, Price]:
    """Return what the offers that are not spot cost, by their keys: as *listed* by flavor, else by libcloud's table."""
    found = {}
    for offer in offers:
        if offer.market is not Market.ON_DEMAND:
            continue
        if offer.flavor in listed:
            found[offer.key] = listed[offer.flavor]
        elif (amount := of_table(offer.flavor, region)) is not None:
            found[offer.key] = Price(amount, CURRENCY, "price table of libcloud", _table_date())
    return found


def of_table(flavor: str, region: str) -> float | None:
    """Return the table's price of an hour; it says 0 where it knows none."""
    row = (get_pricing("compute", "ec2_linux") or {}).get(flavor, {})
    price = row.get(region)
    return float(price) if price else None


def spot(driver: Ec2Driver, offers: Sequence[Offer], config: Ec2Config) -> dict[str, Price]:
    """Return the newest spot prices. An offer without a zone has that of its subnet's; where that is open too, the
    dearest zone's: who plans by it does not spend more than planned."""
    offers = [offer for offer in offers if offer.market is Market.SPOT]
    if not offers:
        return {}
    newest = _history(driver, list(dict.fromkeys(offer.flavor for offer in offers)))
    usual = _usual_zone(driver, config)
    found = {}
    for offer in offers:
        told = newest.get(offer.flavor, {})
        zone = offer.zone or usual
        if zone and zone in told:
            since, amount = told[zone]
            found[offer.key] = Price(amount, CURRENCY, f"spot price history, {zone}", since)
        elif told and not zone:
            since, amount = max(told.values(), key=lambda one: one[1])
            found[offer.key] = Price(amount, CURRENCY, "spot price history, dearest zone", since)
    return found


def _history(driver: Ec2Driver, flavors: list[str]) -> dict[str, dict[str, tuple[datetime, float]]]:
    """Return since when each flavor has which price, by zone."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # from now on: the prices that hold, whenever they began; in a filter, a type that is unknown is no error
    params = {"StartTime": now, "ProductDescription.1": _LINUX, "MaxResults": "1000", "Filter.1.Name": "instance-type"}
    newest: dict[str, dict[str, tuple[datetime, float]]] = {}
    for page in driver.pages("DescribeSpotPriceHistory", {**params, **numbered("Filter.1.Value", flavors)}):
        for item in page.findall("spotPriceHistorySet/item"):
            zones = newest.setdefault(text(item, "instanceType"), {})
            zone, told = (
                text(item, "availabilityZone"),
                (_moment(text(item, "timestamp")), float(text(item, "spotPrice"))),
            )
            if zone not in zones or told > zones[zone]:
                zones[zone] = told
    return newest


def _usual_zone(driver: Ec2Driver, config: Ec2Config) -> str:
    if config.subnets:
        return next(iter(config.subnets))
    if not config.subnet:
        return ""
    answer = driver.ask("DescribeSubnets", {"SubnetId.1": config.subnet})
    return text(answer, "subnetSet/item/availabilityZone")


def _moment(told: str) -> datetime:
    moment = datetime.fromisoformat(told)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@lru_cache(maxsize=1)
def _table_date() -> datetime | None:
    try:
        updated = json.loads(Path(get_pricing_file_path()).read_text(encoding="utf-8")).get("updated")
        return datetime.fromtimestamp(updated, UTC)
    except (OSError, ValueError, TypeError):
        return None
