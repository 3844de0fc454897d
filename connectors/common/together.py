"""Calls that can serve several askers at once, and keys that one thread at a time may work on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """One costly reading for all who ask at the same time.

    Whoever asks gets the result of a run that *began after* they asked, never an older one; so it may be trusted to
    show what was done before. Under load those who ask during a run wait for the next one, and share that.
    """

    def __init__(self, run: Callable[[], T]) -> None:
        self._run = run
        self._lock = threading.Condition()
        self._running = False
        self._begun = 0
        self._ended: tuple[int, T | None, BaseException | None] = (0, None, None)

    def get(self) -> T:
        """Return what a run that begins from now on finds, or raise what it raises."""
        with self._lock:
            mine = self._begun + 1
            while self._running and self._ended[0] < mine:
                self._lock.wait()
            if self._ended[0] >= mine:
                return self._outcome()
            self._running, self._begun = True, mine
        result, error = None, None
        try:
            result = self._run()
        except BaseException as raised:  # noqa: BLE001 - it belongs to all who wait
            error = raised
        with self._lock:
            self._running, self._ended = False, (mine, result, error)
            self._lock.notify_all()
            return self._outcome()

    def _outcome(self) -> T:
        _, result, error = self._ended
        if error is not None:
            raise error
        return result  # type: ignore[return-value]


class Keys:
    """A lock for each name, which exists while somebody holds or wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Run the body while nobody else holds *name*."""
        with self._lock:
            lock, users = self._held.get(name, (threading.Lock(), 0))
            self._held[name] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._held[name]
                if users > 1:
                    self._held[name] = (lock, users - 1)
                else:
                    del self._held[name]
