"""The one table of a claim's life.

Who may move a claim from where to where, how long it may stay, and what then happens.  The ledger refuses any move that
is not in here; ``docs/reference/claim-states.md`` is generated from it; the crash tests take their points from it.

Two rules stand behind the table.  An intent is committed before its effect, so every state that *has* an effect
(``launching``, ``stopping``) is entered before the call is made.  And there is one way out: a claim that may have a VM
reaches ``gone`` only through ``stopping``, that is, by the provider's own word.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.model.claim import ClaimState as S


@dataclass(frozen=True, slots=True)
class Move:
    """One permitted transition."""

    source: S
    target: S
    #: what makes it: planner, provider (an answer or a listing), worker (its enrolment), slurm, operator, clock
    by: str
    when: str


@dataclass(frozen=True, slots=True)
class Stay:
    """What being in a state means, and what ends it when nothing else does."""

    state: S
    meaning: str
    #: the effect that is under way or asserted at every tick while the claim is here
    effect: str
    deadline: str
    then: S | None


STAYS: tuple[Stay, ...] = (
    Stay(
        S.PLANNED,
        "bought on paper; node closed; no address yet",
        "node drained and bound",
        "none: waits for its turn, or for the router of its site, as long as a job wants it",
        None,
    ),
    Stay(
        S.LAUNCHING,
        "the provider has been, or is being, asked",
        "launch",
        "boot_deadline of the pool or router",
        S.FAILED,
    ),
    Stay(
        S.BOOTING,
        "an instance exists",
        "none",
        "boot_deadline since the launch; behind a router, since that carries its network. Where no router comes, "
        "as long again as a router may take",
        S.FAILED,
    ),
    Stay(
        S.JOINING,
        "the VM has redeemed its ticket",
        "none",
        "join_deadline; while nobody can reach it, it stands still, but no longer than one more router may take "
        "(a router: no longer than boot_deadline)",
        S.FAILED,
    ),
    Stay(
        S.READY,
        "slurmd registered and checks passed, node open (a router: its tunnel is up)",
        "node opened",
        "pool's idle time without a job (a router: its linger without a worker); behind a router that is away, and "
        "without a job by Slurm's word, boot_deadline and join_deadline of the pool and of its router together",
        S.DRAINING,
    ),
    Stay(
        S.DRAINING,
        "takes no new jobs, lets running ones end (a router: lets its workers end)",
        "node drained",
        "none: jobs are never killed. Where they may run out of reach, which Slurm has written off, as long as ready",
        None,
    ),
    Stay(S.FAILED, "it did not work out; the reason is kept", "none", "at once", S.STOPPING),
    Stay(
        S.STOPPING,
        "node closed for good, instance being ended",
        "node powered off, terminate",
        "repeated until the provider says gone",
        None,
    ),
    Stay(
        S.GONE,
        "the provider says that no VM is left; cost booked",
        "node closed again",
        "none: final, unless its instance turns up late",
        None,
    ),
)

MOVES: tuple[Move, ...] = (
    Move(
        S.PLANNED,
        S.LAUNCHING,
        "planner",
        "its node is seen closed and it is its turn, and the router of its site is ready",
    ),
    Move(
        S.PLANNED,
        S.GONE,
        "planner",
        "no longer wanted, its router cannot be started, or refused before anything was sent",
    ),
    Move(S.LAUNCHING, S.BOOTING, "provider", "answered with an instance, or lists one with this launch key"),
    Move(S.LAUNCHING, S.FAILED, "provider", "refused, or the deadline passed"),
    Move(S.LAUNCHING, S.JOINING, "worker", "redeemed its ticket before the provider's answer came"),
    Move(S.BOOTING, S.JOINING, "worker", "redeemed its ticket, or an adopted router's tunnel is seen"),
    Move(
        S.BOOTING,
        S.FAILED,
        "clock",
        "deadline, last word of a failing boot, provider error, vanished, no way to it, or evicted",
    ),
    Move(S.BOOTING, S.DRAINING, "operator", "not wanted any more, or the provider takes the VM back"),
    Move(S.JOINING, S.READY, "slurm", "node registered, checks passed (for a gang: all mates); a router: tunnel up"),
    Move(S.JOINING, S.FAILED, "clock", "deadline, wrong resources or clock, vanished, no way to it, or evicted"),
    Move(S.JOINING, S.DRAINING, "operator", "not wanted any more, or the provider takes the VM back"),
    Move(
        S.READY,
        S.DRAINING,
        "planner",
        "idle (a router: without a worker) too long, operator, drained by an admin, no way to it, or the provider "
        "takes the VM back",
    ),
    Move(S.READY, S.FAILED, "provider", "its VM is gone, it was evicted, or a router's tunnel is down for too long"),
    Move(S.DRAINING, S.READY, "planner", "wanted again before it was closed"),
    Move(S.DRAINING, S.STOPPING, "slurm", "seen drained and idle in a fresh snapshot; a router: no worker left"),
    Move(S.DRAINING, S.FAILED, "provider", "its VM is gone, it was evicted, or a router's tunnel is down for too long"),
    Move(S.FAILED, S.STOPPING, "planner", "a VM may exist"),
    Move(S.FAILED, S.GONE, "planner", "certainly no VM was made"),
    Move(
        S.STOPPING,
        S.GONE,
        "provider",
        "lists the instance as gone, or has confirmed its end and two complete listings lack it",
    ),
    Move(S.GONE, S.STOPPING, "provider", "lists an instance with this launch key after all"),
)

PERMITTED: frozenset[tuple[S, S]] = frozenset((move.source, move.target) for move in MOVES)


def may_move(source: S, target: S) -> bool:
    """Return whether the table has this transition (staying is always permitted)."""
    return source is target or (source, target) in PERMITTED
