"""A daemon's counter kept in memory, for the API: the picture that a test puts in, and the orders that came
out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Condition

from clues.errors import CluesError, InvalidRequest, KeyReused, NotFound, Transient
from clues.model import (
    CaStatus,
    CaStep,
    Changed,
    Claim,
    Deed,
    JobUse,
    LoggedDeed,
    LoggedNote,
    Maintenance,
    Moment,
    Operator,
    Order,
    Published,
    Rehearsal,
    SpentRow,
    SshWay,
    VmLog,
    Wish,
)
from clues.planner.maintenance.announcing import announce, cancel
from clues.planner.rehearse import rehearse
from tests.unit.builders import NOW


class MemoryControl:
    """Implements :class:`clues.ports.Control`; thread-safe as the port demands."""

    def __init__(self, published: Published | None = None) -> None:
        self._changed = Condition()
        self._published = published
        self._notes: list[LoggedNote] = []
        self.orders: list[tuple[tuple[str, ...], Wish | None, str]] = []
        self.pauses: list[tuple[bool, str]] = []
        self.maintenance = Operator()
        self._body = b""
        self._told: Callable[[Changed], bytes] | None = None
        self.evictions: list[tuple[str, str]] = []
        self.rotations: list[str] = []
        self.rehearsals: list[tuple[str, ...]] = []
        self.log_readers: list[tuple[str, bool]] = []
        self.trials: list[tuple[str, str, str, str]] = []
        self.stopped_trials: list[str] = []
        self.trial_looks = 0
        #: what an image's trial is at each look, one after the other; the last one stays
        self.trial_claims: list[Claim] = []
        self._trial: Claim | None = None
        self.log_text = "clues: enrolled\n"
        #: what the signer tells; None: it does not answer
        self.ca: CaStatus | None = None
        #: calls of :meth:`wait` that are under way
        self.waiters = 0
        self.moments: list[Moment] = []
        #: how every VM is reached; None: there is none
        self.ssh: SshWay | None = None
        self.spent_rows: list[SpentRow] = []
        self.claims: list[Claim] = []
        #: None: there is no accounting
        self.uses: list[JobUse] | None = None
        #: by node, the newest first
        self.ended_claims: dict[str, list[Claim]] = {}
        self.records: list[Deed] = []
        self.answers: dict[tuple[str, str], tuple[str, bytes]] = {}
        #: raised by the next order
        self.failure: CluesError | None = None

    def tick(self, published: Published) -> None:
        with self._changed:
            ticks = self._published.ticks + 1 if self._published else 1
            self._published = replace(published, ticks=ticks)
            self._changed.notify_all()

    def add(self, *notes: LoggedNote) -> None:
        with self._changed:
            self._notes.extend(notes)

    def published(self) -> Published | None:
        with self._changed:
            return self._published

    def history(self, since: datetime, limit: int) -> list[Moment]:
        return [one for one in self.moments if one.at >= since][:limit]

    def spending(self, since: datetime, until: datetime) -> list[SpentRow]:
        return [one for one in self.spent_rows if since <= one.hour < until]

    def claims_between(self, begin: datetime, end: datetime) -> list[Claim]:
        return [
            one for one in self.claims if (one.launched_at or one.created_at) < end and begin < (one.ended_at or end)
        ]

    def job_uses(self, begin: datetime, end: datetime) -> Sequence[JobUse]:
        if self.uses is None:
            raise InvalidRequest("Slurm keeps no accounting")
        return [one for one in self.uses if one.begin < end and begin < (one.end or end)]

    def past_claims(self, node: str, limit: int, before: int = 0) -> list[Claim]:
        return [one for one in self.ended_claims.get(node, []) if not before or one.generation < before][:limit]

    def wait(self, after_tick: int, timeout: float) -> Published | None:
        with self._changed:
            self.waiters += 1
            try:
                self._changed.wait_for(
                    lambda: self._published is not None and self._published.ticks > after_tick, timeout
                )
            finally:
                self.waiters -= 1
            return self._published

    def notes(self, *, after: int = 0, before: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        with self._changed:
            found = [
                one
                for one in self._notes
                if after < one.id < (before or 2**63) and (not about or about in (one.subject, *one.about))
            ]
        return found[:limit] if after else found[-limit:]

    def answered(self, order: Order) -> bytes | None:
        digest, body = self.answers.get((order.deed.identity, order.key), ("", b""))
        if not order.key or not digest:
            return None
        if digest != order.digest:
            raise KeyReused("used for another order")
        return body

    def act(self, order: Order, do: Callable[[], object], told: Callable[[Changed], bytes]) -> bytes:
        with self._changed:
            if (before := self.answered(order)) is not None:
                return before
            self._body, self._told = b"", told
            do()
            body = self._body or told(Changed())
            self.records.append(order.deed)
            if order.key:
                self.answers[order.deed.identity, order.key] = (order.digest, body)
            return body

    def _commit(self, changed: Changed) -> None:
        """Make the answer, as the daemon does: while the order is carried out, and before it returns."""
        if self._told is not None:
            self._body, self._told = self._told(changed), None

    def act_outside(self, order: Order, do: Callable[[], bytes]) -> bytes:
        return self.act(order, lambda: None, lambda _: do())

    def record(self, deed: Deed) -> None:
        with self._changed:
            self.records.append(deed)

    def deeds(self, since: datetime, before: int, limit: int) -> list[LoggedDeed]:
        with self._changed:
            every = [LoggedDeed(number, NOW, deed) for number, deed in enumerate(self.records, start=1)]
        return [one for one in reversed(every) if not before or one.id < before][:limit]

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        if self.failure:
            raise self.failure
        known = self._published
        routers = {site.router_node for site in known.settings.sites.values() if site.router} if known else set()
        if known and any(known.settings.pool_of(name) is None and name not in routers for name in nodes):
            raise InvalidRequest("no such node")
        self.orders.append((tuple(nodes), wish, who))

    def announce_maintenance(
        self, site: str, begin: datetime, end: datetime, ahead: timedelta | None, who: str
    ) -> Maintenance:
        if self.failure:
            raise self.failure
        before, self.maintenance = self.maintenance, announce(self.maintenance, site, begin, end, ahead, who, NOW)
        self._commit(Changed((), before, self.maintenance))
        return self.maintenance.maintenance[-1]

    def cancel_maintenance(self, number: int, who: str) -> Maintenance:
        before = self.maintenance
        self.maintenance, gone = cancel(before, number, NOW)
        self._commit(Changed((), before, self.maintenance))
        return gone

    def pause(self, paused: bool, who: str) -> None:
        if self.failure:
            raise self.failure
        self.pauses.append((paused, who))

    def evict(self, key: str, who: str) -> None:
        if self.failure:
            raise self.failure
        self.evictions.append((key, who))

    def logs(self, node: str, *, ssh: bool) -> VmLog:
        if self.failure:
            raise self.failure
        self.log_readers.append((node, ssh))
        return VmLog(node, "aws", "i-1", "boot log" if ssh else "console", self.log_text)

    def ssh_way(self, node: str) -> SshWay:
        if self.ssh is None:
            raise NotFound(f"{node} has no VM now")
        return self.ssh

    def try_image(self, site: str, image: str, flavor: str, who: str) -> Claim:
        if self.failure:
            raise self.failure
        self.trials.append((site, image, flavor, who))
        claim = self.trial("")
        self._commit(Changed((claim,)))
        return claim

    def trial(self, key: str) -> Claim:
        self.trial_looks += 1
        if self.trial_claims:
            self._trial = self.trial_claims.pop(0)
        if self._trial is None:
            raise NotFound(f"no image was tried under the key {key}")
        return self._trial

    def stop_trial(self, key: str) -> None:
        self.stopped_trials.append(key)

    def rehearse(self, changes: Sequence[str]) -> Rehearsal:
        if self.failure:
            raise self.failure
        shown = self.published()
        if shown is None:
            raise Transient("there was no tick yet")
        self.rehearsals.append(tuple(changes))
        return rehearse(shown, shown.settings, shown.at)

    def ca_status(self) -> CaStatus:
        if self.ca is None:
            raise Transient("no answer at /run/clues/clues.signer.sock: No such file or directory")
        return self.ca

    def rotate_ca(self, who: str) -> CaStep:
        if self.failure:
            raise self.failure
        self.rotations.append(who)
        return CaStep("ca-1772460000 is made and trusted", "it signs, once all members trust it")


def explain(published: Published, subject: str, notes: Sequence[LoggedNote]) -> str:
    """Stands where the planner's explanation goes."""
    known = {*published.settings.sites, *(name for pool in published.settings.pools.values() for name in pool.nodes)}
    known |= {job.id for job in published.world.lrms.value.jobs} if published.world.lrms.value else set()
    if subject not in known:
        raise NotFound(f"{subject} is neither a node nor a job nor a site")
    return "\n".join([f"{subject} is in the cluster.", *(note.text for note in notes)])
