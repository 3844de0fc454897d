"""What every answer carries, and which requests of browsers are not answered at all.

A sysadmin may bring the socket to a port of their own machine (``ssh -L``). From then on any page that their browser
shows could try to reach it: by a name that it makes resolve to that port, or by a form that it sends there. So the host
that is asked for has to be this machine, and what acts has to come from the page itself.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clues.api import wire
from clues.api.problems import answer

_TOKEN_IN_URL = re.compile(rb"(^|[&;])(access|id|bearer)?_?token=", re.IGNORECASE)
_HERE = frozenset({"localhost", "127.0.0.1", "::1", ""})

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware that refuses strangers' pages and adds :data:`HEADERS`."""

    def __init__(self, app: ASGIApp, any_host: bool = False) -> None:
        """:param any_host: callers show a token, which no page of a stranger has: by what name they come is all one."""
        self._app, self._any_host = app, any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless a page of somebody else's sends it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        why = stranger(Headers(scope=scope), self._any_host)
        if _TOKEN_IN_URL.search(scope.get("query_string", b"")):
            text = "a token in a URL ends up in logs and histories: send it as Authorization: Bearer"
            await answer(wire.Problem(title="Token in the URL", status=400, detail=text))(scope, receive, send)
            return
        if why:
            await answer(wire.Problem(title="Not permitted", status=403, detail=why))(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


def stranger(headers: Headers, any_host: bool = False) -> str:
    """Return why a request with these headers comes from a page that is not ours; empty: it does not."""
    host = headers.get("host", "")
    if not any_host and _name(host) not in _HERE:
        return "this is asked for by another host's name: use localhost"
    origin = headers.get("origin", "")
    if origin and urlsplit(origin).netloc != host:
        return f"a page of {origin[:100]} may not use this"
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "another site's page may not use this"
    return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return "?"
