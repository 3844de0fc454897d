"""A thread that serves the API on a socket that listens already, whatever kind of socket that is."""

from __future__ import annotations

import socket
import ssl
import time
from threading import Thread

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

LONGEST_START_SECONDS = 10.0
LONGEST_STOP_SECONDS = 5.0


class Serving:
    """Serves between :meth:`start` and :meth:`stop`."""

    def __init__(
        self, app: FastAPI, protocol: type[H11Protocol], *, name: str, context: ssl.SSLContext | None = None
    ) -> None:
        """:param context: what TLS is spoken with; None: none is."""
        self._name = name
        config = uvicorn.Config(
            app,
            http=protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # A header must not say who calls.
            proxy_headers=False,
            limit_concurrency=200,
            # GET /v1/nodes with many names
            h11_max_incomplete_event_size=256 * 1024,
            timeout_graceful_shutdown=2,
            ssl_context_factory=None if context is None else lambda *_: context,
        )
        self._server = uvicorn.Server(config)
        self._thread: Thread | None = None

    def start(self, listener: socket.socket) -> bool:
        """Serve; return whether requests are answered now."""
        self._thread = Thread(target=self._server.run, args=([listener],), name=self._name, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def stop(self) -> None:
        """Answer nobody any more; a second call does nothing."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(LONGEST_STOP_SECONDS)
            if self._thread.is_alive():
                self._server.force_exit = True
                self._thread.join(LONGEST_STOP_SECONDS)
            self._thread = None
