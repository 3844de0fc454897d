"""Which VMs are asked for in one call, where a provider can make many at once.

A call that makes several VMs is idempotent as a whole only: sent again, it has to be the same call to the last byte.
So who is in it is written into every claim of it, and committed, before it is sent; from then on it is sent again as
it was or not at all (:func:`whole`), until the provider itself has refused it. A claim whose call cannot be repeated,
since one of the others has gone another way, is looked for in the listings, and given up when they lack it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from clues.errors import CloudError, QuotaExceeded
from clues.model import Action, Claim, ClaimState, Kind, Launch, LaunchTogether, Plan


def in_batches(plan: Plan, sizes: Mapping[str, int]) -> Plan:
    """Return *plan* with its launches put together, each call's members noted in its claims.

    :param sizes: the most that each site's connector makes in one call.
    """
    claims = {claim.key: claim for claim in plan.claims}
    launched = [claims[one.key] for one in plan.actions if isinstance(one, Launch)]
    groups: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in launched:
        if may_be_joined(claim):
            offer = replace(claim.offer, price_per_hour=None)
            # what is in user-data may change with the time of a purchase (the CA's certificates), and they share it
            groups[offer, claim.pool, claim.gang, claim.batch_most, claim.created_at].append(claim)
    for group in groups.values():
        most = min(sizes.get(group[0].offer.site, 1), group[0].batch_most or len(group))
        keys = sorted(claim.key for claim in group)
        for batch in (tuple(keys[at : at + most]) for at in range(0, len(keys), most)):
            claims |= {key: replace(claims[key], batch=batch) for key in batch if len(batch) > 1}
    actions: list[Action] = []
    for action in plan.actions:
        batch = claims[action.key].batch if isinstance(action, Launch) else ()
        if not batch:
            actions.append(action)
        elif LaunchTogether(batch) not in actions:
            actions.append(LaunchTogether(batch))
    return replace(plan, claims=tuple(claims.values()), actions=tuple(actions))


def may_be_joined(claim: Claim) -> bool:
    """Return whether a claim that is about to be launched may be put into a call with others.

    Not what was sent before, alone: that call has its own key. Not a VM that must have an address of its own, since a
    call has one for all its VMs or none. Not one that reaches the front-end from the internet: mates can read each
    other's ticket, so where a caller is has to tell which of them it is.
    """
    alone = claim.kind is not Kind.WORKER or claim.probe or bool(claim.wanted_address) or bool(claim.tunnel)
    return not alone and not claim.batch and claim.launches == 1


def whole(claim: Claim, claims: Mapping[str, Claim]) -> bool:
    """Return whether the call that *claim* was sent in can be sent again as it was."""
    mates = [claims.get(key) for key in claim.batch]
    return all(one and one.state is ClaimState.LAUNCHING and one.batch == claim.batch for one in mates)


def made_in_part(claim: Claim, claims: Mapping[str, Claim]) -> bool:
    """Return whether VMs came of the call that *claim* was sent in."""
    return any(one.instance_id for key in claim.batch if (one := claims.get(key)) is not None)


def halved(claim: Claim, error: CloudError) -> Claim | None:
    """Return *claim*, to be asked for again in a smaller call, where one for several was more than the quota holds.

    None for any other refusal, and for gangs: a part of one is of no use.
    """
    count = len(claim.batch)
    if count < 2 or claim.gang or not isinstance(error, QuotaExceeded):
        return None
    reason = f"{count} at once are more than the quota holds, fewer are tried: {error}"
    # the provider has refused it, so nothing was made, and nothing was sent that could be made yet
    return replace(claim, batch=(), batch_most=count // 2, launches=0, launched_at=None, reason=reason)
