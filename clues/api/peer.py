"""Who calls: the kernel's word for the process at the other end of the UNIX socket.

A header could claim anything; the credentials of the peer (``SO_PEERCRED``, ``SO_PEERGROUPS``) cannot be forged. They
are read when the connection is made and take the place of the client's address, which a UNIX socket does not have.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from functools import lru_cache

from starlette.requests import HTTPConnection
from uvicorn.protocols.http.h11_impl import H11Protocol

_UCRED = struct.Struct("3i")  # pid, uid, gid
_GID = struct.Struct("I")
#: ``SO_PEERGROUPS`` of Linux 4.13, which Python does not name
_SO_PEERGROUPS = 59
#: Python asks the kernel for no more than 1024 bytes
_MOST_GROUPS = 256


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP with the peer's (``uid:gid,gid,...``, pid) as the client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the peer's credentials."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        pid, uid, gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        groups = ",".join(str(one) for one in sorted({gid, *_groups(peer, uid, gid)}))
        self.client = (f"{uid}:{groups}", pid)


def _groups(peer: socket.socket, uid: int, gid: int) -> list[int]:
    """Return the supplementary groups of a process; for one in very many, those that its user has by the directory."""
    try:
        raw = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GID.size * _MOST_GROUPS)
    except OSError:
        try:
            return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
        except KeyError:
            return []
    return [one for (one,) in _GID.iter_unpack(raw)]


def uid_of(request: HTTPConnection) -> int:
    """Return the user id of who calls; -1 where nobody is known."""
    uid = request.client.host.partition(":")[0] if request.client else ""
    return int(uid) if uid.isdecimal() else -1


def groups_of(request: HTTPConnection) -> frozenset[int]:
    """Return the groups of who calls."""
    told = request.client.host.partition(":")[2] if request.client else ""
    return frozenset(int(one) for one in told.split(",") if one)


@lru_cache(maxsize=256)
def name_of(uid: int) -> str:
    """Return the user's name, or ``uid 1234`` for one who has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
