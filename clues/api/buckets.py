"""Token buckets: so many calls a second for each caller, and some more at once. Pure: the time comes as an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

#: Callers that are remembered; one who is forgotten finds a full bucket, so nobody gains by being one of very many.
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is allowed."""

    #: calls a second, in the long run
    per_second: float
    #: calls at once
    burst: int


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Buckets:
    """One bucket for each name."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def use(self, rate: Rate) -> None:
        """Allow as much from now on; what each has left stands, as far as it fits."""
        self._rate = rate

    def take(self, name: str, now: float) -> float:
        """Take one token and return 0, or return in how many seconds there is one.

        :param now: monotonic seconds.
        """
        bucket = self._filled(name, now)
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / self._rate.per_second

    def left(self, name: str, now: float) -> float:
        """Return how many tokens there are."""
        return self._filled(name, now).tokens

    def _filled(self, name: str, now: float) -> _Bucket:
        rate = self._rate
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(rate.burst, now)
            if len(self._buckets) > _MOST:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        bucket.tokens = min(float(rate.burst), bucket.tokens + max(0.0, now - bucket.at) * rate.per_second)
        bucket.at = now
        return bucket
