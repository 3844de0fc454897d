"""One tick, and the answers that come between two of them."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import datetime

from clues.errors import CloudError, LedgerError, LrmsError, QuotaExceeded
from clues.executor import Executor
from clues.ledger import Commit
from clues.model import (
    COMING,
    Action,
    Claim,
    ClaimState,
    Launch,
    LaunchOutcome,
    Memory,
    Note,
    Plan,
    Published,
    Settings,
    World,
)
from clues.planner import after_launch, decide, learn_error
from clues.planner.moves import fail
from clues.ports import Clock, Overlay
from clues.reconciler.books import Books
from clues.reconciler.observer import Observer

log = logging.getLogger(__name__)

#: States in which something is expected to happen soon, so that Slurm and the site are looked at more often.
_SOON = COMING | {ClaimState.DRAINING, ClaimState.STOPPING, ClaimState.FAILED}


class Reconciler:
    """Brings the cluster to where it should be, one tick at a time."""

    def __init__(
        self, cluster: str, settings: Settings, books: Books, observer: Observer, overlay: Overlay, clock: Clock
    ) -> None:
        """:param cluster: the cluster's UUID."""
        self.cluster, self.settings, self.overlay = cluster, settings, overlay
        self._books, self._observer, self._clock = books, observer, clock
        observer.looked = self.tick
        self._executor: Executor | None = None
        self._started_at = clock.now()
        self._ticks = 0
        self.published: Published | None = None

    def use(self, executor: Executor) -> None:
        """Act through *executor*, whose answers come here, and watch its sites."""
        self._executor = executor
        self._observer.connectors = executor.connectors

    def configure(self, settings: Settings, overlay: Overlay, executor: Executor) -> None:
        """Go on with another configuration from the next tick."""
        self.settings, self.overlay = settings, overlay
        self.use(executor)

    def tick(self) -> None:
        """Decide from what is known now, commit, act, publish."""
        now = self._clock.now()
        began = time.thread_time()
        world = self._world()
        plan = self._with_addresses(decide(world, self.settings, now), now)
        try:
            self._commit(plan, now)
        except LedgerError:
            # without a committed intent nothing is done; the next tick decides anew
            plan = replace(plan, claims=(), actions=(), notes=(), memory=self._books.memory)
        else:
            if self._executor is not None:
                self._executor.carry_out(plan.actions, self._books.claims)
        self._observer.expect(frozenset(one.offer.site for one in self._books.claims.values() if one.state in _SOON))
        self._ticks += 1
        self.published = Published(
            at=now,
            started_at=self._started_at,
            ticks=self._ticks,
            settings=self.settings,
            world=replace(world, claims=dict(self._books.claims), operator=self._books.operator),
            plan=plan,
            tick_seconds=time.thread_time() - began,
            troubles=tuple(self._books.troubles.values()),
        )

    def _world(self) -> World:
        books, observer = self._books, self._observer
        ended = {}
        for observed in observer.listings.values():
            for instance in observed.value.instances if observed.value else ():
                key = instance.launch_key
                if key and key not in books.claims and (claim := books.ended_claim(key)) is not None:
                    ended[key] = claim
        return World(
            lrms=observer.snapshot,
            listings=dict(observer.listings),
            claims=books.claims,
            memory=books.memory,
            operator=books.operator,
            cluster=self.cluster,
            ended=ended,
            generations=books.generations,
            started_at=self._started_at,
            in_flight=self._executor.in_flight if self._executor else frozenset(),
            spent_today=books.spent_today,
        )

    def _with_addresses(self, plan: Plan, now: datetime) -> Plan:
        """Reserve an address for every VM that is about to be launched, before its intent is committed."""
        launching = {action.key for action in plan.actions if isinstance(action, Launch)}
        lacking = [one for one in plan.claims if one.key in launching and not one.address]
        if not lacking:
            return plan
        after = {**self._books.claims, **{one.key: one for one in plan.claims}}
        rested = self._books.rested(now, self.settings.pace.quarantine)
        refused: set[str] = set()
        memory = plan.memory
        for claim in lacking:
            try:
                address = self.overlay.reserve(claim, [*after.values(), *rested], now)
                after[claim.key] = replace(claim, address=address)
            except QuotaExceeded as error:
                refused.add(claim.key)
                # nothing was sent: the launch that the plan counted is taken back
                after[claim.key] = fail(replace(claim, launches=claim.launches - 1), "quota", str(error), now)
                memory = learn_error(memory, claim.offer, error, now, self.settings.pace)
        actions = tuple(one for one in plan.actions if not (isinstance(one, Launch) and one.key in refused))
        return replace(plan, claims=tuple(after[one.key] for one in plan.claims), actions=actions, memory=memory)

    def _commit(self, plan: Plan, now: datetime) -> None:
        books = self._books
        wishes = {name: wish for name, wish in books.operator.wishes.items() if name not in plan.granted}
        spend = books.spend_until(now)
        books.commit(
            Commit(
                claims=plan.claims,
                notes=plan.notes,
                memory=plan.memory if plan.memory != books.memory else None,
                operator=replace(books.operator, wishes=wishes) if plan.granted else None,
                spend=spend,
            )
        )
        books.booked(spend, now)

    # --- answers: called on the owner's thread ---

    def launched(self, outcome: LaunchOutcome) -> None:
        """Take in the provider's answer to a launch."""
        claim = self._books.claims.get(outcome.launch_key)
        if claim is None:
            return  # it has ended meanwhile; a VM that came of it is found by its tag
        now = self._clock.now()
        memory = self._books.memory
        if outcome.error is not None:
            memory = learn_error(memory, claim.offer, outcome.error, now, self.settings.pace)
            self._observer.hurry_listing(claim.offer.site)
        self.settle(claim, after_launch(claim, outcome, now), now, memory)

    def terminated(self, key: str, error: CloudError | None) -> None:
        """Take in the provider's answer to a termination; whether the VM is gone is for the listings to say."""
        claim = self._books.claims.get(key)
        if claim is None:
            return
        if error is not None:
            self.settle(claim, replace(claim, reason=f"terminate: {error}"), self._clock.now())
        self._observer.hurry_listing(claim.offer.site)

    def ordered(self, action: Action, error: BaseException | None) -> None:
        """Take in Slurm's answer; what did not work is tried again by the next tick, from the flags."""
        if error is None:
            self._books.trouble("slurm", "")
            self._observer.hurry()
            return
        if not isinstance(error, LrmsError):
            log.error("an order to Slurm failed in a way that was not foreseen", exc_info=error)
        self._books.trouble("slurm", f"Slurm did not do as told ({type(action).__name__}): {error}")

    def settle(self, before: Claim, after: Claim, now: datetime, memory: Memory | None = None) -> None:
        """Commit what an answer made of a claim. If that fails the answer is lost, and found again by listing."""
        notes = []
        if before.state is not after.state or before.reason != after.reason:
            moved = f"{before.state} -> {after.state}: " if before.state is not after.state else ""
            about = (after.key, *(f"job {job}" for job in after.jobs), after.offer.site)
            notes.append(Note(now, "claim", after.node, f"{moved}{after.reason} [{after.offer.key}]", about))
        claims = (after,) if after != before else ()
        learnt = memory if memory is not None and memory != self._books.memory else None
        try:
            self._books.commit(Commit(claims=claims, notes=tuple(notes), memory=learnt))
        except LedgerError as error:
            log.error("%s: the answer could not be recorded: %s", after.node, error)
            return
        self._observer.hurry()
