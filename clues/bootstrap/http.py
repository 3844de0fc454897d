"""As much of HTTP/1.1 as the enrolment front speaks: one POST a connection, its length told first, or one GET.

A general server would accept chunked bodies, pipelining, upgrades; each is a way to be held up or misled, and
no worker needs one.  What is not understood is refused, and the connection closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,255}) HTTP/1\.[01]")
_HEADER = re.compile(r"([A-Za-z0-9-]{1,64}):([ -~\t]*)")
_LENGTH = re.compile(r"[0-9]{1,12}")

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Refused(Exception):
    """A request that is answered with an error, in one sentence for whoever runs the worker."""

    def __init__(self, status: int, sentence: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Header names are in lower case."""

    method: str
    path: str
    #: what stands behind the ``?``; empty: nothing does
    query: str
    headers: Mapping[str, str]
    #: bytes of the body
    length: int


def parse_head(head: bytes, *, largest_body: int) -> Head:
    """Return what a request says before its body; *head* ends with the empty line.

    :raises Refused: malformed, without a length, or with a body larger than *largest_body* bytes.
    """
    try:
        first, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    except UnicodeDecodeError as error:
        raise Refused(400, "The request is not ASCII.") from error
    request = _REQUEST_LINE.fullmatch(first)
    if not request:
        raise Refused(400, "The request line is malformed.")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if not header or header[1].lower() in headers:
            raise Refused(400, "A header is malformed or there twice.")
        headers[header[1].lower()] = header[2].strip(" \t")
    path, _, query = request[2].partition("?")
    if request[1] == "GET":
        if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
            raise Refused(400, "A GET has no body.")
        return Head("GET", path, query, MappingProxyType(headers), 0)
    if request[1] != "POST":
        raise Refused(405, "Only GET and POST are understood here.")
    if "transfer-encoding" in headers or not _LENGTH.fullmatch(headers.get("content-length", "")):
        raise Refused(411, "The length of the body has to be told.")
    length = int(headers["content-length"])
    if length > largest_body:
        raise Refused(413, f"The body is larger than {largest_body} bytes.")
    return Head("POST", path, query, MappingProxyType(headers), length)


def write_answer(status: int, body: bytes, *, retry_after_seconds: int = 0) -> bytes:
    """Return an answer after which the connection is closed."""
    retry = f"Retry-After: {retry_after_seconds}\r\n" if retry_after_seconds else ""
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\n{retry}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
