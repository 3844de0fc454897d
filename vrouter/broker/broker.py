"""The broker's work: answer OpenVPN's questions, end sessions of those who no longer belong, tell how things are.

Everything follows from three present states: the inventory, OpenVPN's list of its clients, and what the kernel has.
So a broker that was killed and started again, or one whose OpenVPN was, does what any other does: it looks, and sets
right what is not. One thing alone is lost with it, the questions that OpenVPN asked meanwhile: it does not repeat
them, and a tunnel whose new key is not approved stops. So the broker answers them unasked when it is back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clues import inventory
from clues.errors import ConfigError, Transient
from clues.inventory import Inventory
from clues.model import HubStatus, Tunnel
from vrouter.broker import status, validity
from vrouter.broker.answer import Denial, Place, answer, directives, places, reach
from vrouter.broker.management import Management, Refused
from vrouter.broker.protocol import News, Session, parse_real
from vrouter.broker.walls import Routes, Walls, forwards
from vrouter.hub.settings import HubSettings

log = logging.getLogger(__name__)

#: seconds between looks at the inventory, and between lists of clients
GLANCE = 0.1
LISTING = 1.0
#: negotiations that may have been missed: so many are answered unasked, more where nothing is known of a client
MISSED, MISSED_AT_MOST = 4, 64


@dataclass
class Broker:
    """The broker of one central point; :meth:`run` is its life."""

    settings: HubSettings
    wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    _management: Management = field(init=False)
    _reader: inventory.Reader = field(init=False)
    _walls: Walls = field(init=False)
    _routes: Routes = field(init=False)
    _inventory: Inventory | None = None
    _admitted: dict[str, Place] | None = None
    _sessions: dict[int, Session] = field(default_factory=dict)
    #: what each client was given, and the number of its last negotiation
    _granted: dict[int, Place] = field(default_factory=dict)
    _keys: dict[int, int] = field(default_factory=dict)
    _listed_at: float = float("-inf")
    _told_at: float = float("-inf")
    _told: tuple[Tunnel, ...] = ()
    _connected: bool = False
    _trouble: str = ""

    def __post_init__(self) -> None:
        settings = self.settings
        self._management = Management(settings.management)
        self._reader = inventory.Reader(settings.places.inventory, settings.cluster)
        self._walls, self._routes = Walls(settings), Routes(settings.interface)

    def run(self, stopping: Callable[[float], bool], alive: Callable[[], object] = lambda: None) -> None:
        """Serve until *stopping*, which waits at most so many seconds, says so. Tunnels, rules and routes stay.

        :param alive: called at every turn.
        """
        told = status.read(self.settings.status)
        self._keys = dict(told.keys) if told else {}
        while not stopping(0 if self._connected else GLANCE):
            alive()
            self.look()
            try:
                self._attend()
            except Transient as error:
                self._lose(str(error))
            self._tell()

    def look(self) -> None:
        """Read the inventory, and make the kernel's rules follow it."""
        try:
            found = self._reader.read()
        except ConfigError:
            return
        if found is not self._inventory:
            before, self._inventory, self._admitted = self._admitted or {}, found, places(found)
            if any(self._admitted.get(key) != place for key, place in before.items()):
                self._listed_at = float("-inf")  # somebody left or moved: look who is connected, at once
                gone = [one for one in self._sessions.values() if one.name not in self._admitted]
                self._walls.ban([end for one in gone if (end := parse_real(one.real))], self.monotonic())
        self._walls.keep(found, self._admitted or {}, self.monotonic())

    def _attend(self) -> None:
        if not self._connected:
            self._management.connect()
            self._greet()
        for news in self._management.poll(GLANCE):
            self.look()  # the answer follows from what is committed when it is given
            self._hear(news)
        if self.monotonic() - self._listed_at >= LISTING:
            self._list()

    def _greet(self) -> None:
        version = self._management.software()
        if tuple(map(int, version.split("."))) < (2, 6):
            raise Transient(f"OpenVPN {version} is too old: 2.6 is needed")
        self._management.command("hold release")
        self._connected, self._trouble = True, ""
        log.info("%s: OpenVPN %s answers", self.settings.name, version)
        self._routes.forget()
        self._list()
        for session in self._sessions.values():
            self._answer_unasked(session)

    def _lose(self, why: str) -> None:
        if self._connected or why != self._trouble:
            log.warning("%s: %s", self.settings.name, why)
        self._management.disconnect()
        self._connected, self._trouble = False, why
        self._sessions, self._granted = {}, {}
        self._listed_at = float("-inf")

    def _hear(self, news: News) -> None:
        try:
            if news.what in {"CONNECT", "REAUTH"}:
                self._keys[news.client] = news.key
                self._answer(news.client, news.key, news.variables.get("common_name", ""))
            elif news.what in {"ESTABLISHED", "DISCONNECT"}:
                if news.what == "DISCONNECT":
                    self._granted.pop(news.client, None)
                    self._keys.pop(news.client, None)
                self._list()
            elif news.what == "HOLD":
                self._management.command("hold release")
                self._routes.forget()
            elif news.what == "FATAL":
                raise Transient(f"OpenVPN ends: {news.text[:200]}")
        except Refused as error:
            log.warning("%s: %s: %s", self.settings.name, news.what, error)  # the client went away meanwhile

    def _answer(self, client: int, key: int, name: str) -> None:
        decision = answer(self._admitted if self._walls.up else None, name)
        if isinstance(decision, Denial):
            log.info("%s: %r may not connect: %s", self.settings.name, name, decision.reason)
            self._management.command(f'client-deny {client} {key} "{decision.reason}" "{decision.reason}"')
            return
        self._grant(client, key, decision)

    def _grant(self, client: int, key: int, place: Place) -> None:
        known = self._inventory
        lines = directives(place, self.settings.transit, reach(known) if known is not None else ())
        self._management.command(f"client-auth {client} {key}", *lines)
        self._granted[client] = place

    def _answer_unasked(self, session: Session) -> None:
        place = self._admitted.get(session.name) if self._admitted and self._walls.up else None
        if place is None:
            return
        known = self._keys.get(session.client)
        first, count = (0, MISSED_AT_MOST) if known is None else (known + 1, MISSED)
        for key in range(first, first + count):
            try:
                self._grant(session.client, key, place)
                self._keys[session.client] = key
            except Refused:
                continue  # there is no such negotiation, or it needs no answer

    def _list(self) -> None:
        self._sessions = {one.client: one for one in self._management.sessions()}
        self._listed_at = self.monotonic()
        self._keys = {client: key for client, key in self._keys.items() if client in self._sessions}
        if self._admitted is None:
            return  # nothing is known: nobody is ended
        for session in list(self._sessions.values()):
            if session.name and session.address:  # others wait for their answer, or were denied and are being told so
                self._judge(session, self._admitted.get(session.name))
        self._routes.follow(
            place
            for one in self._sessions.values()
            if (place := self._admitted.get(one.name)) and one.address == place.address
        )

    def _judge(self, session: Session, place: Place | None) -> None:
        end = parse_real(session.real)
        if place is not None:
            if end is not None:
                self._walls.lift(end)
            granted = self._granted.get(session.client, place)
            if granted != place or session.address not in {"", place.address}:
                log.info("%s: %s gets other addresses", self.settings.name, session.name)
                self._end(session, "RESTART")
            return
        log.warning("%s: %s is no member any more: ended", self.settings.name, session.name)
        if end is not None:
            self._walls.ban([end], self.monotonic())
        self._end(session, "HALT")
        self.look()

    def _end(self, session: Session, message: str) -> None:
        """End a session. A client is asked to go only where OpenVPN does not know its address: asking is a request."""
        try:
            if message == "HALT" and parse_real(session.real):
                self._management.command(f"kill {session.real}")
            else:
                self._management.command(f"client-kill {session.client} {message}")
        except Refused:
            try:
                self._management.command(f"client-kill {session.client} HALT")
            except Refused:
                log.info("%s: client %d has gone already", self.settings.name, session.client)
        self._sessions.pop(session.client, None)
        self._granted.pop(session.client, None)

    def _tell(self) -> None:
        tunnels = tuple(
            Tunnel(one.name, self.settings.name, one.real, one.address, one.since, one.received, one.sent)
            for one in self._sessions.values()
            if one.name and one.address
        )
        # who waits for a tunnel waits no longer than it takes
        same = [(one.claim, one.address) for one in tunnels] == [(one.claim, one.address) for one in self._told]
        if same and self.monotonic() - self._told_at < LISTING:
            return
        now, self._told, self._told_at = self.wall_clock(), tunnels, self.monotonic()
        crl = validity.crl_end(self.settings.places.crl)
        certificate = validity.certificate_end(self.settings.certificate)
        troubles = [
            self._trouble,
            self._reader.trouble,
            self._walls.trouble,
            self._routes.trouble,
            validity.trouble(crl, certificate, now),
            "" if forwards() else "this machine passes no packets on: set net.ipv4.ip_forward=1",
        ]
        hub = HubStatus(
            name=self.settings.name,
            up=self._connected,
            taken_at=now,
            revision=self._inventory.revision if self._inventory else 0,
            crl_ends=crl,
            certificate_ends=certificate,
            trouble="; ".join(one for one in troubles if one),
        )
        try:
            status.write(self.settings.status, status.Told(hub, tunnels, self._keys))
        except OSError as error:
            log.error("%s: %s", self.settings.status, error.strerror or error)
