"""What stands around the real reconciler in the toy world: a clock turned by hand, workers, and a demon's hooks.

The hooks kill the daemon wherever that hurts: before a commit, between commit and act, in the middle of the actions.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from clues.errors import LedgerError, QuotaExceeded
from clues.executor import Executor
from clues.ledger import Commit, Ledger, open_ledger
from clues.model import Action, Claim, Kind, LaunchRequest, OverlayStatus
from clues.ports import Lost, Provision, Reservation, nothing_lost

CLUSTER = "0b5c4f0e-0000-4000-8000-000000000001"


class Demon(Protocol):
    """Who decides when to strike."""

    chance: random.Random
    kill_rate: float
    disk_full: bool

    def strikes(self, rate: float) -> bool: ...

    def sees_launch(self, claim: Claim) -> None: ...


#: address of the router in its site's network
ROUTER = "10.77.1.9"


class Killed(BaseException):
    """The daemon dies here, as by kill -9."""


class ToyTime:
    """Seconds that pass when they are told to, and a wall clock that can be set."""

    def __init__(self) -> None:
        self.passed, self.set_by = 0.0, 0.0
        self._epoch = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()

    def monotonic(self) -> float:
        return self.passed

    def wall(self) -> float:
        return self._epoch + self.passed + self.set_by

    def now(self) -> datetime:
        """True time, by which the machines of this world live."""
        return datetime.fromtimestamp(self._epoch + self.passed, UTC)


@dataclass
class Call:
    due: float
    call: Callable[[], Any]
    done: Callable[[Any, BaseException | None], None]


class ToyWorkers:
    """Calls that take a moment; those of the lane ``lrms`` one after the other. Dead workers deliver nothing."""

    def __init__(self, time: ToyTime, chance: random.Random) -> None:
        self.time, self.chance = time, chance
        self.lanes: dict[str, list[Call]] = {}

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        delay = 0.0 if lane in {"lrms", "overlay"} else self.chance.choice([0, 0, 3, 9])
        self.lanes.setdefault(lane, []).append(Call(self.time.passed + delay, call, done))

    def work(self) -> bool:
        """Make one call that is due and hand in its answer; False when nothing is."""
        for lane, calls in self.lanes.items():
            due = calls[:1] if lane == "lrms" else [one for one in calls if one.due <= self.time.passed][:1]
            for one in due:
                calls.remove(one)
                result, error = None, None
                try:
                    result = one.call()
                except Exception as raised:  # noqa: BLE001 - as the real workers do
                    error = raised
                one.done(result, error)
                return True
        return False

    def die(self) -> None:
        """Some calls were sent already and have their effect; their answers reach nobody."""
        for calls in self.lanes.values():
            for one in calls:
                if self.chance.random() < 0.5:
                    with contextlib.suppress(Exception):  # nobody is left to hear it
                        one.call()
        self.lanes.clear()


class ToyOverlay:
    """Addresses one after the other, none given to two claims; a router has one that is its own."""

    def __init__(self, look: Callable[[], OverlayStatus | None] = lambda: None) -> None:
        self._look = look

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        claims = list(claims)
        taken = {one.address for one in claims}
        if claim.kind is Kind.ROUTER:
            if any(one.address == ROUTER and one.live and one.key != claim.key for one in claims):
                raise QuotaExceeded(f"{ROUTER} is still held")
            ends = {one.tunnel for one in claims}
            return Reservation(ROUTER, next(end for n in range(10, 250) if (end := f"10.77.252.{n}") not in ends))
        return Reservation(next(address for n in range(10, 250) if (address := f"10.77.1.{n}") not in taken))

    def routes(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        return ()

    def bootstrap(self, claim: Claim) -> Provision:
        return Provision()

    def publish(self, claims: Iterable[Claim], now: datetime, lost: Lost = nothing_lost) -> None:
        pass

    def status(self) -> OverlayStatus | None:
        return self._look()

    def heard(self, claim: Claim, kind: str, text: str, now: datetime) -> None:
        pass


class ShakyExecutor(Executor):
    """The real one; the demon may kill the daemon before, among or after its actions."""

    demon: Demon

    def carry_out(self, actions: Sequence[Action], claims: Mapping[str, Claim]) -> None:
        if actions and self.demon.strikes(self.demon.kill_rate):
            count = self.demon.chance.randint(0, len(actions))
            super().carry_out(list(actions)[:count], claims)
            raise Killed
        super().carry_out(actions, claims)

    def _launch(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self.demon.sees_launch(claim)
        super()._launch(claims)


class ShakyLedger(Ledger):
    """The real one; the disk may be full, and the daemon may die right before or right after a commit."""

    demon: Demon

    def commit(self, change: Commit) -> None:
        if not change.empty and self.demon.strikes(self.demon.kill_rate):
            if self.demon.chance.random() < 0.5:
                super().commit(change)
            raise Killed
        if not change.empty and self.demon.disk_full:
            raise LedgerError("no space left on the device")
        super().commit(change)


def make_ledger(demon: Demon) -> ShakyLedger:
    plain = open_ledger(None)
    ledger = ShakyLedger(None, plain._db)
    ledger.demon = demon
    return ledger


def request_for(claim: Claim) -> LaunchRequest:
    return LaunchRequest(
        cluster=CLUSTER,
        launch_key=claim.key,
        kind=claim.kind,
        node=claim.node,
        pool=claim.pool,
        generation=claim.generation,
        offer=claim.offer,
        shape=claim.shape,
        user_data=f"ticket of {claim.key}",
        address=claim.wanted_address,
    )
