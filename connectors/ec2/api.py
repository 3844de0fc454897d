"""One call to AWS, and what came back: libcloud's connection signs and carries, the reading is ours.

Calls go by POST, so that user-data (with its ticket) stands in no URL, which proxies write into their logs. libcloud's
own reader of EC2's errors expects exactly two parts (a third one is a ValueError) and takes HTML for a defect, so the
whole of a refusal is read here. An answer counts only under its own name: a stranger's page is no empty listing.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import requests
from libcloud.common.base import XmlResponse
from libcloud.compute.base import NodeDriver
from libcloud.compute.drivers.ec2 import EC2Connection, EC2NodeDriver

from connectors.common import failures
from connectors.common.drivers import bound
from connectors.ec2.config import Ec2Config, check_endpoint
from connectors.ec2.keys import Keys

_MARKUP = re.compile(r"<[^>]*>")
_MOST_PAGES = 1000
_LONGEST_PAGE = 10_000
#: A clock that is off by more may be why a signature was refused.
_WORTH_TELLING = timedelta(seconds=60)


class Refused(failures.Refused):
    """AWS, or somebody on the way, answered with an error; its ``code`` is AWS's own."""

    def __init__(
        self, status: int, code: str, message: str, *, wait: timedelta | None = None, skew: timedelta | None = None
    ) -> None:
        """:param skew: how far the provider's clock is ahead of ours."""
        words = f"{code}: {message}" if code else message
        if skew is not None and abs(skew) > _WORTH_TELLING:
            seconds = round(skew.total_seconds())
            side = "behind" if seconds > 0 else "ahead of"
            words += f" [this machine's clock is {abs(seconds)} s {side} the provider's]"
        super().__init__(status, words, code=code, retry_after=wait)
        self.code = code


class Odd(Exception):
    """An answer that is none: of somebody else, cut off, or never ending."""


class Reply(XmlResponse):
    """A reply: its root element without namespaces, or :class:`Refused`."""

    def __init__(self, response: requests.Response, connection: Any) -> None:
        response.encoding = "utf-8"  # without a charset in its type it would be guessed
        connection.skew = self.skew = _skew(response.headers.get("date"))
        super().__init__(response, connection)  # type: ignore[no-untyped-call]

    def parse_body(self) -> Any:
        """Return the root of a success."""
        root = _root(self.body or "")
        if root is None:
            raise Odd(f"this is no answer of AWS: {_words(self.body or 'nothing')}")
        return root

    def parse_error(self) -> str:
        """Raise what a failure says, whatever its form is."""
        root = _root(self.body or "")
        error = next(root.iter("Error"), None) if root is not None else None
        status, wait = int(self.status), failures.wait_of(self.headers.get("retry-after"))
        if error is None:
            raise Refused(status, "", f"{status} {self.error}: {_words(self.body or '')}", wait=wait, skew=self.skew)
        raise Refused(status, text(error, "Code"), text(error, "Message"), wait=wait, skew=self.skew)


class AwsConnection(EC2Connection):
    """A connection that signs each request with the keys of that moment: those of a role last some hours only."""

    responseCls = Reply  # type: ignore[assignment]  # noqa: N815 - libcloud's name
    #: returns the keys in use; set by the driver
    keys: Callable[[], Keys]
    skew: timedelta | None = None

    def request(self, *args: Any, **more: Any) -> Any:
        """Send one request."""
        keys = self.keys()
        self.token = keys.token
        self.signer.access_key, self.signer.access_secret = keys.access_key, keys.secret_key
        return super().request(*args, **more)  # type: ignore[no-untyped-call]


class StsConnection(AwsConnection):
    """The same for the service that tells who we are."""

    version = "2011-06-15"
    service_name = "sts"


