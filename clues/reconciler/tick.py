"""One tick, and the answers that come between two of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from clues.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    LedgerError,
    LrmsError,
    OutcomeUnknown,
    QuotaExceeded,
    Throttled,
    Transient,
)
from clues.executor import Executor
from clues.ledger import Commit, SpendKey
from clues.model import (
    COMING,
    Action,
    Claim,
    ClaimState,
    Kind,
    Launch,
    LaunchOutcome,
    Memory,
    Note,
    Offer,
    Plan,
    Published,
    Seen,
    Settings,
    World,
)
from clues.planner import after_launch, after_termination, decide, learn_answer, learn_error
from clues.planner.claims.batches import in_batches
from clues.planner.claims.moves import fail
from clues.planner.money.payers import payers
from clues.planner.view import View, make_view
from clues.ports import Clock, Overlay, batch_of
from clues.reconciler.books import Books
from clues.reconciler.observer import Observer
from clues.reconciler.terms import TermsReader

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
        observer.overlay = overlay
        self._executor: Executor | None = None
        self._terms = TermsReader(
            observer.workers, clock, offers=self._offers_of, claims=lambda: books.claims, changed=observer.hurry
        )
        observer.also = self._terms.pump
        self._started_at = clock.now()
        self._ticks = 0
        self._seen = Seen()
        #: tells the CPU time of this thread, in seconds
        self.cpu_clock: Callable[[], float] = time.thread_time
        self.published: Published | None = None
        #: told of the CPU-seconds of each tick
        self.ticked: Callable[[float], None] = lambda _: None

    def use(self, executor: Executor) -> None:
        """Act through *executor*, whose answers come here, and watch its sites."""
        self._executor = executor
        self._observer.connectors = executor.connectors
        self._terms.use(executor.connectors, self.settings.pace)

    def configure(self, settings: Settings, overlay: Overlay, executor: Executor) -> None:
        """Go on with another configuration from the next tick."""
        self.settings, self.overlay, self._observer.overlay = settings, overlay, overlay
        self._books.use_time_zone(settings.budgets.time_zone)
        self.use(executor)

    def tick(self) -> None:
        """Decide from what is known now, commit, act, publish."""
        now = self._clock.now()
        began = self.cpu_clock()
        world = self._world()
        plan = in_batches(self._with_addresses(decide(world, self.settings, now), now), self._batches())
        try:
            self._commit(plan, now)
        except LedgerError:
            # without a committed intent nothing is done; the next tick decides anew
            plan = replace(plan, claims=(), actions=(), notes=(), memory=self._books.memory)
        else:
            if self._executor is not None:
                self._executor.carry_out(plan.actions, self._books.claims)
            self._have_seen(world, now)
            self._seen = plan.seen
        # of a launch that was refused a moment ago, or a VM that came to nothing
        refused = {one.offer.site for one in plan.claims if one.failure == "quota" and one.since == now}
        for site in plan.short_of_quota | refused:
            self._terms.hurry(site)
        claims = self._books.claims.values()
        self._observer.expect(
            frozenset(one.offer.site for one in claims if one.state in _SOON),
            tunnels=any(one.tunnel or one.kind is Kind.ROUTER for one in claims),
        )
        self._ticks += 1
        self.published = Published(
            at=now,
            started_at=self._started_at,
            ticks=self._ticks,
            settings=self.settings,
            world=replace(world, claims=dict(self._books.claims), operator=self._books.operator),
            plan=plan,
            tick_seconds=self.cpu_clock() - began,
            troubles=tuple(self._books.troubles.values()),
        )
        self.ticked(self.published.tick_seconds)

    def _offers_of(self, site: str) -> list[Offer]:
        """Return all that is offered of a site, its router's too, each once."""
        offers = [offer for pool in self.settings.pools.values() for offer in pool.offers]
        offers += [one.router.offer for one in self.settings.sites.values() if one.router is not None]
        return list({offer.key: offer for offer in offers if offer.site == site}.values())

    def _have_seen(self, world: World, now: datetime) -> None:
        """Note the sites whose VMs this tick saw: what was without a claim there has one now, or belongs to nobody."""
        limit = self.settings.pace.stale_after
        if world.lrms.error or world.lrms.fresh(now, limit) is None:
            return
        unseen = self._books.unseen
        seen = {site for site, one in world.listings.items() if site in unseen and one.fresh(now, limit) is not None}
        if seen:
            unseen -= seen
            self._books.make_known()

    def view(self) -> View:
        """Return what is known now, as a decision would see it."""
        return make_view(self._world(), self.settings, self._clock.now())

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
            overlay=observer.tunnels,
            terms=self._terms.terms,
            cluster=self.cluster,
            ended=ended,
            generations=books.generations,
            started_at=self._started_at,
            in_flight=self._executor.in_flight if self._executor else frozenset(),
            seen=self._seen,
            spent=books.spent,
        )

    def _with_addresses(self, plan: Plan, now: datetime) -> Plan:
        """Reserve an address for every VM that is about to be launched, before its intent is committed."""
        launching = {action.key for action in plan.actions if isinstance(action, Launch)}
        # what was sent with others is sent again as it was: without an address
        lacking = [one for one in plan.claims if one.key in launching and not (one.address or one.tunnel or one.batch)]
        if not lacking:
            return plan
        after = {**self._books.claims, **{one.key: one for one in plan.claims}}
        rested = self._books.rested(now, self.settings.pace.quarantine)
        refused: set[str] = set()
        memory = plan.memory
        for claim in lacking:
            try:
                reserved = self.overlay.reserve(claim, [*after.values(), *rested], now)
                # a worker with a tunnel of its own is reached at its end
                address = reserved.address or (reserved.tunnel if claim.kind is Kind.WORKER else "")
                after[claim.key] = replace(claim, address=address, tunnel=reserved.tunnel)
            except QuotaExceeded as error:
                refused.add(claim.key)
                # nothing was sent: the launch that the plan counted is taken back
                unsent = replace(claim, launches=claim.launches - 1)
                if claim.kind is Kind.ROUTER:
                    # the one address that it can have is still held: it waits on paper, and nothing is held against it
                    on_paper = replace(unsent, state=ClaimState.PLANNED, launched_at=None)
                    after[claim.key] = self._books.claims.get(claim.key, on_paper)
                    continue
                after[claim.key] = fail(unsent, "quota", str(error), now)
                memory = learn_error(memory, claim, error, now, self.settings.pace)
        actions = tuple(one for one in plan.actions if not (isinstance(one, Launch) and one.key in refused))
        kept = tuple(after[one.key] for one in plan.claims if after[one.key] != self._books.claims.get(one.key))
        on_paper_still = {key for key in refused if after[key].state is ClaimState.PLANNED}
        notes = tuple(one for one in plan.notes if on_paper_still.isdisjoint(one.about))
        return replace(plan, claims=kept, actions=actions, memory=memory, notes=notes)

    def _batches(self) -> dict[str, int]:
        """Return how many VMs each site makes in one call."""
        connectors = self._executor.connectors if self._executor is not None else {}
        return {site: batch_of(connector) for site, connector in connectors.items()}

    def _commit(self, plan: Plan, now: datetime) -> None:
        books = self._books
        wishes = {name: wish for name, wish in books.operator.wishes.items() if name not in plan.granted}
        spend = self._charges(now)
        books.commit(
            Commit(
                claims=plan.claims,
                notes=plan.notes,
                memory=plan.memory if plan.memory != books.memory else None,
                operator=replace(books.operator, wishes=wishes) if plan.granted else None,
                spend=spend,
                booked_at=now if spend else None,
            )
        )
        books.booked(spend, now)

    def _charges(self, now: datetime) -> dict[SpendKey, float]:
        """Return what the VMs cost since the last booking, and whom."""
        books = self._books
        return books.spend_until(now, payers(books.claims.values(), self._observer.snapshot.value))

    # --- answers: called on the owner's thread ---

    def launched(self, outcome: LaunchOutcome) -> None:
        """Take in the provider's answer to a launch."""
        claim = self._books.claims.get(outcome.launch_key)
        if claim is None:
            return  # it has ended meanwhile; a VM that came of it is found by its tag
        now = self._clock.now()
        after = after_launch(claim, outcome, now)
        # what is tried again in smaller parts is not held against anybody yet
        memory = self._books.memory if after.batch_most != claim.batch_most else self._learn(claim, outcome.error, now)
        if outcome.error is not None:
            self._observer.hurry_listing(claim.offer.site)
        self.settle(claim, after, now, memory)

    def terminated(self, key: str, error: CloudError | None) -> None:
        """Take in the provider's answer to a termination; whether the VM is gone is for the listings to say."""
        claim = self._books.claims.get(key)
        if claim is None:
            return
        now = self._clock.now()
        after, alarms = after_termination(claim, error, now)
        # what the provider has against ending this VM says nothing of its offer
        of_site = error is None or isinstance(error, Throttled | AuthFailed | Transient | OutcomeUnknown)
        self.settle(claim, after, now, self._learn(claim, error, now) if of_site else None, alarms)
        self._observer.hurry_listing(claim.offer.site)

    def _learn(self, claim: Claim, error: CloudError | None, now: datetime) -> Memory:
        """Return what is remembered after an answer of a claim's site."""
        if error is None:
            return learn_answer(self._books.memory, claim.offer.site)
        if claim.probe and isinstance(error, InvalidRequest):
            return self._books.memory  # the image on trial is wrong, and no offer of a pool's
        return learn_error(self._books.memory, claim, error, now, self.settings.pace)

    def ordered(self, action: Action, error: BaseException | None) -> None:
        """Take in Slurm's answer; what did not work is tried again by the next tick, from the flags."""
        if error is None:
            self._books.trouble("slurm", "")
            self._observer.hurry()
            return
        if not isinstance(error, LrmsError):
            log.error("an order to Slurm failed in a way that was not foreseen", exc_info=error)
        self._books.trouble("slurm", f"Slurm did not do as told ({type(action).__name__}): {error}")

    def settle(
        self, before: Claim, after: Claim, now: datetime, memory: Memory | None = None, notes: Iterable[Note] = ()
    ) -> None:
        """Commit what an answer made of a claim. If that fails the answer is lost, and found again by listing."""
        notes = list(notes)
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
