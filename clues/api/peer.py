"""Who calls: the kernel's word for the process at the other end of the UNIX socket.

A header could claim anything; the credentials of the peer (``SO_PEERCRED``) cannot be forged. They are read
when the connection is made and take the place of the client's address, which a UNIX socket does not have.
"""

from __future__ import annotations

import asyncio
import pwd
import socket
import struct
from functools import lru_cache

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_UCRED = struct.Struct("3i")  # pid, uid, gid


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP with the peer's (uid, pid) as the client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the peer's credentials."""
        super().connection_made(transport)
        raw = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        self.client = (str(uid), pid)


def caller(request: Request) -> str:
    """Return the user's name, or ``uid 1234`` for one who has none here."""
    return _name_of(int(request.client.host)) if request.client else "unknown"


@lru_cache(maxsize=256)
def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