class Ec2Driver(EC2NodeDriver):
    """libcloud's driver for any region, also one that its table lacks, and always with signatures of version 4 (its
    table says 2 for ten regions)."""

    connectionCls = AwsConnection  # noqa: N815 - libcloud's name
    connection: AwsConnection

    def __init__(self, config: Ec2Config, keys: Callable[[], Keys]) -> None:
        self.region_name, self.country, self.signature_version, self.token = config.region, "", "4", None
        self.api_name = "ec2_" + config.region.replace("-", "_")
        self._config, self._keys = config, keys
        secure, host, port = self._endpoint(config.endpoint, "ec2", config.region)
        NodeDriver.__init__(self, "", "", secure, host, port)  # type: ignore[no-untyped-call]
        self._prepare(self.connection)

    def ask(self, action: str, params: Mapping[str, str] | None = None) -> ET.Element:
        """Send one call of EC2's and return its answer."""
        return _ask(self.connection, action, params or {})

    def pages(self, action: str, params: Mapping[str, str]) -> Iterator[ET.Element]:
        """Return all pages of an answer, or raise: a list that is not whole is none.

        :raises Odd: pages that do not end.
        """
        token, seen = "", {""}
        while True:
            page = self.ask(action, {**params, **({"NextToken": token} if token else {})})
            yield page
            token = text(page, "nextToken")
            if not token:
                return
            if token in seen or len(seen) > _MOST_PAGES:
                raise Odd(f"the pages of {action} do not end")
            seen.add(token)

    def who(self) -> str:
        """Return the ARN that the keys stand for."""
        connection = self.open(StsConnection, self._config.sts_endpoint, self.region_name, "sts")
        answer = _ask(connection, "GetCallerIdentity", {})
        self.connection.skew = connection.skew
        return text(answer, "GetCallerIdentityResult/Arn")

    def open(self, kind: type[AwsConnection], endpoint: str, region: str, name: str) -> Any:
        """Return a new connection to another service of AWS's, in any region.

        :param endpoint: its URL; empty: the public one of the service that is called *name* there.
        """
        secure, host, port = self._endpoint(endpoint, name, region)
        connection: Any = kind("", "", secure, host, port, signature_version="4")
        connection.driver = _Place(region)
        self._prepare(connection)
        return connection

    @property
    def skew(self) -> timedelta | None:
        """How far the provider's clock was ahead of ours in its last reply; None: it did not tell."""
        return self.connection.skew

    def _prepare(self, connection: Any) -> None:
        connection.keys = self._keys
        bound(connection, self._config.timeout.total_seconds())

    def _endpoint(self, given: str, service: str, region: str) -> tuple[bool, str, int]:
        china = ".cn" if region.startswith("cn-") else ""
        return check_endpoint(given or f"https://{service}.{region}.amazonaws.com{china}")


@dataclass(frozen=True, slots=True)
class _Place:
    """What libcloud's connections ask of their driver: for the signature, and for the name that they go by."""

    region_name: str
    name: str = EC2NodeDriver.name


def text(element: ET.Element, path: str) -> str:
    """Return the text at *path*; empty where there is none."""
    return element.findtext(path) or ""


def numbered(name: str, values: Mapping[str, str] | list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return parameters as EC2 takes lists (``InstanceId.1``), and filters as it takes those."""
    if isinstance(values, Mapping):
        return {
            f"Filter.{at}.{part}": value
            for at, (key, one) in enumerate(values.items(), 1)
            for part, value in (("Name", key), ("Value.1", one))
        }
    return {f"{name}.{at}": value for at, value in enumerate(values, 1)}


def _ask(connection: Any, action: str, params: Mapping[str, str]) -> ET.Element:
    body = urlencode({"Action": action, "Version": connection.version, **params})
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    root = connection.request("/", data=body, headers=headers, method="POST").object
    if not isinstance(root, ET.Element) or root.tag != f"{action}Response":
        raise Odd(f"this is no answer to {action}")
    return root


def _words(body: str) -> str:
    return _MARKUP.sub(" ", body[:_LONGEST_PAGE])


def _root(body: str) -> ET.Element | None:
    """Return the root of a document whose names have lost their namespaces; None for anything else.

    A document with a DTD is none that AWS sends; only there could entities be declared that grow without bounds.
    """
    if "<!DOCTYPE" in body:
        return None
    try:
        root = ET.fromstring(body)  # noqa: S314 - what could grow was refused above
    except (ET.ParseError, ValueError):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _skew(date: str | None) -> timedelta | None:
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return told.replace(tzinfo=told.tzinfo or UTC) - datetime.now(UTC)
