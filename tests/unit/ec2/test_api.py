"""One call: what goes out, and what of the things that come back is an answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses

from connectors.ec2 import PLUGIN
from connectors.ec2.api import Ec2Driver, Odd, Refused, text
from connectors.ec2.config import Ec2Config
from connectors.ec2.keys import Keys
from tests.lab.aws.lab import SESSION_KEYS
from tests.lab.aws.site import Account, config, connect, write_keys

URL = "https://ec2.eu-west-1.amazonaws.com/"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def driver(**settings: Any) -> Ec2Driver:
    checked: Ec2Config = PLUGIN.Config.model_validate({"region": "eu-west-1", **settings})
    return Ec2Driver(checked, lambda: Keys("AKIA", "a-secret"))


def page(items: str = "", token: str = "", namespace: str = "http://ec2.amazonaws.com/doc/2016-11-15/") -> str:
    more = f"<nextToken>{token}</nextToken>" if token else ""
    return f'{HEAD}<DescribeInstancesResponse xmlns="{namespace}">{items}{more}</DescribeInstancesResponse>'


@pytest.fixture
def aws() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def test_a_call_is_a_signed_post_with_nothing_in_its_url(aws: responses.RequestsMock) -> None:
    aws.post(URL, page())
    driver().ask("DescribeInstances", {"UserData": "c2VjcmV0"})
    sent = aws.calls[0].request
    assert sent.url == URL
    assert parse_qs(str(sent.body)) == {
        "Action": ["DescribeInstances"],
        "Version": ["2016-11-15"],
        "UserData": ["c2VjcmV0"],
    }
    assert str(sent.headers["Authorization"]).startswith("AWS4-HMAC-SHA256 Credential=AKIA/")
    assert "/eu-west-1/ec2/aws4_request" in sent.headers["Authorization"]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://ec2.eu-west-1.amazonaws.com"),
        ("us-east-1", "https://ec2.us-east-1.amazonaws.com"),
        ("mx-central-1", "https://ec2.mx-central-1.amazonaws.com"),  # libcloud 3.9.1 does not know it
        ("us-gov-west-1", "https://ec2.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_every_region_has_signatures_of_version_4(aws: responses.RequestsMock, region: str, host: str) -> None:
    aws.post(f"{host}/", page())
    driver(region=region).ask("DescribeInstances")
    assert f"/{region}/ec2/aws4_request" in aws.calls[0].request.headers["Authorization"]


@pytest.mark.parametrize("namespace", ["http://ec2.amazonaws.com/doc/2016-11-15/", "", "urn:something:else"])
def test_names_are_found_in_whatever_namespace(aws: responses.RequestsMock, namespace: str) -> None:
    aws.post(URL, page("<reservationSet><item><x>1</x></item></reservationSet>", namespace=namespace))
    assert text(driver().ask("DescribeInstances"), "reservationSet/item/x") == "1"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no XML",
        page()[:-20],
        "<surprise/>",
        "<RunInstancesResponse/>",
        "<!DOCTYPE html><html></html>",
        '<!DOCTYPE x [<!ENTITY a "ha">]><DescribeInstancesResponse>&a;</DescribeInstancesResponse>',
    ],
)
def test_whatever_else_comes_with_a_200_is_no_answer(aws: responses.RequestsMock, body: str) -> None:
    aws.post(URL, body)
    with pytest.raises(Odd):
        driver().ask("DescribeInstances")


@pytest.mark.parametrize("detail", ["", "<Type>Sender</Type>", "<Type>Sender</Type><Detail/>"])
@pytest.mark.parametrize("namespace", ["", ' xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'])
def test_a_refusal_is_read_whatever_parts_it_has(aws: responses.RequestsMock, detail: str, namespace: str) -> None:
    error = f"<Error><Code>VcpuLimitExceeded</Code><Message>no &lt;more&gt;</Message>{detail}</Error>"
    aws.post(URL, f"{HEAD}<Response{namespace}><Errors>{error}</Errors><RequestID>r</RequestID></Response>", status=400)
    with pytest.raises(Refused) as caught:
        driver().ask("RunInstances")
    assert caught.value.code == "VcpuLimitExceeded"
    assert caught.value.said.words == "VcpuLimitExceeded: no <more>"


def test_a_page_of_a_proxy_is_told_in_its_words(aws: responses.RequestsMock) -> None:
    aws.post(URL, "<html><h1>Bad Gateway</h1></html>", status=502)
    with pytest.raises(Refused) as caught:
        driver().ask("RunInstances")
    assert (caught.value.code, caught.value.said.status) == ("", 502)
    assert "Bad Gateway" in caught.value.said.words
    assert "<" not in caught.value.said.words


def test_a_refusal_tells_by_how_much_the_clocks_differ(aws: responses.RequestsMock) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=20), usegmt=True)
    error = "<Response><Errors><Error><Code>RequestExpired</Code><Message>late</Message></Error></Errors></Response>"
    aws.post(URL, error, status=400, headers={"Date": date})
    asked = driver()
    with pytest.raises(Refused, match="RequestExpired") as caught:
        asked.ask("DescribeInstances")
    assert "s behind the provider's" in caught.value.said.words
    assert asked.skew is not None
    assert abs(asked.skew - timedelta(minutes=20)) < timedelta(seconds=5)


def test_a_list_is_read_to_its_last_page(aws: responses.RequestsMock) -> None:
    for token in ("one", "two", ""):
        aws.post(URL, page(token=token))
    assert len(list(driver().pages("DescribeInstances", {"MaxResults": "5"}))) == 3
    tokens = [parse_qs(str(call.request.body)).get("NextToken") for call in aws.calls]
    assert tokens == [None, ["one"], ["two"]]
    assert all(parse_qs(str(call.request.body))["MaxResults"] == ["5"] for call in aws.calls)


@pytest.mark.parametrize("tokens", [("one", "one"), ("one", "two", "one")])
def test_pages_that_come_again_are_an_error_and_no_loop(aws: responses.RequestsMock, tokens: tuple[str, ...]) -> None:
    for token in tokens:
        aws.post(URL, page(token=token))
    with pytest.raises(Odd, match="do not end"):
        list(islice(driver().pages("DescribeInstances", {}), 10))


def test_a_session_signs_with_its_token(account: Account, tmp_path: Path) -> None:
    access, secret, token = SESSION_KEYS
    keys = write_keys(tmp_path, (access, secret), more=f"aws_session_token = {token}\n")
    assert connect(config(account, keys), "c" * 36).list_instances().instances == ()
    assert {call["by"] for call in account.aws.calls()} == {access}
