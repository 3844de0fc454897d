"""What the ledger has booked, shared out to the jobs that it was for.

The ledger books by hour, pool, site and account; Slurm's accounting knows which jobs of the account ran where. Each
booked amount is shared out among them by the price of the VM, the time in that hour, and the part of the VM that the
job held: of its CPUs, or of its GPUs if that is more. Jobs that use a part of a VM pay for all of it, as in the books.
From the launch to its first job a VM counts for the job that it was bought for. What was booked for nobody is idle.

Shares are parts of booked amounts and of nothing else: whatever the accounting lacks, they add up to the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clues.model import Claim, JobUse, Kind, Share, SpentRow
from clues.planner.money.billing import charged

_HOUR = timedelta(hours=1)
#: What an hour of a VM without a price weighs, and the least part of one that a job holds.
_FREE = 1e-9


@dataclass(frozen=True, slots=True)
class _Piece:
    """Somebody's part of an hour of a VM."""

    market: str
    use: str
    weight: float
    user: str = ""
    qos: str = ""
    job: str = ""


def share_out(
    rows: Iterable[SpentRow], claims: Iterable[Claim], uses: Sequence[JobUse], now: datetime
) -> Iterator[Share]:
    """Go through all booked amounts, each in as many parts as it is for jobs.

    :param claims: at least all that had a VM in these hours.
    :param uses: at least all jobs that ran in them; empty where there is no accounting.
    """
    books = _Books(claims, uses, now)
    for row in rows:
        pieces = books.pieces(row)
        whole = sum(piece.weight for piece in pieces)
        left = row.amount
        for place, piece in enumerate(pieces):
            # the last one takes what is left, so that nothing is lost by rounding
            part = left if place == len(pieces) - 1 else row.amount * (piece.weight / whole)
            left -= part
            yield Share(
                row.hour,
                row.pool,
                row.site,
                row.account,
                part,
                piece.market,
                piece.user,
                piece.qos,
                piece.job,
                piece.use,
            )


class _Books:
    """VMs and jobs by the hours in which they were there."""

    def __init__(self, claims: Iterable[Claim], uses: Sequence[JobUse], now: datetime) -> None:
        self.now = now
        self.vms: dict[tuple[datetime, str, str], list[Claim]] = defaultdict(list)
        for claim in claims:
            begin, end = _paid(claim, now)
            for hour in _hours(begin, end):
                self.vms[hour, claim.pool, claim.offer.site].append(claim)
        self.runs: dict[tuple[datetime, str], list[JobUse]] = defaultdict(list)
        self.jobs: dict[str, JobUse] = {}
        for use in uses:
            self.jobs[use.job] = use
            for hour in _hours(use.begin, use.end or now):
                for node in use.nodes:
                    self.runs[hour, node].append(use)

    def pieces(self, row: SpentRow) -> list[_Piece]:
        """Return whose a booked amount is: at least one piece, each with some weight."""
        vms = self.vms.get((row.hour, row.pool, row.site), [])
        if not row.pool:
            found = [self._piece(vm, row.hour, "router") for vm in vms if vm.kind is Kind.ROUTER]
        elif row.account:
            found = [piece for vm in vms for piece in self._of_account(vm, row)]
        else:
            found = [piece for vm in vms if (piece := self._idle(vm, row.hour)) is not None]
        if found:
            return found
        use = "router" if not row.pool else "unknown" if row.account else "idle"
        return [self._piece(vm, row.hour, use) for vm in vms] or [_Piece("", use, 1.0)]

    def _piece(self, vm: Claim, hour: datetime, use: str) -> _Piece:
        return _Piece(vm.offer.market.value, use, _weight(vm, max(_overlap(hour, *_paid(vm, self.now)), _FREE)))

    def _of_account(self, vm: Claim, row: SpentRow) -> Iterator[_Piece]:
        market, (begin, end) = vm.offer.market.value, _paid(vm, self.now)
        for run in self.runs.get((row.hour, vm.node), ()):
            if run.account != row.account:
                continue
            time = _overlap(row.hour, max(begin, run.begin), min(end, run.end or self.now))
            if time > 0:
                yield _Piece(market, "job", _weight(vm, time) * _part(run, vm), run.user, run.qos, run.job)
        if vm.account == row.account and vm.jobs:
            first = min((at for at in (vm.used_at, vm.ended_at) if at is not None), default=self.now)
            time = _overlap(row.hour, begin, min(end, first))
            if time > 0:
                of = self.jobs.get(vm.jobs[0])
                user, qos = (of.user, of.qos) if of is not None else ("", "")
                yield _Piece(market, "job" if of is not None else "unknown", _weight(vm, time), user, qos, vm.jobs[0])

    def _idle(self, vm: Claim, hour: datetime) -> _Piece | None:
        """Return the time that no job ran on a VM, after its first one or where it was bought for nobody."""
        begin, end = _paid(vm, self.now)
        time = _overlap(hour, begin, end)
        for since, until in _merged(self.runs.get((hour, vm.node), ()), self.now):
            time -= _overlap(hour, max(begin, since), min(end, until))
        return _Piece(vm.offer.market.value, "idle", _weight(vm, time)) if time > 1e-6 else None


def _weight(vm: Claim, time: float) -> float:
    return max(vm.offer.price_per_hour or 0.0, _FREE) * time


def _part(run: JobUse, vm: Claim) -> float:
    """Return which part of a VM a job holds: of its CPUs or GPUs, whichever is more."""
    nodes = max(1, len(run.nodes))
    cpus = run.cpus / nodes / vm.shape.cpus if vm.shape.cpus else 0.0
    gpus = run.gpus / nodes / vm.shape.gpu_count if vm.shape.gpu_count else 0.0
    return max(cpus, gpus, _FREE)


def _paid(claim: Claim, now: datetime) -> tuple[datetime, datetime]:
    """Return from when to when a VM is charged for."""
    begin = claim.launched_at or claim.created_at
    end = claim.ended_at or now
    return begin, max(end, begin + charged(claim.offer.billing, end - begin))


def _overlap(hour: datetime, begin: datetime, end: datetime) -> float:
    """Return which part of an hour lies between two moments."""
    return max(0.0, (min(hour + _HOUR, end) - max(hour, begin)) / _HOUR)


def _hours(begin: datetime, end: datetime) -> Iterator[datetime]:
    """Go through the beginnings of the hours that a time touches."""
    hour = begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += _HOUR


def _merged(runs: Iterable[JobUse], now: datetime) -> list[tuple[datetime, datetime]]:
    """Return the times in which any of these ran, none of them twice."""
    merged: list[tuple[datetime, datetime]] = []
    for begin, end in sorted((run.begin, run.end or now) for run in runs):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged
