"""What one node can hold: the most valuable filling, proven, and all maximal fillings where there are few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

Vector = tuple[int, int, int]
Pattern = tuple[int, ...]


def best_filling(size: Vector, needs: Sequence[Vector], values: Sequence[float]) -> tuple[float, Pattern]:
    """Return the most valuable filling of a node, any number of each allowed: dynamic programming over CPUs, for all
    amounts of memory and GPUs at once.  Every need has at least one CPU."""
    cpus, gib, gpus = size
    wanted = [
        (index, need)
        for index, need in enumerate(needs)
        if values[index] > 1e-12 and all(have >= more for have, more in zip(size, need, strict=True))
    ]
    best = np.zeros((cpus + 1, gib + 1, gpus + 1))
    for used in range(1, cpus + 1):
        layer = best[used]
        layer[...] = best[used - 1]
        for index, (c, m, g) in wanted:
            if c <= used:
                part = layer[m:, g:]
                np.maximum(part, best[used - c, : gib + 1 - m, : gpus + 1 - g] + values[index], out=part)
    counts = [0] * len(needs)
    c, m, g = size
    while best[c, m, g] > 1e-12:
        if c and best[c - 1, m, g] >= best[c, m, g] - 1e-12:
            c -= 1
            continue
        for index, (dc, dm, dg) in wanted:
            if dc <= c and dm <= m and dg <= g:
                before = best[c - dc, m - dm, g - dg]
                if abs(before + values[index] - best[c, m, g]) < 1e-9:
                    counts[index] += 1
                    c, m, g = c - dc, m - dm, g - dg
                    break
        else:  # pragma: no cover
            raise AssertionError("the way back was lost")
    return float(best[size]), tuple(counts)


def all_fillings(size: Vector, needs: Sequence[Vector], most: Sequence[int], limit: int) -> list[Pattern] | None:
    """Return every maximal filling with at most so many of each; None when there are more than *limit*."""
    found: list[Pattern] = []
    for filling in _maximal(size, needs, most):
        found.append(filling)
        if len(found) > limit:
            return None
    return found


def _maximal(size: Vector, needs: Sequence[Vector], most: Sequence[int]) -> Iterator[Pattern]:
    counts = [0] * len(needs)

    def walk(index: int, free: Vector) -> Iterator[Pattern]:
        if index == len(needs):
            for other, need in enumerate(needs):
                if counts[other] < most[other] and all(map(int.__le__, need, free)):
                    return
            yield tuple(counts)
            return
        need = needs[index]
        fit = min([most[index], *(have // want for have, want in zip(free, need, strict=True) if want)])
        for count in range(fit, -1, -1):
            counts[index] = count
            yield from walk(
                index + 1, (free[0] - need[0] * count, free[1] - need[1] * count, free[2] - need[2] * count)
            )
        counts[index] = 0

    yield from walk(0, size)
