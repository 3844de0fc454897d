"""How much each caller may ask: calls a second, and streams at once, over all ways in together.

Metrics are not counted, so that nobody's scripts leave the monitoring blind; a stream is one call however long it
lasts, so what is bounded is how many there are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from threading import Lock

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from clues.api import problems, wire
from clues.api.buckets import Buckets, Rate
from clues.api.who import who

_NOT_COUNTED = frozenset({"/metrics", "/v1/stream"})


class Limiter:
    """What all callers have asked lately. Any thread."""

    def __init__(self, rate: Rate, streams: int, now: Callable[[], float] = time.monotonic) -> None:
        """:param streams: that one caller may have open."""
        self._buckets, self._most, self._now = Buckets(rate), streams, now
        self._open: dict[str, int] = {}
        self._lock = Lock()

    def use(self, rate: Rate, streams: int) -> None:
        """Allow as much from now on; streams that are open stay so."""
        with self._lock:
            self._buckets.use(rate)
            self._most = streams

    def take(self, identity: str) -> float:
        """Count a call and return 0, or return in how many seconds it may be made."""
        with self._lock:
            return self._buckets.take(identity, self._now())

    def begin_stream(self, identity: str) -> None:
        """Count a stream that begins.

        :raises clues.api.problems.Refusal: the caller has as many as one may have.
        """
        with self._lock:
            count = self._open.get(identity, 0)
            if count >= self._most:
                text = f"you follow the cluster {count} times already: api.streams in clues.yaml says how often one may"
                raise problems.refuse(429, "Too many streams", text)
            self._open[identity] = count + 1

    def end_stream(self, identity: str) -> None:
        """Count a stream that has ended."""
        with self._lock:
            self._open[identity] -= 1
            if not self._open[identity]:
                del self._open[identity]


class RateLimit:
    """Middleware that refuses whoever asks too often."""

    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self._app, self._limiter = app, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, if it is its time."""
        if scope["type"] == "http" and scope["path"] not in _NOT_COUNTED:
            request = HTTPConnection(scope)
            wait = self._limiter.take(who(request).identity)
            if wait:
                seconds = str(math.ceil(wait))
                text = f"too many calls: come again in {seconds} s, or ask less often (api.rate in clues.yaml)"
                problem = wire.Problem(title="Too many calls", status=429, detail=text)
                await problems.answer(problem, request, {"Retry-After": seconds})(scope, receive, send)
                return
        await self._app(scope, receive, send)
