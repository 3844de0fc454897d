"""What OpenVPN writes on its management interface, read strictly and without I/O.

It is a protocol of lines: those that begin with ``>`` are news, and may come in the midst of an answer; all others
answer a command. News of a client are a block: what happened, then its variables, one on a line. A line or a block
that does not end, or one that fits no form, means that the two sides have lost each other, and only a new connection
helps. Variables of a client's own making (``IV_``, ``UV_``) are in the blocks, too; they decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clues.errors import Transient

#: longest line, in bytes, and most variables in the news of one client
LONGEST = 16384
MOST_VARIABLES = 1024

_CLIENT = re.compile(
    r"(CONNECT|REAUTH|CR_RESPONSE),([0-9]{1,18}),([0-9]{1,18})(?:,.*)?|(ESTABLISHED|DISCONNECT),([0-9]{1,18})"
)
_ADDRESS = re.compile(r"ADDRESS,([0-9]{1,18}),([0-9A-Fa-f.:/]{1,64}),[01]")
_REAL = re.compile(r"(?:udp4:|udp6:)?([0-9.]{7,15}):([0-9]{1,5})")


class Garbled(Transient):
    """OpenVPN wrote what no form fits."""


@dataclass(frozen=True, slots=True)
class News:
    """One thing that OpenVPN tells by itself: ``HOLD``, ``INFO``, ``FATAL``, ..., or of a client ``CONNECT``,
    ``REAUTH``, ``ESTABLISHED``, ``DISCONNECT``."""

    what: str
    text: str = ""
    client: int = -1
    #: number of the client's negotiation that waits for an answer
    key: int = -1
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """A client as OpenVPN lists it."""

    client: int
    #: common name of its certificate; empty while it is not known
    name: str
    #: where its packets come from, ``address:port``
    real: str
    #: the address that it was given
    address: str
    since: datetime
    received: int
    sent: int


class Parser:
    """Bytes in, answers and news out."""

    def __init__(self) -> None:
        self._rest = b""
        self._head: News | None = None
        self._variables: dict[str, str] = {}

    def feed(self, data: bytes) -> list[str | News]:
        """Take what was read, and return the lines of answers (texts) and the news that are complete with it.

        :raises Garbled: a line or a block fits no form, or is too long.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        found: list[str | News] = []
        for line in [*lines, self._rest]:
            if len(line) > LONGEST:
                raise Garbled(f"a line of more than {LONGEST} bytes on OpenVPN's management interface")
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            item = self._news(text[1:]) if text.startswith(">") else text
            if item is not None:
                found.append(item)
        return found

    def _news(self, text: str) -> News | None:
        what, _, rest = text.partition(":")
        if what != "CLIENT":
            if not re.fullmatch("[A-Z_-]{1,32}", what):
                raise Garbled("news of no known form on OpenVPN's management interface")
            return News(what, rest)
        if rest.startswith("ENV,"):
            return self._variable(rest[4:])
        if self._head is not None:
            raise Garbled("OpenVPN began to tell of a second client before it had ended with the first")
        if _ADDRESS.fullmatch(rest):
            return News("ADDRESS", rest)
        match = _CLIENT.fullmatch(rest)
        if match is None:
            raise Garbled("OpenVPN told something unknown of a client")
        self._head = News(match[1] or match[4], client=int(match[2] or match[5]), key=int(match[3] or -1))
        self._variables = {}
        return None

    def _variable(self, text: str) -> News | None:
        if self._head is None:
            raise Garbled("OpenVPN told a variable of no client")
        if text == "END":
            head, self._head = self._head, None
            return News(head.what, client=head.client, key=head.key, variables=self._variables)
        name, _, value = text.partition("=")
        if self._variables.setdefault(name, value) != value:
            raise Garbled("OpenVPN told a variable of a client twice")
        if len(self._variables) > MOST_VARIABLES:
            raise Garbled(f"OpenVPN told more than {MOST_VARIABLES} variables of a client")
        return None


def parse_status(lines: list[str]) -> list[Session]:
    """Return the clients in the answer to ``status 3``.

    :raises Garbled: it is none.
    """
    columns: list[str] = []
    sessions: list[Session] = []
    try:
        for line in lines:
            words = line.split("\t")
            if words[:2] == ["HEADER", "CLIENT_LIST"]:
                columns = words[2:]
            elif words[0] == "CLIENT_LIST":
                sessions.append(_session(dict(zip(columns, words[1:], strict=True))))
    except (KeyError, ValueError, OverflowError) as error:
        raise Garbled(f"OpenVPN listed a client in an unknown form: {type(error).__name__}") from error
    if not columns:
        raise Garbled("OpenVPN listed its clients in an unknown form")
    return sessions


def _session(row: Mapping[str, str]) -> Session:
    name = row["Common Name"]
    return Session(
        client=int(row["Client ID"]),
        name="" if name == "UNDEF" else name,
        real=row["Real Address"],
        address=row["Virtual Address"],
        since=datetime.fromtimestamp(int(row["Connected Since (time_t)"]), UTC),
        received=int(row["Bytes Received"]),
        sent=int(row["Bytes Sent"]),
    )


def parse_real(text: str) -> tuple[str, int] | None:
    """Return address and port from where a client sends, None where it is not known or not IPv4."""
    match = _REAL.fullmatch(text)
    return (match[1], int(match[2])) if match else None
