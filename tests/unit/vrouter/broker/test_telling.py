"""When the broker tells of its tunnels. OpenVPN and the kernel are stand-ins here, and no time passes."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clues.places import Places
from vrouter.broker import status
from vrouter.broker.broker import Broker
from vrouter.broker.protocol import News, Session
from vrouter.hub.settings import HubSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUTER = Session(7, "router-1", "198.51.100.20:1194", "10.77.252.10", NOW, 0, 0)


class OpenVpn:
    """Tells its news one by one; its clients are those of ``listed``."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.listed: list[Session] = []

    def connect(self) -> None:
        """It is there."""

    def software(self) -> str:
        """One that is new enough."""
        return "2.6.14"

    def command(self, *_: str) -> str:
        """It obeys."""
        return ""

    def poll(self, _: float) -> list[News]:
        """What it has to tell."""
        news, self.news = self.news, []
        return news

    def sessions(self) -> list[Session]:
        """Who is connected."""
        return list(self.listed)


def test_a_tunnel_is_told_as_soon_as_it_stands_or_falls(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "clues.sock")
    places.hub.mkdir()
    settings = HubSettings("uuid", places, "hub", 1194, IPv4Network("10.77.0.0/16"), IPv4Network("10.77.252.0/22"))
    broker: Any = Broker(settings, wall_clock=lambda: NOW, monotonic=lambda: 0.0)
    broker._management = openvpn = OpenVpn()
    broker._walls = SimpleNamespace(keep=lambda *_: None, trouble="", up=True)
    broker._routes = SimpleNamespace(forget=lambda: None, follow=lambda _: None, trouble="")

    def turn() -> list[str]:
        turns = iter([False, True])
        broker.run(lambda _: next(turns))
        told = status.read(settings.status)
        assert told is not None
        return [one.claim for one in told.tunnels]

    assert turn() == []
    openvpn.listed, openvpn.news = [ROUTER], [News("ESTABLISHED", client=7)]
    assert turn() == ["router-1"]
    openvpn.listed, openvpn.news = [], [News("DISCONNECT", client=7)]
    assert turn() == []
