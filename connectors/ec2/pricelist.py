"""On-demand prices as AWS's price list service tells them (``pricing:GetProducts``), each asked for once a day.

The service is none of the region's: it stands in a few regions for all others, speaks JSON, and takes a permission of
its own. Who may not ask it, or does not reach it, has libcloud's table instead; it is asked again some hours later.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from clues.errors import AuthFailed, CloudError
from clues.model import Price
from connectors.common import failures
from connectors.ec2.api import AwsConnection, Ec2Driver, Odd, Refused, Reply
from connectors.ec2.config import Ec2Config

log = logging.getLogger(__name__)

SOURCE = "price list of AWS"
#: seconds for which an answer is good, and after which it is asked again when it failed, or was refused
GOOD, AFTER_FAILURE, AFTER_REFUSAL = 86400.0, 3600.0, 6 * 3600.0
_MOST_PAGES = 10
_TYPE = "application/x-amz-json-1.1"
#: where the service is, for regions by how their names begin; for all others in the first
_HOMES = {
    **dict.fromkeys(("us-", "ca-", "sa-", "mx-"), "us-east-1"),
    **dict.fromkeys(("eu-", "me-", "af-", "il-"), "eu-central-1"),
    "ap-": "ap-south-1",
    "cn-": "cn-northwest-1",
}
#: what an hour of is asked for: a VM with Linux alone, on shared hardware, paid by use and not held in reserve
_PLAIN = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}


class JsonReply(Reply):
    """A reply of a service that speaks JSON: its object, or :class:`Refused`."""

    def parse_body(self) -> Any:
        """Return the object of a success."""
        told = _object(self.body or "")
        if told is None:
            raise Odd("this is no answer of AWS's price list")
        return told

    def parse_error(self) -> str:
        """Raise what a failure says."""
        told = _object(self.body or "") or {}
        code = str(told.get("__type", "")).rpartition("#")[2]
        words = str(told.get("message") or told.get("Message") or f"{self.status} {self.error}")
        wait = failures.wait_of(self.headers.get("retry-after"))
        raise Refused(int(self.status), code, words, wait=wait, skew=self.skew)


class PriceConnection(AwsConnection):
    """A connection to the price list service."""

    responseCls = JsonReply  # noqa: N815 - libcloud's name
    service_name = "pricing"


class PriceList:
    """The on-demand prices of one region. Safe to use from several threads at once."""

    def __init__(self, config: Ec2Config, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._config, self._monotonic = config, monotonic
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Price | None]] = {}
        self._rests_until = 0.0
        #: why it cannot be asked now; empty: it can, as far as is known
        self.trouble = ""

    def prices(self, flavors: list[str], ask: Callable[[Callable[[Ec2Driver], Any]], Any]) -> dict[str, Price]:
        """Return the prices of *flavors* as far as they are told. No failure: what is missing is not known now.

        :param ask: makes a call with a driver, and raises a :class:`CloudError`.
        """
        with self._lock:
            now = self._monotonic()
            for flavor in flavors:
                known = self._known.get(flavor)
                if (known is not None and now - known[0] < GOOD) or now < self._rests_until:
                    continue
                try:
                    price = ask(lambda driver, flavor=flavor: read(driver, flavor, self._config))  # type: ignore[misc]
                except CloudError as error:
                    self._fail(error, now)
                    continue
                self._known[flavor], self.trouble = (now, price), ""
            told = {flavor: self._known[flavor] for flavor in flavors if flavor in self._known}
            # a price that could not be renewed for some days is no worse than a table of some years
            return {flavor: price for flavor, (at, price) in told.items() if price and now - at < 7 * GOOD}

    def _fail(self, error: CloudError, now: float) -> None:
        if not self.trouble:  # once, not every few hours
            log.warning("AWS's price list cannot be asked, on-demand prices are those of libcloud's table: %s", error)
        self.trouble = str(error)
        self._rests_until = now + (AFTER_REFUSAL if isinstance(error, AuthFailed) else AFTER_FAILURE)


def home_of(region: str) -> str:
    """Return the region where the service is asked about *region*."""
    return _HOMES.get(region[:3], "us-east-1")


def read(driver: Ec2Driver, flavor: str, config: Ec2Config) -> Price | None:
    """Return what an hour of a flavor costs in the configured region; None where AWS sells none there.

    Where several prices are told, the dearest: who plans by it does not spend more than planned.
    """
    found = [price for product in _products(driver, flavor, config) for price in _on_demand(product)]
    return max(found, key=lambda one: one.amount, default=None)


def _products(driver: Ec2Driver, flavor: str, config: Ec2Config) -> Iterator[Mapping[str, Any]]:
    wanted = {**_PLAIN, "instanceType": flavor, "regionCode": config.region}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    body: dict[str, Any] = {"ServiceCode": "AmazonEC2", "FormatVersion": "aws_v1", "Filters": filters}
    connection = driver.open(PriceConnection, config.pricing_endpoint, home_of(config.region), "api.pricing")
    headers = {"Content-Type": _TYPE, "X-Amz-Target": "AWSPriceListService.GetProducts"}
    for _ in range(_MOST_PAGES):
        told = connection.request("/", data=json.dumps(body), headers=dict(headers), method="POST").object
        if not isinstance(told.get("PriceList"), list):
            raise Odd("this is no answer to GetProducts")
        for product in told["PriceList"]:
            yield json.loads(product) if isinstance(product, str) else product
        if not told.get("NextToken"):
            return
        body["NextToken"] = told["NextToken"]
    raise Odd("the pages of GetProducts do not end")


def _on_demand(product: Mapping[str, Any]) -> Iterator[Price]:
    attributes = product["product"]["attributes"]
    # blocks of capacity that are bought ahead are listed beside what is paid by use
    if attributes.get("operation", "RunInstances") != "RunInstances":
        return
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"] != "Hrs":
                continue
            for currency, told in dimension["pricePerUnit"].items():
                if (amount := float(told)) > 0:
                    yield Price(amount, currency, SOURCE, datetime.fromisoformat(term["effectiveDate"]))


def _object(body: str) -> dict[str, Any] | None:
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
