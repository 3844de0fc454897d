"""One small file for each phase of a claim's life, all of one form: look, return if nothing is due, move once.

A step sees the claim and the view of this tick and returns the claim as it shall be. What then has to be done about it
(launch, open, drain, terminate) follows from the state alone, in :mod:`clues.planner.claims.effects` and
:mod:`clues.planner.doors`, so a step that is repeated after a crash repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clues.model import Claim, ClaimState, Kind
from clues.planner.phases import route
from clues.planner.phases.boot import step_booting, step_launching, step_planned
from clues.planner.phases.join import step_joining
from clues.planner.phases.serve import step_draining, step_ready
from clues.planner.phases.stop import step_failed, step_stopping
from clues.planner.view import View

Step = Callable[[Claim, View], Claim]

STEPS: Mapping[ClaimState, Step] = {
    ClaimState.PLANNED: step_planned,
    ClaimState.LAUNCHING: step_launching,
    ClaimState.BOOTING: step_booting,
    ClaimState.JOINING: step_joining,
    ClaimState.READY: step_ready,
    ClaimState.DRAINING: step_draining,
    ClaimState.FAILED: step_failed,
    ClaimState.STOPPING: step_stopping,
}

ROUTER_STEPS: Mapping[ClaimState, Step] = {
    ClaimState.PLANNED: route.step_planned,
    ClaimState.LAUNCHING: step_launching,
    ClaimState.BOOTING: route.step_booting,
    ClaimState.JOINING: route.step_joining,
    ClaimState.READY: route.step_ready,
    ClaimState.DRAINING: route.step_draining,
    ClaimState.FAILED: step_failed,
    ClaimState.STOPPING: step_stopping,
}


def advance(claim: Claim, view: View) -> Claim:
    """Return *claim* after at most one move, for each claim and tick."""
    steps = ROUTER_STEPS if claim.kind is Kind.ROUTER else STEPS
    step = steps.get(claim.state)
    return claim if step is None else step(claim, view)
