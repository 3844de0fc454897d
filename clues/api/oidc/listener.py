"""The API for other machines: one TCP socket, TLS from 1.2 on, and a token with every request.

It follows the configuration: a new certificate or a new issuer is taken up without a connection being cut, another
address means a new socket, which is there before the old one goes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from clues.api.oidc.discovery import fetcher
from clues.api.oidc.keys import KeyCache
from clues.api.oidc.verifier import Verifier
from clues.api.serving import Serving
from clues.config.api_values import Listening, Oidc
from clues.config.network_fields import Endpoint
from clues.errors import ConfigError

_BACKLOG = 128
#: A connection that has sent no whole request by then is closed: it needs no token to be opened.
_PATIENCE_SECONDS = 10.0


class TcpProtocol(H11Protocol):
    """uvicorn's HTTP, which would wait for ever for the end of a first request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(_PATIENCE_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._patience.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if getattr(self, "cycle", None) is None:  # none has begun
            self.transport.close()


class Listener:
    """The API over TCP, while the configuration wants it."""

    def __init__(self, make: Callable[[Callable[[], Verifier], Event], FastAPI]) -> None:
        """:param make: makes the app, from what gives the verifier in use and what says that it stops."""
        self._make = make
        self._now: Listening | None = None
        self._verifier: Verifier | None = None
        self._context: ssl.SSLContext | None = None
        self._serving: tuple[Serving, Event] | None = None

    def use(self, listening: Listening | None) -> None:
        """Listen so from now on, None: not at all.

        :raises ConfigError: it cannot be done; what was before still is.
        """
        if listening is None:
            self.stop()
            return
        before = self._now
        context = _context(listening)
        same = before is not None and before.endpoint == listening.endpoint
        if same and self._context is not None and context is not None and listening.certificate is not None:
            _load(self._context, listening)  # the next connection has the new certificate
        elif same and self._context is None and context is None:
            pass
        else:
            if same:
                self.stop()
            self._begin(listening, context)
        if before is None or before.oidc != listening.oidc or self._verifier is None:
            self._verifier = make_verifier(listening.oidc)
        self._now = listening

    def stop(self) -> None:
        """Answer nobody any more."""
        serving, self._serving, self._now, self._context = self._serving, None, None, None
        if serving is not None:
            serving[1].set()
            serving[0].stop()

    def _begin(self, listening: Listening, context: ssl.SSLContext | None) -> None:
        stopping, before = Event(), self._serving
        self._verifier = make_verifier(listening.oidc)
        serving = Serving(self._make(self._in_use, stopping), TcpProtocol, name="api over TCP", context=context)
        if not serving.start(_bind(listening.endpoint)):
            serving.stop()
            raise ConfigError(f"api.listen: {listening.endpoint}: the API did not start; the log tells more")
        self._serving, self._context = (serving, stopping), context
        if before is not None:
            before[1].set()
            before[0].stop()

    def _in_use(self) -> Verifier:
        if self._verifier is None:
            raise RuntimeError("a request before there is a verifier")
        return self._verifier


def make_verifier(oidc: Oidc) -> Verifier:
    """Return what checks tokens as the configuration says."""
    keys = KeyCache(fetcher(oidc), time.monotonic, oidc.refresh.total_seconds())
    return Verifier(oidc, keys, time.time)


def _bind(endpoint: Endpoint) -> socket.socket:
    try:
        return socket.create_server(
            (endpoint.host, endpoint.port),
            family=socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise ConfigError(
            f"api.listen: {endpoint} cannot be listened on ({error.strerror or error}); give another address or port"
        ) from error


def _context(listening: Listening) -> ssl.SSLContext | None:
    if listening.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(context, listening)
    return context


def _load(context: ssl.SSLContext, listening: Listening) -> None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY") or "/etc/clues/credentials"
    key = Path(listening.key) if "/" in listening.key else Path(folder) / listening.key
    try:
        if key.stat().st_mode & 0o007:
            raise ConfigError(f"api.key_file: {key} can be read by everybody: `chmod 600 {key}`, and make a new key")
        context.load_cert_chain(str(listening.certificate), key)
    except (OSError, ssl.SSLError) as error:  # an error of a file does not say which
        raise ConfigError(
            f"api: the certificate {listening.certificate} and the key {key} cannot be used ({error}): both as PEM, "
            "belonging together, readable for cluesd, the key not protected by a password"
        ) from error
