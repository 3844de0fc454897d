"""A world of front-ends that want one lease: clocks of their own rates, pauses at any step, a share that fails.

Every step of a front-end is one operation: a look (which may show an old listing), a rename (whose answer may be lost),
a check followed by an act. Between any two of them a front-end may stand still for as long as chance has it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Generator
from dataclasses import dataclass, field

from clues.standby.lease import Lease, Timing, Watch, may_act, may_take, read, seen

#: Clocks differ in rate by this share at most, to either side; both together stay below the margin of the protocol.
DRIFT = 0.1
TIMING = Timing(30.0)


@dataclass
class Share:
    """The file system's server: the truth, and what it was."""

    file: str = "lease.0"
    past: list[tuple[float, str]] = field(default_factory=lambda: [(0.0, "lease.0")])

    def rename(self, source: str, target: str, now: float) -> bool:
        if self.file != source:
            return False
        self.file = target
        self.past.append((now, target))
        return True

    def listing(self, at: float) -> list[str]:
        """What was there at a time: caches show the past."""
        return [next(name for since, name in reversed(self.past) if since <= at)]


@dataclass
class Act:
    """A moment at which one acted, and under which number it had asked."""

    at: float
    who: str
    number: int


class World:
    """Runs front-ends side by side until *until* seconds of true time."""

    def __init__(self, seed: int, *, front_ends: int = 2, until: float = 1500.0, timing: Timing = TIMING) -> None:
        self.chance = random.Random(seed)
        self.timing = timing
        self.share = Share()
        self.acts: list[Act] = []
        self.takeovers = 0
        self.now = 0.0
        names = [f"{number:016x}" for number in range(1, front_ends + 1)]
        #: from when to when the share answers a front-end nothing
        self.cut = {name: self._cuts(until) for name in names}
        # of two clocks one may be fast and the other slow
        self.rate = {name: 1 + self.chance.uniform(-DRIFT, DRIFT) for name in names}
        #: what each sees of the folder, as of when, until its cache is asked anew
        self.cached = dict.fromkeys(names, (0.0, 0.0))
        self.offset = {name: self.chance.uniform(0, 1e6) for name in names}
        queue: list[tuple[float, int, Generator[float, None, None]]] = []
        for number, name in enumerate(names):
            heapq.heappush(queue, (self.chance.uniform(0, 5), number, self.live(name)))
        while queue:
            self.now, number, process = heapq.heappop(queue)
            if self.now > until:
                break
            heapq.heappush(queue, (self.now + next(process), number, process))

    def _cuts(self, until: float) -> list[tuple[float, float]]:
        return [(at, at + self.chance.expovariate(1 / 50)) for at in (self.chance.uniform(0, until) for _ in range(6))]

    def reached(self, who: str) -> bool:
        return not any(begin <= self.now < end for begin, end in self.cut[who])

    def clock(self, who: str) -> float:
        return self.offset[who] + self.now * self.rate[who]

    def pause(self) -> float:
        """How long until the next step: mostly short, at times longer than any lease."""
        kind = self.chance.random()
        if kind < 0.003:
            return self.chance.uniform(1, 200)
        return self.chance.uniform(0, 0.5 if kind < 0.95 else 3)

    def look(self, who: str) -> tuple[Lease | None, str]:
        if not self.reached(who):
            return None, "no answer"
        since, until = self.cached[who]
        if self.now >= until:
            since = self.now
            self.cached[who] = (since, self.now + self.chance.choice((0,) * 20 + (3, 20, 60)))
        return read(self.share.listing(since))

    def rename(self, who: str, lease: Lease, to: Lease) -> bool | None:
        """Return True, False (not there), or None: nobody knows, whether it was done or not."""
        lost = not self.reached(who) or self.chance.random() < 0.02
        if lost and self.chance.random() < 0.5:
            return None
        done = self.share.rename(lease.file, to.file, self.now)
        return None if lost else done

    def live(self, who: str) -> Generator[float, None, None]:
        """One front-end: it waits, takes the lease, acts and renews, loses it, and waits again."""
        while True:
            watch = Watch()
            while True:
                lease, trouble = self.look(who)
                yield self.pause()
                watch = seen(watch, lease, trouble, self.clock(who))
                yield self.pause()
                began = self.clock(who)
                if watch.lease is not None and may_take(watch, who, began, self.timing):
                    yield self.pause()
                    after = watch.lease.next(who, "head")
                    if self.rename(who, watch.lease, after):
                        self.takeovers += watch.lease.holder not in (who, "")
                        break
                yield self.pause() + 1
            yield from self.hold(who, after, began)
            yield self.chance.uniform(1, 10)

    def hold(self, who: str, lease: Lease, renewed: float) -> Generator[float, None, None]:
        due = renewed
        while may_act(renewed, self.clock(who), self.timing):
            # a check and its act are one step here: what comes between them is for `permit`, in the test below
            self.acts.append(Act(self.now, who, lease.number))
            yield self.pause()
            if self.clock(who) < due:
                continue
            began = self.clock(who)
            yield self.pause()
            after = lease.next(who, "head")
            done = self.rename(who, lease, after)
            if done:
                lease, renewed, due = after, began, began + self.timing.renew_every
            elif done is False:
                yield self.pause()
                found, _ = self.look(who)
                if found is not None and found.number > lease.number:
                    if found.holder != who:
                        return
                    lease = found
