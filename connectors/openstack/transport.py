"""Requests that libcloud does not send for us, logins above all, over the same bounded connection, and which
certificates are believed on all connections of a site."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from libcloud.common.types import MalformedResponseError

from connectors.common.failures import Refused, wait_of
from connectors.common.http import BoundedConnection
from connectors.openstack.failures import words_of


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a site's connections believe, and as whom they come."""

    #: a file of CA certificates; empty: the system's
    cacert: str = ""
    #: client certificate and key
    client_cert: tuple[str, str] | None = None

    @property
    def conn_class(self) -> Any:
        """What a libcloud connection takes for its ``conn_class``."""
        return partial(TrustingConnection, trust=self)


class TrustingConnection(BoundedConnection):
    """A connection with a CA of its own: libcloud has one variable for the whole process. It cannot be told to believe
    everybody."""

    def __init__(self, *arguments: Any, trust: Trust, **more: Any) -> None:
        super().__init__(*arguments, **more)  # type: ignore[no-untyped-call]
        self._trust = trust
        if trust.client_cert is not None:
            session: Any = self.session
            session.cert = trust.client_cert

    @property
    def verification(self) -> Any:
        """What `requests` verifies certificates with."""
        return self._trust.cacert or True


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply to a request of ours."""

    status: int
    headers: Mapping[str, str]
    json: Mapping[str, Any]


def exchange(
    trust: Trust,
    method: str,
    url: str,
    timeout: float,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Answer:
    """Send one request on a connection of its own, and return the reply, which has to be a JSON object.

    :raises Refused: the reply is no success.
    :raises Exception: as libcloud and `requests` have it.
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    secure = parts.scheme == "https"
    connection = TrustingConnection(
        host=host, port=parts.port or (443 if secure else 80), secure=secure, timeout=timeout, trust=trust
    )
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=dict(headers or {}))
        response: Any = connection.response
    finally:
        session: Any = connection.session
        session.close()
    if not 200 <= response.status_code < 300:
        code, words = words_of(response.text, response.headers.get("content-type", ""))
        wait = wait_of(response.headers.get("retry-after")) if "retry-after" in response.headers else None
        raise Refused(response.status_code, words, code=code, retry_after=wait)
    try:
        content = json.loads(response.content or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        # not its body: a reply to a login has a token in it
        raise MalformedResponseError(f"{parts.netloc} answered with no JSON object", body="")
    return Answer(response.status_code, response.headers, content)
