"""One libcloud driver for each thread: a driver's connection holds the state of its request, so it cannot be shared.

libcloud's own retry is kept off: it was seen to send one RunInstances four times after a connection reset. It can be
switched on from outside by a variable of the environment, which is therefore taken out of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import libcloud.common.base

from connectors.common.http import BoundedConnection

D = TypeVar("D")

_RETRY = "LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS"


class Drivers(Generic[D]):
    """Makes a driver for a thread that has none yet."""

    def __init__(self, make: Callable[[], D]) -> None:
        """:param make: makes a driver, with credentials read anew; may raise what the provider's table knows."""
        self._make = make
        self._mine = threading.local()
        #: raised by :meth:`renew`: drivers of an earlier count are made anew
        self._count = 0

    def get(self) -> D:
        """Return this thread's driver."""
        count = self._count
        if getattr(self._mine, "count", None) != count:
            os.environ.pop(_RETRY, None)
            libcloud.common.base.RETRY_FAILED_HTTP_REQUESTS = False
            self._mine.driver, self._mine.count = self._make(), count
        driver: D = self._mine.driver
        return driver

    def renew(self) -> None:
        """Let every thread make a new driver before its next call: credentials or a token were refused."""
        self._count += 1


def bound(connection: Any, timeout: float) -> None:
    """Have a libcloud connection, made or yet to be made, wait *timeout* seconds at most for each piece of a reply, and
    keep its replies bounded."""
    connection.timeout = timeout
    connection.conn_class = BoundedConnection
    connection.connection = None  # made anew, with these, at the next request
