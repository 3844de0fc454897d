"""The API for other machines, as the configuration has it now; what it takes is loaded only where that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from clues.api.buckets import Rate
from clues.api.limiter import Limiter
from clues.config.api_values import Api
from clues.errors import ConfigError

if TYPE_CHECKING:
    from clues.api.oidc.listener import Listener
    from clues.api.oidc.verifier import Verifier

log = logging.getLogger(__name__)


class Outside:
    """Whether, where and for whom the API listens. One thread at a time."""

    def __init__(
        self, api: Api, make: Callable[..., FastAPI], limiter: Limiter, trouble: Callable[[str, str], None]
    ) -> None:
        """
        :param make: :func:`clues.api.app.make_app`, but for its door and what stops it.
        :param trouble: shows something that a sysadmin has to see to, by its name.
        """
        self._api, self._make, self._limiter, self._trouble = api, make, limiter, trouble
        self._listener: Listener | None = None

    def begin(self) -> None:
        """Listen, if that is wanted; where it cannot be done that is shown, and the sockets serve on."""
        try:
            self.use(self._api)
        except ConfigError as error:
            log.error("the API does not listen for other machines: %s", error)
            self._trouble("api", f"the API does not listen for other machines: {error}")

    def use(self, api: Api) -> None:
        """Take up a new configuration.

        :raises ConfigError: it cannot be listened so; what was before still is.
        """
        if self._listener is None and api.listening is not None:
            from clues.api.oidc.listener import Listener

            self._listener = Listener(self._app)
        if self._listener is not None:
            self._listener.use(api.listening)
        self._limiter.use(Rate(api.rate, api.burst), api.streams)
        self._trouble("api", "")

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._listener is not None:
            self._listener.stop()

    def _app(self, verifier: Callable[[], Verifier], stopping: Event) -> FastAPI:
        from clues.api.oidc.door import TokenDoor

        door: Any = partial(TokenDoor, verifier=verifier)
        return self._make(door=door, stopping=stopping)
