"""A limit to what a request may send: the longest order, 65,536 node names, fits well below it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 4 * 1024 * 1024


class BodyLimit:
    """Middleware that ends a request when more than :data:`MOST_BYTES` of body have come, whatever was
    announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES:
                # Raised where the application reads, so that it answers in its usual form.
                raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes")
            return message

        await self._app(scope, counted, send)
