"""Who calls, whichever way they came: the kernel's word on a socket, a verified token's over TCP."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from clues.api.peer import name_of, uid_of

#: Where the scope of a request says who sent it, if a token told.
CALLER = "clues.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known."""

    #: for people
    name: str
    #: what never changes of them: whose limits and idempotency keys they are
    identity: str
    #: ``socket`` or ``token``
    way: str
    #: whose eyes they see with; None: they see, and may do, everything
    eyes: str | None = None


def nobody(address: str = "") -> Caller:
    """Return who came by TCP without a token that is good."""
    return Caller(f"nobody at {address}", "", "token", "nobody at all")


def who(request: HTTPConnection) -> Caller:
    """Return who sends a request; on a socket only its name is told, what they may see is the socket's."""
    told = request.scope.get(CALLER)
    if isinstance(told, Caller):
        return told
    uid = uid_of(request)
    return Caller(name_of(uid) if uid >= 0 else "unknown", f"uid {uid}", "socket")


def token_eyes(request: HTTPConnection) -> str | None:
    """Return with whose eyes the owner of a token looks; None: they may see, and do, everything."""
    told = request.scope.get(CALLER)
    return told.eyes if isinstance(told, Caller) else nobody().eyes
