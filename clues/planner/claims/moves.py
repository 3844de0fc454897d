"""The one way in which a claim changes its state, and in which it takes in what its provider says."""

from __future__ import annotations

from datetime import datetime

from clues.lifecycle import may_move
from clues.model import Claim, ClaimState, Instance
from clues.model.evolve import evolve

#: Failures of a VM that nobody can reach any more: what ran there is lost to Slurm, whatever the VM still does.
OUT_OF_REACH = frozenset({"vanished", "stolen", "evicted"})


def move(claim: Claim, state: ClaimState, reason: str, now: datetime, *, failure: str = "") -> Claim:
    """Return *claim* in *state*, with the reason for it.

    :raises ValueError: when the table of :mod:`clues.lifecycle` has no such move: a defect of ours, never of the world.
    """
    if not may_move(claim.state, state):
        raise ValueError(f"claim {claim.key} may not go from {claim.state} to {state}")
    ended = now if state is ClaimState.GONE else None
    return evolve(claim, state=state, since=now, reason=reason, failure=failure or claim.failure, ended_at=ended)


def fail(claim: Claim, failure: str, reason: str, now: datetime) -> Claim:
    """Return *claim* as failed; *failure* is the short code that breakers and counters go by."""
    return move(claim, ClaimState.FAILED, reason, now, failure=failure)


def with_instance(claim: Claim, instance: Instance) -> Claim:
    """Return *claim* with what the provider says of its VM: its id, and where it is in the site's network."""
    found = (
        claim.instance_id or instance.id,
        claim.address or next(iter(instance.addresses), ""),
        next(iter(instance.macs), claim.mac),
        instance.addresses or claim.listed_addresses,
    )
    if found == (claim.instance_id, claim.address, claim.mac, claim.listed_addresses):
        return claim  # as in nearly every tick
    instance_id, address, mac, listed_addresses = found
    return evolve(claim, instance_id=instance_id, address=address, mac=mac, listed_addresses=listed_addresses)
