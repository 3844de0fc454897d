"""What stands before every request that comes by TCP: without a good token there is no answer but why."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from clues.api import problems, wire
from clues.api.buckets import Buckets, Rate
from clues.api.oidc.keys import Unreachable
from clues.api.oidc.roles import caller_of
from clues.api.oidc.verifier import BadToken, ScopeMissing, Verifier
from clues.api.who import CALLER, Caller, nobody

#: So many tokens that are not good are looked at from one address: each costs a signature's check.
_BAD_TOKENS = Rate(5.0, 50)


class TokenDoor:
    """Middleware that lets in who has a token that is good and gives a role."""

    def __init__(self, app: ASGIApp, verifier: Callable[[], Verifier]) -> None:
        """:param verifier: gives the one in use; a new configuration brings another."""
        self._app, self._verifier = app, verifier
        self._bad = Buckets(_BAD_TOKENS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with who sends it."""
        if scope["type"] != "http":
            return  # nothing else is spoken here
        address = scope["client"][0] if scope.get("client") else ""
        scope[CALLER] = nobody(address)
        found, refused = await run_in_threadpool(self._look, Headers(scope=scope), address)
        if found is None:
            await problems.answer(refused, HTTPConnection(scope), _headers(refused))(scope, receive, send)
            return
        scope[CALLER] = found
        await self._app(scope, receive, send)

    def _look(self, headers: Headers, address: str) -> tuple[Caller | None, wire.Problem]:
        now = time.monotonic()
        if self._bad.left(address, now) < 1:
            return None, wire.Problem(title="Too many tokens that are not good", status=429)
        try:
            return self._known(headers)
        except Unreachable as error:
            return None, wire.Problem(title="The issuer cannot be asked", status=503, detail=str(error))
        except BadToken as error:
            self._bad.take(address, now)
            return None, wire.Problem(title="Not a good token", status=401, detail=str(error))
        except ScopeMissing as error:
            return None, wire.Problem(title="Not permitted", status=403, detail=str(error))

    def _known(self, headers: Headers) -> tuple[Caller | None, wire.Problem]:
        told = headers.getlist("authorization")
        if len(told) != 1:
            return None, wire.Problem(title="A token is needed", status=401, detail="send Authorization: Bearer TOKEN")
        kind, _, token = told[0].partition(" ")
        if kind.lower() != "bearer" or not token or not token.isascii():
            return None, wire.Problem(title="A token is needed", status=401, detail="send Authorization: Bearer TOKEN")
        verifier = self._verifier()
        caller = caller_of(verifier.claims(token.strip()), verifier.oidc)
        detail = "" if caller else "no claim of this token gives a role here: api.oidc.roles in clues.yaml"
        return caller, wire.Problem(title="Not permitted", status=403, detail=detail)


def _headers(refused: wire.Problem) -> dict[str, str]:
    """Return what RFC 6750 has a refusal say."""
    error = {401: ' error="invalid_token"', 403: ' error="insufficient_scope"'}.get(refused.status)
    if refused.title == "A token is needed":
        error = ""
    return {"WWW-Authenticate": f'Bearer realm="clues"{"," if error else ""}{error}'} if error is not None else {}
