"""Kinds of values that have to do with networks, accounts and shared folders; made as those of :mod:`.fields`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from clues.config.fields import Words, as_list, as_name, as_path
from clues.config.mistakes import show


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port; port 0 is the one that is usual there."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


def _network(value: object) -> str:
    """Read a private range in CIDR form."""
    text = as_name(value)
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{show(text)} is not a network: write it as 10.77.0.0/16, with its first address") from None
    return str(network)


def _endpoint(*, port_needed: bool) -> Callable[[object], Endpoint]:
    how = "write host:port, such as 10.77.0.1:8443"

    def check(value: object) -> Endpoint:
        if isinstance(value, Endpoint):
            return value
        text = as_name(value)
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@\s]+))(?::([0-9]{1,5}))?", text)
        if match is None or (port_needed and match[3] is None) or int(match[3] or 0) > 65535:
            raise ValueError(f"{show(text)} is not an address: {how}")
        if match[1]:
            try:
                ipaddress.IPv6Address(match[1])
            except ValueError:
                raise ValueError(f"{show(text)} is not an address: {how}") from None
        else:
            _host(match[2])
        return Endpoint(match[1] or match[2], int(match[3] or 0))

    return check


def _listen(value: object) -> Endpoint:
    endpoint = _endpoint(port_needed=True)(value)
    if not endpoint.port:
        raise ValueError("port 0 is none that a VM could be told: write the port, such as 0.0.0.0:8443")
    return endpoint


def _host(value: object) -> str:
    text = as_name(value)
    label = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if not re.fullmatch(rf"{label}(?:\.{label})*\.?", text):
        raise ValueError(f"{show(text)} is not the name or address of a host")
    if re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            raise ValueError(f"{show(text)} is not an IPv4 address") from None
    return text


def _uids(value: object) -> tuple[int, int]:
    """Read a range of user ids: ``1000-59999``. No system account is ever in it."""
    match = re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"found {show(value)}: write the first and the last user id: 1000-59999")
    first, last = int(match[1]), int(match[2])
    if not 500 <= first <= last < 2**32 - 2:
        raise ValueError(f"{first}-{last}: it begins at 500 or above (below are system accounts) and rises")
    return first, last


def _exported(value: object) -> Path:
    path = as_path(value)
    if path == Path("/") or not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", str(path)):
        raise ValueError(f"{show(str(path))} cannot be shared: a folder below /, of letters, digits and . _ - only")
    return path


def _mount_options(value: object) -> str:
    text = as_name(value)
    if not re.fullmatch(r"[A-Za-z0-9_]+(=[A-Za-z0-9_.:/-]+)?(,[A-Za-z0-9_]+(=[A-Za-z0-9_.:/-]+)?)*", text):
        raise ValueError(f"{show(text)} are no options: write them as mount(8) takes them: hard,nconnect=4")
    for word in text.split(","):
        if word in {"suid", "dev", "user", "users", "owner", "group", "remount", "bind"}:
            raise ValueError(f"{word} is not allowed here: every share is mounted nosuid and nodev")
    return text


Network = Annotated[str, BeforeValidator(_network), Words("network: `10.77.0.0/16`")]
Networks = Annotated[tuple[Network, ...], BeforeValidator(as_list), Words("network, or a list of them")]
Host = Annotated[str, BeforeValidator(_host), Words("name or address of a host")]
Listen = Annotated[Endpoint, BeforeValidator(_listen), Words("`host:port`")]
Address = Annotated[Endpoint, BeforeValidator(_endpoint(port_needed=False)), Words("`host` or `host:port`")]
Uids = Annotated[tuple[int, int], BeforeValidator(_uids), Words("first and last user id: `1000-59999`")]
Exported = Annotated[Path, BeforeValidator(_exported), Words("absolute path")]
MountOptions = Annotated[str, BeforeValidator(_mount_options), Words("options of mount(8)")]
