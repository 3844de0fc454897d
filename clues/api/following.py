"""The routes of ``/v1`` for who wants to know what changes, and what was: ``/stream`` and ``/history``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore, Event
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from clues.api import privacy, problems, stream, views, wire_page
from clues.api.cursors import Cursor, cursor_of, make_cursor
from clues.api.feeds import Feeds
from clues.api.limiter import Limiter
from clues.api.respond import as_json
from clues.api.watching import Pictures
from clues.api.who import who
from clues.ports import Control

#: Each event's data is a `Change`, as JSON in one line.
_EVENTS: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
#: What the cursor of the history is counted from.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def make_following(
    control: Control,
    pictures: Pictures,
    eyes: privacy.Eyes,
    stopping: Event,
    now: Callable[[], datetime],
    limiter: Limiter,
) -> APIRouter:
    """Return the routes over *control*; who follows sees what *eyes* allow, until *stopping* is set."""
    routes = APIRouter()
    listeners, feeds = BoundedSemaphore(stream.MOST_LISTENERS), Feeds(control, pictures)

    @routes.get(
        "/stream",
        response_class=StreamingResponse,
        responses={200: {"content": _EVENTS}},
        summary="Server-sent events: the whole picture once, then what changes",
    )
    async def follow(request: Request) -> StreamingResponse:
        if not listeners.acquire(blocking=False):
            raise problems.refuse(503, "Not now", f"{stream.MOST_LISTENERS} follow the cluster already")
        user, identity = eyes(request), who(request).identity
        try:
            limiter.begin_stream(identity)
        except problems.Refusal:
            listeners.release()
            raise

        def feed() -> stream.Feed:
            return feeds.of(user)

        def ticks() -> int:
            published = control.published()
            return -1 if published is None else published.ticks

        async def told() -> AsyncIterator[bytes]:
            try:
                async for change in stream.changes(feed, ticks, stopping):
                    yield change
            finally:
                limiter.end_stream(identity)
                listeners.release()

        return StreamingResponse(told(), media_type="text/event-stream")

    @routes.get("/history", response_model=wire_page.HistoryList, summary="The cluster in numbers, minute by minute")
    def history(
        hours: Annotated[float, Query(gt=0, le=192, description="how far to look back")] = 24.0,
        limit: Annotated[int, Query(ge=1, le=12_000, description="most moments, the first ones")] = 3000,
        cursor: Cursor = "",
    ) -> Response:
        microseconds = cursor_of("history", cursor)
        since = _BEGINNING + timedelta(microseconds=microseconds + 1) if cursor else now() - timedelta(hours=hours)
        found = control.history(since, limit + 1)
        later = ""
        if len(found) > limit:
            later = make_cursor("history", (found[limit - 1].at - _BEGINNING) // timedelta(microseconds=1))
        return as_json(views.history(found[:limit], pictures.lens().published.settings.currency, later))

    return routes
