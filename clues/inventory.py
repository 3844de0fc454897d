"""The inventory: who belongs to the cluster now, as cluesd has committed it, for the processes that outlive cluesd.

One file, replaced whole. The signer revokes what is not in it, the enrolment front answers only who is in it, the
broker of a central point admits only who is in it and cuts off who no longer is. So an eviction is one thing: not
being here. It holds no secret. A file that is missing, damaged or of another cluster is *unknown*, never empty: its
readers go on with what they read last, and admit nobody new if they have read nothing yet.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from clues.errors import ConfigError
from clues.model import ClaimState, Kind

FORM = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One claim whose VM may be, or come, in the cluster's network."""

    #: launch key: the common name of its certificate
    key: str
    kind: Kind
    site: str
    node: str
    state: ClaimState
    #: in its site's network; with `attach: direct` the same as ``tunnel``
    address: str = ""
    mac: str = ""
    #: of its own end of the tunnel to a central point; empty: it has none
    tunnel: str = ""
    #: ranges that lie behind it
    subnets: tuple[str, ...] = ()
    #: SHA-256 (hex) of its public key (DER); empty until it has enrolled
    identity: str = ""
    #: of a router's self-signed certificate for shortcuts
    fingerprint: str = ""
    #: where other routers reach this one, ``address:port``; empty: nowhere
    endpoint: str = ""
    #: when its claim was made, in ISO 8601: its user-data names the authorities of that moment
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The cluster's members at one commit."""

    cluster: str
    #: grows with every change, also over restarts
    revision: int
    written_at: datetime
    #: the cluster's whole range, and the part of it for the ends of tunnels
    network: str = ""
    transit: str = ""
    members: tuple[Member, ...] = ()
    #: pairs of routers (launch keys) that shall have a direct tunnel; the first of each listens
    shortcuts: tuple[tuple[str, str], ...] = ()
    #: further ranges that members may reach through a central point (the front-end's own network)
    routes: tuple[str, ...] = field(default=())

    def member(self, key: str) -> Member | None:
        """Return a member by its launch key."""
        return next((one for one in self.members if one.key == key), None)

    def to_json(self) -> str:
        """Return the text of the file."""
        document = {"form": FORM, **_plain(self), "written_at": self.written_at.isoformat()}
        return json.dumps(document, default=_plain, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Inventory:
        """Return what a file's text says.

        :raises ValueError: anything else than what :meth:`to_json` writes.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            if raw["form"] != FORM:
                raise ValueError(f"it has form {raw['form']!r}, {FORM} is known here")
            members = tuple(_member(one) for one in raw["members"])
            return Inventory(
                cluster=_text(raw["cluster"]),
                revision=int(raw["revision"]),
                written_at=datetime.fromisoformat(raw["written_at"]),
                network=_text(raw["network"]),
                transit=_text(raw["transit"]),
                members=members,
                shortcuts=tuple((_text(a), _text(b)) for a, b in raw["shortcuts"]),
                routes=tuple(_text(one) for one in raw["routes"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an inventory: {error!r}") from error


def _plain(value: Inventory | Member) -> dict[str, Any]:
    # dataclasses.asdict() would copy each text: three times as long, and this is done at each commit
    return {name: getattr(value, name) for name in value.__slots__}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _member(raw: dict[str, Any]) -> Member:
    values = {one.name: raw[one.name] for one in fields(Member)}
    values |= {"kind": Kind(values["kind"]), "state": ClaimState(values["state"])}
    values["subnets"] = tuple(_text(one) for one in values["subnets"])
    for name, value in values.items():
        if name != "subnets":
            _text(value)
    return Member(**values)


def write(path: Path, inventory: Inventory) -> None:
    """Replace the file, so that a reader finds the old one or the new one, whole, also after a crash.

    :raises OSError: it cannot be written; the old one stands.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the umask is: its readers are other users
            file.write(inventory.to_json())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


class Reader:
    """Reads the inventory whenever it has changed; keeps the last good one."""

    def __init__(self, path: Path, cluster: str = "") -> None:
        """:param cluster: the only cluster whose inventory is believed; empty: the first one that is read."""
        self._path, self._cluster = path, cluster
        self._seen: tuple[int, int, int] | None = None
        self._last: Inventory | None = None
        #: why the file as it is now is not believed; empty when it is
        self.trouble = ""

    def read(self) -> Inventory:
        """Return the inventory as it is now; where that cannot be told, the last good one.

        :raises ConfigError: there never was a good one.
        """
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen != self._seen:
                inventory = Inventory.from_json(self._path.read_text(encoding="utf-8"))
                if self._cluster and inventory.cluster != self._cluster:
                    raise ValueError(f"it is of cluster {inventory.cluster}, not of {self._cluster}")
                self._cluster, self._last, self._seen, self.trouble = inventory.cluster, inventory, seen, ""
        except (OSError, ValueError) as error:
            self.trouble = f"{self._path}: {error}"
        if self._last is None:
            raise ConfigError(f"no inventory yet: {self.trouble}")
        return self._last
