"""One call for several: what threads ask for at about the same time goes out together.

AWS counts calls, and takes a hundred ids in one of them as in any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

C = TypeVar("C")
A = TypeVar("A")


class _Batch(Generic[A]):
    def __init__(self) -> None:
        self.items: list[str] = []
        self.full, self.done = threading.Event(), threading.Event()
        self.answer: A | None = None
        self.error: BaseException | None = None


class Batches(Generic[C, A]):
    """Collects items; the first to come waits a moment for others, and makes the call for all of them."""

    def __init__(self, run: Callable[[C, list[str]], A], *, wait: float = 0.05, most: int = 100) -> None:
        """:param run: makes the call with the driver of the thread that it runs on; :param wait: seconds."""
        self._run, self._wait, self._most = run, wait, most
        self._lock = threading.Lock()
        self._open: _Batch[A] | None = None

    def ask(self, driver: C, item: str) -> tuple[A, int]:
        """Return the answer to the call that *item* went out with, and how many were in it.

        :raises BatchFailed: it failed; for all alike.
        """
        with self._lock:
            batch = self._open
            leads = batch is None
            if batch is None:
                batch = self._open = _Batch()
            batch.items.append(item)
            if len(batch.items) >= self._most:
                self._open = None
                batch.full.set()
        if leads:
            batch.full.wait(self._wait)
            self._send(driver, batch)
        batch.done.wait()
        items = len(set(batch.items))
        if batch.error is not None:
            raise BatchFailed(items) from batch.error
        return batch.answer, items  # type: ignore[return-value]

    def _send(self, driver: C, batch: _Batch[A]) -> None:
        with self._lock:
            if self._open is batch:
                self._open = None
        try:
            batch.answer = self._run(driver, list(dict.fromkeys(batch.items)))
        except BaseException as error:  # noqa: BLE001 - it belongs to all who wait
            batch.error = error
        finally:
            batch.done.set()


class BatchFailed(Exception):
    """A call for *items* together failed; its ``__cause__`` says how."""

    def __init__(self, items: int) -> None:
        super().__init__(f"a call for {items} failed")
        self.items = items
