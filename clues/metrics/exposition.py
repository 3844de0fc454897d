"""How the metrics are read: as text, on the API's socket and, where that is configured, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from clues.api.lens import Lens
from clues.config import Endpoint
from clues.errors import ConfigError
from clues.metrics.meter import Meter
from clues.metrics.picture import families
from clues.metrics.picture.health import standing
from clues.model import Published


class Exposition:
    """Everything that Prometheus may read of one daemon."""

    def __init__(self, published: Callable[[], Published | None], now: Callable[[], datetime]) -> None:
        """:param published: gives the picture of the last tick, None before the first."""
        self._published, self._now = published, now
        #: of a front-end that stands by: how many troubles it has
        self.standing_by: Callable[[], int] | None = None
        self._registry = CollectorRegistry()
        self.meter = Meter(self._registry)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(self)
        self._endpoint: Endpoint | None = None
        self._server: tuple[WSGIServer, Thread] | None = None

    def collect(self) -> Iterator[Metric]:
        """Go through the families of the present picture, as the registry asks for them."""
        published = self._published()
        if published is not None:
            yield from families(Lens.of(published, self._now()))
        elif self.standing_by is not None:
            yield from standing(active=False, troubles=self.standing_by())

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics, with their content type, in the form that a caller's ``Accept`` header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def listen(self, endpoint: Endpoint | None) -> None:
        """Serve ``/metrics`` over HTTP at *endpoint* from now on, and nowhere else; None: nowhere.

        :raises ConfigError: it cannot be listened on; what was served before still is.
        """
        if endpoint == self._endpoint:
            return
        fresh = None if endpoint is None else self._serve(endpoint)
        self.stop()
        self._endpoint, self._server = endpoint, fresh

    def stop(self) -> None:
        """Serve nobody any more."""
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()
        self._endpoint = self._server = None

    def _serve(self, endpoint: Endpoint) -> tuple[WSGIServer, Thread]:
        try:
            return start_http_server(endpoint.port, endpoint.host, self._registry)
        except OSError as error:
            raise ConfigError(
                f"metrics.listen: {endpoint} cannot be listened on ({error}); give another address or port"
            ) from error
