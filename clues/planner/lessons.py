"""What a decision learns from what it sees: boots and how long they took, offers that work again, misread jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from clues.model import Claim, ClaimState, Market, Memory, Misread, Note, Outlook, Pace, Verdict
from clues.planner.capacity.breaker import RECLAIMED, learn_failure, learn_success
from clues.planner.eager import is_eager
from clues.planner.forecasts.boots import learn_boot
from clues.planner.money.spot import learn_spot
from clues.planner.phases.common import waited
from clues.planner.queue.jobclass import fingerprint
from clues.planner.view import View


def learn_from_moves(
    memory: Memory, before: Mapping[str, Claim], after: Mapping[str, Claim], now: datetime, pace: Pace
) -> Memory:
    """Return *memory* with what the claims' moves of this decision say about their offers."""
    for key, claim in after.items():
        old = before.get(key)
        if old is None or old is claim:
            continue
        memory = learn_boot(memory, old, claim)  # a gang's node is ready before it may be opened
        memory = learn_spot(memory, old, claim, now)
        memory = learn_success(memory, old, claim)
        if claim.failure and not old.failure and not claim.probe:
            # a spot VM that is gone was most likely taken back, though nobody heard of it
            taken = claim.failure == "vanished" and claim.offer.market is Market.SPOT
            memory = learn_failure(memory, claim, RECLAIMED if taken else claim.failure, claim.reason, now, pace)
    return memory


def find_misread(view: View, claims: Mapping[str, Claim], outlooks: Mapping[str, Outlook]) -> tuple[Memory, list[Note]]:
    """A node stood open and idle for long while the job it was bought for stayed pending: do not buy for that again.

    If another job took the node, nobody misread anything: it was used.  Jobs that have gone, and misreadings that are
    old enough to be doubted, are forgotten.
    """
    memory = view.world.memory
    if view.snapshot is None:
        return memory, []
    pending = {job.id: job for job in view.pending}
    limit = view.settings.pace.misread_retry
    misread = {job: one for job, one in memory.misread.items() if job in pending and view.now - one.since < limit}
    notes: list[Note] = []
    for claim in claims.values():
        if not _stands_in_vain(claim, view):
            continue
        for name in claim.jobs:
            job, outlook = pending.get(name), outlooks.get(name)
            if job is None or name in misread or outlook is None or outlook.verdict in (Verdict.WAITS, Verdict.NEVER):
                continue
            if claim.gang and (outlook.verdict is not Verdict.SERVED or not _all_open_for_long(claim, view, claims)):
                continue  # it lacked other nodes until a moment ago: this one did not stand in vain
            misread[name] = Misread(name, fingerprint(job), view.now, claim.node)
            text = f"{claim.node} stood open and idle for it and it did not start: nothing more is bought for it"
            notes.append(Note(view.now, "misread", f"job {name}", text, (claim.node,)))
    return (memory if misread == memory.misread else replace(memory, misread=misread)), notes


def _stands_in_vain(claim: Claim, view: View) -> bool:
    if claim.state is not ClaimState.READY or claim.used_at or claim.opened_at is None:
        return False
    if is_eager(view, claim.node):
        return False  # Slurm has picked it, whatever it is used for in the end
    node = view.node(claim.node)
    return node is not None and node.usable and waited(claim, claim.opened_at, view) >= view.settings.pace.misread_after


def _all_open_for_long(claim: Claim, view: View, claims: Mapping[str, Claim]) -> bool:
    mates = [one for one in claims.values() if one.gang == claim.gang and one.state is ClaimState.READY]
    patience = view.settings.pace.misread_after
    return all(one.opened_at is not None and view.now - one.opened_at >= patience for one in mates)
