"""On-demand prices come from AWS's price list where it may be asked, rarely, and from libcloud's table where not."""

from __future__ import annotations

import importlib
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clues.errors import AuthFailed, CloudError, Transient
from clues.model import Market, Offer, Price, Soundness
from connectors.ec2 import PLUGIN
from connectors.ec2.pricelist import AFTER_FAILURE, AFTER_REFUSAL, GOOD, PriceList, home_of
from tests.lab.aws.lab import STRANGERS_KEYS
from tests.lab.aws.site import FLAVOR, IMAGE, Account, config, connect

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"
OFFER = Offer("aws", FLAVOR, IMAGE)


def test_the_price_is_that_of_plain_linux_in_the_region_and_is_asked_once(account: Account, keys: Path) -> None:
    connector = connect(config(account, keys), OURS)
    offers = [OFFER, replace(OFFER, flavor="c5.2xlarge"), replace(OFFER, market=Market.SPOT)]
    for _ in range(3):
        told = connector.prices(offers)
        price = told[OFFER.key]
        assert (price.amount, price.currency, price.source) == (0.192, "USD", "price list of AWS")
        assert price.as_of == datetime(2026, 11, 1, tzinfo=UTC)
        assert told[offers[1].key].amount == 0.384
        assert "spot" in told[offers[2].key].source
    assert len(account.aws.calls("GetProducts")) == 3  # 0.192 is told on two pages


def test_the_labs_answer_is_one_to_aws_own_client(account: Account) -> None:
    client = importlib.import_module("boto3").client(
        "pricing",
        region_name="us-east-1",
        endpoint_url=account.aws.url,
        aws_access_key_id=STRANGERS_KEYS[0],
        aws_secret_access_key=STRANGERS_KEYS[1],
    )
    filters = [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "c5.2xlarge"}]
    (product,) = client.get_products(ServiceCode="AmazonEC2", FormatVersion="aws_v1", Filters=filters)["PriceList"]
    assert json.loads(product)["terms"]["OnDemand"]
    account.aws.tell("set", no_prices="AccessDeniedException")
    with pytest.raises(client.exceptions.ClientError, match="AccessDeniedException"):
        client.get_products(ServiceCode="AmazonEC2", Filters=filters)


@pytest.mark.parametrize("why", ["denied", "unreachable"])
def test_without_it_the_table_tells_the_price_and_the_doctor_says_why(
    account: Account, keys: Path, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    away = {"pricing_endpoint": "http://127.0.0.1:1"} if why == "unreachable" else {}
    account.aws.tell("set", no_prices="AccessDeniedException" if why == "denied" else "")
    connector = connect(config(account, keys, **away), OURS)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert connector.prices([OFFER])[OFFER.key].source == "price table of libcloud"
    assert caplog.text.count("price list cannot be asked") == 1
    (finding,) = [one for one in connector.examine([OFFER]) if one.topic == "prices"]
    assert finding.soundness is Soundness.UNKNOWN
    assert "pricing:GetProducts" in finding.cure


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


PRICE = Price(0.2, "USD", "price list of AWS")


@pytest.mark.parametrize(
    ("error", "rest"),
    [(AuthFailed("denied"), AFTER_REFUSAL), (Transient("away"), AFTER_FAILURE)],
    ids=["denied", "away"],
)
def test_it_is_asked_once_a_day_and_after_a_failure_some_hours_later(error: CloudError, rest: float) -> None:
    clock, asked = Clock(), []
    listed = PriceList(PLUGIN.Config.model_validate({"region": "eu-west-1"}), monotonic=clock)
    answers: list[Any] = [error, PRICE, error, None]

    def ask(_: object) -> Any:
        asked.append(clock.now)
        answer = answers.pop(0)
        if isinstance(answer, CloudError):
            raise answer
        return answer

    for moment in (0.0, rest - 1, rest + 1, GOOD, rest + GOOD + 2, rest + GOOD + 3):
        clock.now = moment
        told = listed.prices(["a"], ask)
        assert (told == {"a": PRICE}) == (moment > rest)
    assert asked == [0.0, rest + 1, rest + GOOD + 2]
    clock.now += GOOD
    assert listed.prices(["a"], ask) == {}  # it is not sold any more


@pytest.mark.parametrize(
    ("region", "home"),
    [("us-west-2", "us-east-1"), ("eu-west-1", "eu-central-1"), ("ap-east-1", "ap-south-1"), ("xx-new-1", "us-east-1")],
)
def test_it_is_asked_where_it_is(region: str, home: str) -> None:
    assert home_of(region) == home
