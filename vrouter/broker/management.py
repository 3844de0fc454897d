"""A connection to OpenVPN's management interface: commands with their answers, and news in order.

It is the client of ``openvpn_api`` with its way of reading replaced. That one (0.3.0) waits without end, also when
the other side has hung up in the midst of an answer, leaves the answers to ``kill`` unread, knows no news, and cannot
read the list of clients that OpenVPN 2.6 gives. What it makes of ``version``, ``state`` and ``load-stats`` serves.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import deque
from pathlib import Path

from openvpn_api import VPN
from openvpn_api.util import errors

from clues.errors import Transient
from vrouter.broker.protocol import Garbled, News, Parser, Session, parse_status

#: seconds that OpenVPN has for an answer
PATIENCE = 5.0
#: most news that are kept while an answer is waited for, and most lines of one answer
MOST = 100_000


class Management(VPN):  # type: ignore[misc]
    """One connection; every failure is :class:`clues.errors.Transient`, after which a new one has to be made."""

    def __init__(self, path: Path, *, patience: float = PATIENCE) -> None:
        """:param patience: seconds that OpenVPN has for each answer."""
        super().__init__(socket=str(path))
        self._path, self._patience = path, patience
        self._socket: socket.socket | None = None
        self._channel: socket.socket | None = None
        self._parser = Parser()
        self._news: deque[News] = deque()
        self._answer: deque[str] = deque()

    def connect(self) -> bool:
        """Connect, and wait for the greeting.

        :raises Transient: nobody answers there.
        """
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(self._patience)
        try:
            channel.connect(str(self._path))
        except OSError as error:
            channel.close()
            raise Transient(f"OpenVPN does not answer at {self._path}: {error.strerror or error}") from error
        self._socket = self._channel = channel
        self._parser = Parser()
        self._news.clear()
        self._answer.clear()
        self.clear_cache()
        deadline = time.monotonic() + self._patience
        while not self._news and not self._answer:
            self._read(deadline)
        if self._answer or self._news[0].what != "INFO":
            self.disconnect()
            raise Garbled(f"what answers at {self._path} is not OpenVPN")
        return True

    def disconnect(self, _quit: bool = True) -> None:
        """Hang up. OpenVPN goes on, and waits for the next connection."""
        if self._channel is not None:
            self._channel.close()
        self._socket = self._channel = None

    def fileno(self) -> int:
        """Return the descriptor to wait on for news.

        :raises Transient: it is not connected.
        """
        return self._open().fileno()

    def poll(self, seconds: float) -> list[News]:
        """Return the news that there are, in order; wait for the first one at most so many seconds.

        :raises Transient: the connection has ended.
        """
        channel = self._open()
        ready, _, _ = select.select([channel], [], [], 0 if self._news else seconds)
        if ready:
            self._read(time.monotonic() + self._patience)
        if self._answer:
            self.disconnect()
            raise Garbled("OpenVPN answered what nobody had asked")
        news = list(self._news)
        self._news.clear()
        return news

    def command(self, text: str, *lines: str) -> str:
        """Give a command that is answered in one line, and return what it says after ``SUCCESS: ``.

        :param lines: a text that belongs to the command; its ``END`` is added.
        :raises Refused: OpenVPN could not do it.
        :raises Transient: the connection has ended, or the answer did not come.
        """
        self._send(text, *lines, *(["END"] if lines else []))
        answer = self._line(time.monotonic() + self._patience)
        if answer.startswith("SUCCESS: "):
            return answer.removeprefix("SUCCESS: ")
        if answer.startswith("ERROR: "):
            raise Refused(f"OpenVPN: {answer.removeprefix('ERROR: ')}")
        self.disconnect()
        raise Garbled("OpenVPN's answer is neither good nor bad")

    def listing(self, text: str) -> list[str]:
        """Give a command that is answered by a list, and return its lines without ``END``.

        :raises Transient: as for :meth:`command`.
        """
        self._send(text)
        deadline = time.monotonic() + self._patience
        lines: list[str] = []
        while (line := self._line(deadline)) != "END":
            if not lines and line.startswith("ERROR: "):
                raise Refused(f"OpenVPN: {line.removeprefix('ERROR: ')}")
            lines.append(line)
            if len(lines) > MOST:
                self.disconnect()
                raise Garbled("OpenVPN's list does not end")
        return lines

    def sessions(self) -> list[Session]:
        """Return the clients that are connected.

        :raises Transient: as for :meth:`command`.
        """
        try:
            return parse_status(self.listing("status 3"))
        except Garbled:
            self.disconnect()
            raise

    def get_status(self) -> list[Session]:
        """Return :meth:`sessions`: what stands here in ``openvpn_api`` cannot read OpenVPN 2.6."""
        return self.sessions()

    def software(self) -> str:
        """Return OpenVPN's version, ``2.6.14``.

        :raises Transient: as for :meth:`command`.
        """
        try:
            version = str(self.version)
        except errors.VPNError as error:
            raise Garbled(f"OpenVPN does not tell its version: {error}") from error
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){2}", version):
            raise Garbled("OpenVPN's version is none")
        return version

    def send_command(self, cmd: str) -> str:
        """Give a command of ``openvpn_api``'s own, and return its answer as it expects it."""
        if cmd in {"version", "state"}:
            return "\n".join([*self.listing(cmd), "END"])
        return f"SUCCESS: {self.command(cmd)}"

    def _open(self) -> socket.socket:
        if self._channel is None:
            raise Transient("not connected to OpenVPN's management interface")
        return self._channel

    def _send(self, *lines: str) -> None:
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a line break within a line for OpenVPN")
        try:
            self._open().sendall("".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            self.disconnect()
            raise Transient(f"OpenVPN hung up: {error.strerror or error}") from error

    def _line(self, deadline: float) -> str:
        while not self._answer:
            self._read(deadline)
        return self._answer.popleft()

    def _read(self, deadline: float) -> None:
        channel = self._open()
        try:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
            data = channel.recv(65536)
            channel.settimeout(self._patience)
        except OSError as error:
            self.disconnect()
            raise Transient(f"OpenVPN does not answer: {error.strerror or error}") from error
        if not data:
            self.disconnect()
            raise Transient("OpenVPN hung up")
        try:
            items = self._parser.feed(data)
        except Garbled:
            self.disconnect()
            raise
        self._answer.extend(item for item in items if isinstance(item, str))
        self._news.extend(item for item in items if isinstance(item, News))
        if len(self._news) > MOST:
            self.disconnect()
            raise Garbled("OpenVPN tells too much")


class Refused(Transient):
    """OpenVPN understood a command and could not do it; the connection is good."""
