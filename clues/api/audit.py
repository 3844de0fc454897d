"""Attempts that came to nothing, for the audit log; what succeeds is written with its effect (:mod:`.ordering`).

Written down is what would have acted and was refused, and whatever was asked for by somebody who may not. Who tries
very often fills no disk: their attempts are counted, and the next one that is written says how many there were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clues.api import problems, records, wire_records
from clues.api.buckets import Buckets, Rate
from clues.api.codec import printable
from clues.api.cursors import Cursor, cursor_of, make_cursor
from clues.api.lens import utc
from clues.api.records_routes import When
from clues.api.respond import as_json
from clues.api.watching import Pictures
from clues.api.who import who
from clues.model import Deed, LoggedDeed
from clues.planner.money.periods import zone_named
from clues.ports import Control

#: What changes nothing, whoever sends it.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 500
#: One a second of each caller is written in the long run.
_RATE = Rate(1.0, 30)
#: How long the log is kept, by :mod:`clues.ledger.orders`.
_KEPT = timedelta(days=400)


class Audit:
    """Middleware that has refused attempts written down."""

    def __init__(self, app: ASGIApp, record: Callable[[Deed], None]) -> None:
        self._app, self._record = app, record
        self._buckets, self._left_out = Buckets(_RATE), dict[str, int]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._look(scope, message["status"])
            await send(message)

        await self._app(scope, receive, seen)

    def _look(self, scope: Scope, status: int) -> None:
        if status < 400 or (scope["method"] in _SAFE and status not in (401, 403)):
            return
        caller = who(HTTPConnection(scope))
        name = caller.identity  # all whom nobody knows have one bucket: addresses are cheap
        if self._buckets.take(name, time.monotonic()):
            self._left_out[name] = self._left_out.get(name, 0) + 1
            return
        more = self._left_out.pop(name, 0)
        detail = str(scope.get(problems.WHY, ""))[:_LONGEST] + (f" ({more} more were not written)" if more else "")
        act = printable(f"{scope['method']} {scope['path']}"[:_LONGEST])
        self._record(Deed(caller.name, caller.identity, caller.way, act, "", status, printable(detail)))


def make_audit(control: Control, pictures: Pictures, now: Callable[[], datetime]) -> APIRouter:
    """Return the route that reads the log."""
    routes = APIRouter()

    @routes.get(
        "/audit", response_model=wire_records.AuditList, summary="Who did what, and who tried in vain, the latest first"
    )
    def read(
        since: When = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Cursor = "",
    ) -> Response:
        zone = zone_named(pictures.lens().published.settings.budgets.time_zone)
        try:
            begin = records.moment(since, zone) if since else now() - _KEPT
        except records.NoSuchTime as error:
            raise problems.refuse(400, "Not a time", str(error)) from error
        found = control.deeds(begin, cursor_of("audit", cursor), limit + 1)
        return as_json(deeds(found, limit))

    return routes


def deeds(found: Sequence[LoggedDeed], limit: int) -> wire_records.AuditList:
    """Return as many as are wanted, and where the older ones begin."""
    shown = found[:limit]
    return wire_records.AuditList(
        tuple([_view(one) for one in shown]), make_cursor("audit", shown[-1].id) if len(found) > limit else ""
    )


def _view(one: LoggedDeed) -> wire_records.DeedView:
    deed = one.deed
    result = "done" if deed.status < 400 else "refused" if deed.status < 500 else "failed"
    return wire_records.DeedView(
        one.id, utc(one.at), deed.who, deed.identity, deed.way, deed.act, deed.target, result, deed.status, deed.detail
    )
