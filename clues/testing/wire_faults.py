"""What can go wrong on the way between a connector and its provider, as values that a proxy plays."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from typing import ClassVar

#: Size of :attr:`WireFault.HUGE`; nobody should read all of it.
HUGE_SIZE = 100 * 2**20


class Act(Enum):
    """What the proxy does with the client's connection."""

    #: close it without a reply
    DROP = auto()
    #: close it with a TCP reset
    RESET = auto()
    #: send the reply's head and half of its body, then close
    CUT = auto()
    #: send half of the reply's body as if it were all
    TRUNCATE = auto()
    #: send the fault's own reply
    ANSWER = auto()
    #: send a reply of 100 MiB, of which nobody knows the length
    FLOOD = auto()
    #: send a reply that grows to 100 MiB when it is unpacked
    BOMB = auto()
    #: send nothing, and keep the connection
    SILENCE = auto()


@dataclass(frozen=True, slots=True)
class WireFault:
    """What goes wrong with one request; the usual ones are attributes of this class."""

    name: str
    act: Act
    #: the upstream gets the request, so whatever it asks for happens
    forwarded: bool = False
    code: int = 200
    content_type: str = "text/plain"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    #: words of the body that a person would want to read
    says: str = ""

    LOST_REPLY: ClassVar[WireFault]
    RESET: ClassVar[WireFault]
    CUT_BODY: ClassVar[WireFault]
    TRUNCATED: ClassVar[WireFault]
    TOO_MANY: ClassVar[WireFault]
    BAD_GATEWAY: ClassVar[WireFault]
    SERVER_ERROR: ClassVar[WireFault]
    UNAVAILABLE: ClassVar[WireFault]
    UNAUTHORIZED: ClassVar[WireFault]
    HUGE: ClassVar[WireFault]
    BOMB: ClassVar[WireFault]
    SILENT: ClassVar[WireFault]
    #: broken JSON, broken XML
    GARBAGE: ClassVar[WireFault]
    GARBAGE_XML: ClassVar[WireFault]
    #: sound JSON or XML that is an answer to nothing
    ODD: ClassVar[WireFault]
    ODD_XML: ClassVar[WireFault]
    #: a success without a body
    EMPTY: ClassVar[WireFault]
    #: a login page where an API was asked
    PORTAL: ClassVar[WireFault]

    @classmethod
    def status(
        cls,
        code: int,
        body: str | bytes = b"",
        content_type: str = "text/plain",
        *,
        says: str = "",
        headers: Mapping[str, str] | None = None,
        forwarded: bool = False,
    ) -> WireFault:
        """Return the fault that a request is answered so, instead of by the upstream (or after it, *forwarded*)."""
        content = body.encode() if isinstance(body, str) else body
        name = f"STATUS_{code}"
        return cls(name, Act.ANSWER, forwarded, code, content_type, content, tuple((headers or {}).items()), says)

    def with_headers(self, **headers: str) -> WireFault:
        """Return the same fault with more headers; ``retry_after="7"`` is ``Retry-After: 7``."""
        more = tuple((name.replace("_", "-").title(), value) for name, value in headers.items())
        return replace(self, headers=self.headers + more)


def _page(code: int, title: str, says: str) -> WireFault:
    body = f"<html>\r\n<head><title>{code} {title}</title></head>\r\n<body><h1>{title}</h1><p>{says}</p></body></html>"
    return replace(WireFault.status(code, body, "text/html", says=says), name=title.upper().replace(" ", "_"))


WireFault.LOST_REPLY = WireFault("LOST_REPLY", Act.DROP, forwarded=True)
WireFault.RESET = WireFault("RESET", Act.RESET)
WireFault.CUT_BODY = WireFault("CUT_BODY", Act.CUT, forwarded=True)
WireFault.TRUNCATED = WireFault("TRUNCATED", Act.TRUNCATE, forwarded=True)
WireFault.TOO_MANY = _page(429, "Too Many", "one thing after another, please")
WireFault.BAD_GATEWAY = _page(502, "Bad Gateway", "nobody behind this door")
WireFault.SERVER_ERROR = _page(500, "Server Error", "the moon is in the way")
WireFault.UNAVAILABLE = _page(503, "Unavailable", "closed for maintenance")
WireFault.UNAUTHORIZED = replace(
    WireFault.status(
        401,
        '{"error": {"code": 401, "title": "Unauthorized", "message": "the token has been revoked"}}',
        "application/json",
        says="the token has been revoked",
    ),
    name="UNAUTHORIZED",
)
WireFault.HUGE = WireFault("HUGE", Act.FLOOD, content_type="application/json")
WireFault.SILENT = WireFault("SILENT", Act.SILENCE)
WireFault.GARBAGE = replace(WireFault.status(200, '{"servers": [{"id": "', "application/json"), name="GARBAGE")
WireFault.GARBAGE_XML = replace(
    WireFault.status(200, '<?xml version="1.0"?><reply><item id="', "text/xml"), name="GARBAGE_XML"
)
WireFault.ODD = replace(WireFault.status(200, '{"surprise": 1}', "application/json"), name="ODD")
WireFault.ODD_XML = replace(WireFault.status(200, "<surprise/>", "text/xml"), name="ODD_XML")
WireFault.EMPTY = replace(WireFault.status(200), name="EMPTY")
WireFault.PORTAL = replace(
    WireFault.status(200, "<!DOCTYPE html><html><body><br>Please accept our terms<br></body></html>", "text/html"),
    name="PORTAL",
)
WireFault.BOMB = WireFault("BOMB", Act.BOMB, content_type="application/json", headers=(("Content-Encoding", "gzip"),))


@cache
def bomb() -> bytes:
    """Return 100 KiB that are 100 MiB once they are unpacked."""
    return gzip.compress(bytes(HUGE_SIZE), 1)
