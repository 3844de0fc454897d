"""One thread's way to one cloud: libcloud's driver, asked through its connections.

libcloud's own calls lack what is needed here: filters in listings, tags, security groups by id, ports with an address,
a page that does not lead on. What is used of it is what carries them: connections to three services with one way to
build URLs, to send, to read and to fail.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from libcloud.common.types import MalformedResponseError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

from clues.errors import InvalidRequest, NotFound, Transient
from connectors.common.drivers import bound
from connectors.common.failures import Refused
from connectors.openstack.failures import Response
from connectors.openstack.identity import Session, Token

Json = dict[str, Any]
Version = tuple[int, int]

#: Microversions from which nova does something. 2.69 is the one not to be missed: before it, a listing leaves out the
#: servers of a cell that does not answer, and says nothing.
SOFT_POLICIES: Version = (2, 15)
TAG_FILTER: Version = (2, 26)
NETWORKS_NEEDED: Version = (2, 37)
TAGS_AT_CREATE: Version = (2, 52)
ONE_POLICY: Version = (2, 64)
VOLUME_TYPE: Version = (2, 67)
#: measured against nova 34; nothing newer is needed
_NEWEST: Version = (2, 90)
_LEAST: Version = (2, 1)

#: no page leads to so many others
_MOST_PAGES = 10_000
_PAGE_GONE = re.compile(r"marker", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

_SERVICES = ("compute", "network", "image")


def segment(text: str) -> str:
    """Return an id as a segment of a path.

    :raises NotFound: it is none that a service could have given.
    """
    if not _ID.fullmatch(text):
        raise NotFound(f"{text!r} is not an id of this cloud")
    return text


class Cloud:
    """The services of one site, for one thread."""

    def __init__(self, session: Session, timeout: float, compute: Compute) -> None:
        """Log in if need be.

        :raises CloudError: the login failed, or the cloud lacks a service.
        """
        self._session, self._compute = session, compute
        token = session.token()
        self._connections = _connections(token, timeout)

    @property
    def project(self) -> str:
        """The id of the project."""
        return self._session.token().project_id

    @property
    def version(self) -> Version:
        """The microversion that nova is asked in."""
        return self._compute.version(self)

    def get(self, service: str, path: str, **params: Any) -> Json:
        """Return the object that is at *path*."""
        return self._object(self.send(service, "GET", path, params=params))

    def post(self, service: str, path: str, body: Mapping[str, Any]) -> Json:
        """Send *body*, and return the object that comes back."""
        return self._object(self.send(service, "POST", path, body=body))

    def delete(self, service: str, path: str) -> bool:
        """Delete what is at *path*; return whether it was there."""
        try:
            self.send(service, "DELETE", path)
        except Refused as refused:
            if refused.said.status == 404:
                return False
            raise
        return True

    def pages(self, service: str, path: str, key: str, **params: Any) -> Iterator[Json]:
        """Yield all items of a listing, page after page.

        :raises Transient: the pages lead in a circle, or change under our hands.
        """
        seen: set[str] = set()
        marker: str | None = None
        while True:
            more = {} if marker is None else {"marker": marker}
            try:
                page = self.get(service, path, **params, **more)
            except Refused as refused:
                if marker is not None and refused.said.status in (400, 404) and _PAGE_GONE.search(refused.said.words):
                    raise PagesMoved(f"the list at {path} has changed while it was read") from refused
                raise
            items = page[key]
            if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
                raise TypeError(f"{key} is no list of objects")
            yield from items
            marker = _next(page, key)
            if marker is None:
                return
            if marker in seen or len(seen) > _MOST_PAGES:
                raise Transient(f"the pages of {path} lead in a circle, so what is there cannot be told")
            seen.add(marker)

    def send(
        self,
        service: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        versioned: bool = True,
    ) -> Any:
        """Send one request with the site's token, and return what libcloud makes of the reply.

        :raises Refused: the reply is no success.
        :raises CloudError: the login failed.
        """
        connection = self._connections[service]
        headers = {}
        if service == "compute" and versioned and (version := self.version) > _LEAST:
            headers["OpenStack-API-Version"] = f"compute {version[0]}.{version[1]}"
        token = self._session.token()
        connection.auth_token = token.id
        try:
            return connection.request(
                path, params=dict(params or {}), data=body if body is not None else "", headers=headers, method=method
            )
        except Refused as refused:
            if refused.said.status == 401:
                self._session.refuse(token)
            raise

    @staticmethod
    def _object(response: Any) -> Json:
        if not isinstance(response.object, dict):
            raise MalformedResponseError("the answer is no JSON object", body=str(response.object or "")[:200])
        return response.object


class PagesMoved(Transient):
    """A list has changed while it was read: it is worth beginning anew."""


class Compute:
    """What all threads know of a site's nova."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: Version | None = None

    def version(self, cloud: Cloud) -> Version:
        """Return the newest microversion that both of us know; asked for once."""
        with self._lock:
            if self._version is None:
                told = cloud._object(cloud.send("compute", "GET", "/", versioned=False))["version"]
                match = re.fullmatch(r"(2)\.([0-9]{1,4})", str(told.get("version") or "2.1"))
                newest = (int(match[1]), int(match[2])) if match else _LEAST
                self._version = min(newest, _NEWEST)
            return self._version


def _connections(token: Token, timeout: float) -> dict[str, Any]:
    """Return libcloud's connections by service, set to the token and to bounded replies."""
    missing = [service for service in _SERVICES if service not in token.endpoints]
    if missing:
        raise InvalidRequest(f"the catalog has no endpoint for: {', '.join(missing)}")
    urls = {service: _base(service, token.endpoints[service], token.project_id) for service in _SERVICES}
    driver: Any = get_driver(Provider.OPENSTACK)(
        "clues",
        "",  # the login is ours
        api_version="2.2",
        ex_token_scope="unscoped",  # noqa: S106 - not a secret; without it libcloud wants a project's name
        ex_force_auth_url=urls["compute"],
        ex_force_auth_version="3.x_password",
        ex_force_auth_token=token.id,
        ex_force_base_url=urls["compute"],
        ex_force_network_url=urls["network"],
        ex_force_image_url=urls["image"],
    )
    connections = {
        "compute": driver.connection,
        "network": driver.network_connection,
        "image": driver.image_connection,
    }
    for connection in connections.values():
        bound(connection, timeout)
        connection.conn_class = token.trust.conn_class
        connection.responseCls = Response
    return connections


def _base(service: str, url: str, project: str) -> str:
    """Return an endpoint as paths are put to it: nova's with its version, without the project that old catalogs have in
    it; the others' without a version."""
    url = url.rstrip("/")
    return url.removesuffix(f"/{project}") if service == "compute" else re.sub(r"/v2(\.0)?$", "", url)


def _next(page: Json, key: str) -> str | None:
    """Return the marker of the page that follows: nova and neutron have links, glance a path."""
    links = page.get(f"{key}_links") or ()
    following = [link["href"] for link in links if link.get("rel") == "next"] or [page.get("next")]
    if not following[0]:
        return None
    return parse_qs(urlsplit(str(following[0])).query)["marker"][0]
