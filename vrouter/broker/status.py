"""What the broker tells of its central point, as a file: written by it, read by cluesd.

The file also holds what the broker itself has to know again after a restart: the number of each client's last
negotiation (``keys``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clues.model import HubStatus, Tunnel

FORM = 1


@dataclass(frozen=True, slots=True)
class Told:
    """The content of the file."""

    hub: HubStatus
    tunnels: tuple[Tunnel, ...] = ()
    #: last negotiation of each client, by OpenVPN's numbers
    keys: Mapping[int, int] = field(default_factory=dict)


def write(path: Path, told: Told) -> None:
    """Replace the file. It need not survive a crash of the machine, nor do the tunnels.

    :raises OSError: it cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(_text(told))
    new.replace(path)


def read(path: Path) -> Told | None:
    """Return what the file says; None when it is missing or damaged."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if raw["form"] != FORM:
            return None
        tunnels = tuple(_tunnel(raw["hub"]["name"], one) for one in raw["tunnels"])
        return Told(_hub(raw["hub"]), tunnels, {int(a): int(b) for a, b in raw["keys"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _text(told: Told) -> str:
    hub = told.hub
    document = {
        "form": FORM,
        "hub": {
            "name": hub.name,
            "up": hub.up,
            "taken_at": hub.taken_at,
            "revision": hub.revision,
            "crl_ends": hub.crl_ends,
            "certificate_ends": hub.certificate_ends,
            "trouble": hub.trouble,
        },
        "tunnels": [
            [one.claim, one.real, one.address, int(one.since.timestamp()), one.received, one.sent]
            for one in told.tunnels
        ],
        "keys": {str(client): key for client, key in told.keys.items()},
    }
    return json.dumps(document, default=lambda value: value.isoformat(), separators=(",", ":"))


def _hub(raw: Mapping[str, Any]) -> HubStatus:
    return HubStatus(
        name=str(raw["name"]),
        up=bool(raw["up"]),
        taken_at=_time(raw["taken_at"]),
        revision=int(raw["revision"]),
        crl_ends=_time(raw["crl_ends"]) if raw["crl_ends"] else None,
        certificate_ends=_time(raw["certificate_ends"]) if raw["certificate_ends"] else None,
        trouble=str(raw["trouble"]),
    )


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _tunnel(hub: str, raw: list[Any]) -> Tunnel:
    claim, real, address, since, received, sent = raw
    return Tunnel(
        claim=str(claim),
        hub=hub,
        real=str(real),
        address=str(address),
        since=datetime.fromtimestamp(int(since), UTC),
        received=int(received),
        sent=int(sent),
    )
