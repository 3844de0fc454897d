"""The lanes of a simulated daemon: each call takes its time, and has its effect somewhere on the way.

A lane's calls are served as by the real threads: ``lrms`` one after the other, a site's several at once.  A daemon that
is killed hears no more answers; calls that were sent have their effect all the same, or not, as it happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from clues.simulation.timeline import Timeline

Done = Callable[[Any, BaseException | None], None]

#: Threads of a site's lane, as the daemon has them.
WIDTH = 8


@dataclass(slots=True)
class Call:
    """One call on its way."""

    lane: str
    call: Callable[[], Any]
    done: Done
    #: it carries out an action that was decided; others only look
    acts: bool = False


class SimWorkers:
    """A :class:`clues.ports.Workers` on the timeline."""

    def __init__(
        self,
        time: Timeline,
        chance: Random,
        latency: Callable[[str], float],
        deliver: Callable[[Callable[[], None]], None],
        *,
        brief: bool = False,
    ) -> None:
        """:param latency: how long a call on a lane takes.
        :param deliver: hands an answer to the daemon's own thread.
        :param brief: calls have their effect at their end, which saves an event.
        """
        self._time, self._chance, self._latency, self._deliver, self._brief = time, chance, latency, deliver, brief
        self._waiting: dict[str, deque[Call]] = {}
        self._busy: dict[str, int] = {}
        self.dead = False
        #: what is submitted now carries out an action
        self.acting = False
        #: called right after the effect of an action: a daemon may die here
        self.after_effect: Callable[[], None] = lambda: None

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not any(self._busy.values())

    def submit(self, lane: str, call: Callable[[], Any], done: Done) -> None:
        """Run *call* on the lane in the world's time."""
        self._waiting.setdefault(lane, deque()).append(Call(lane, call, done, self.acting))
        self._serve(lane)

    def die(self) -> None:
        """The daemon is gone: of the calls that wait none is made, and no answer is heard."""
        self.dead = True
        self._waiting.clear()

    def _serve(self, lane: str) -> None:
        waiting = self._waiting.get(lane)
        width = 1 if lane == "lrms" else WIDTH
        while waiting and self._busy.get(lane, 0) < width:
            self._busy[lane] = self._busy.get(lane, 0) + 1
            self._start(waiting.popleft())

    def _start(self, call: Call) -> None:
        takes = self._latency(call.lane)
        if self._brief:
            self._time.after(takes, lambda: self._answer(call, *self._effect(call)))
            return
        before = takes * self._chance.random()

        def effect() -> None:
            if self.dead and self._chance.random() < 0.5:
                return  # it was never sent
            result, error = self._effect(call)
            self._time.after(takes - before, lambda: self._answer(call, result, error))

        self._time.after(before, effect)

    def _effect(self, call: Call) -> tuple[Any, BaseException | None]:
        result, error = None, None
        try:
            result = call.call()
        except Exception as raised:  # noqa: BLE001 - as the real workers do: it belongs to the owner
            error = raised
        if call.acts and not self.dead:
            self.after_effect()
        return result, error

    def _answer(self, call: Call, result: Any, error: BaseException | None) -> None:
        if self.dead:
            return
        self._busy[call.lane] -= 1
        self._deliver(lambda: call.done(result, error))
        if not self.dead:
            self._serve(call.lane)
