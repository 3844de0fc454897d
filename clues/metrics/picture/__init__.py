"""The families of metrics that are read from the picture of the last tick, one file for each part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from clues.api.lens import Lens
from clues.metrics.picture import health, money, overlay, queue, supply

#: Each yields the families of one part.
PARTS: tuple[Callable[[Lens], Iterator[Metric]], ...] = (
    supply.families,
    queue.families,
    money.families,
    overlay.families,
    health.families,
)


def families(lens: Lens) -> Iterator[Metric]:
    """Go through all families of a picture."""
    for part in PARTS:
        yield from part(lens)
