"""Policies on one trace, side by side: each in a process of its own, as many at once as there are processors.

They know nothing of each other, so what comes of them is the same however many are played at once. A process is
forked, so that the trace is not sent around; what comes of it comes back through a pipe. How far it is stands in memory
that all share: nobody waits for anybody to tell.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawArray

from clues.errors import CluesError
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.policies import Policy
from clues.simulation.trials.traces import TraceJob
from clues.simulation.trials.trial import Conditions

#: How often it is looked how far all are, in seconds.
EVERY = 0.2

#: Is told how many policies have been played, and which share of all the simulated time has passed.
Tell = Callable[[int, float], None]


class PolicyFailed(CluesError):
    """One of the policies could not be played to its end; the text names it."""


@dataclass(frozen=True)
class _Going:
    """A policy that is being played."""

    number: int
    process: ForkProcess
    result: connection.Connection


def play_all(
    policies: Sequence[Policy],
    jobs: Sequence[TraceJob],
    conditions: Conditions,
    processes: int,
    tell: Tell = lambda _, __: None,
) -> list[Outcome]:
    """Play each policy; return what came of them, in their order. With one process all of it is done in this one.

    :raises PolicyFailed: in one of them something failed; the others are not played on.
    """
    if min(processes, len(policies)) <= 1:
        return list(_one_by_one(policies, jobs, conditions, tell))
    shares = RawArray(ctypes.c_double, len(policies))
    waiting = list(enumerate(policies))[::-1]
    going: list[_Going] = []
    found: dict[int, Outcome] = {}
    try:
        while waiting or going:
            while waiting and len(going) < processes:
                number, policy = waiting.pop()
                with _no_interrupts():  # those of the terminal go to everybody: this process alone is to hear of them
                    going.append(_start(number, policy, jobs, conditions, shares))
            ready = connection.wait([one.result for one in going], EVERY)
            for one in [one for one in going if one.result in ready]:
                found[one.number] = _result(policies[one.number].label, one)
                shares[one.number] = 1.0
                going.remove(one)
            tell(len(found), sum(shares) / len(policies))
    finally:  # Ctrl-C, or one that failed
        for one in going:
            one.process.kill()
        for one in going:
            one.process.join()
            one.result.close()
    return [found[number] for number in range(len(policies))]


def _one_by_one(
    policies: Sequence[Policy], jobs: Sequence[TraceJob], conditions: Conditions, tell: Tell
) -> Iterator[Outcome]:
    for number, policy in enumerate(policies):

        def progress(share: float, before: int = number) -> None:
            tell(before, (before + share) / len(policies))

        try:
            outcome = policy.play(jobs, conditions, progress)
        except Exception as error:
            raise PolicyFailed(_told(policy.label, traceback.format_exc())) from error
        tell(number + 1, (number + 1) / len(policies))
        yield outcome


def _start(
    number: int, policy: Policy, jobs: Sequence[TraceJob], conditions: Conditions, shares: ctypes.Array[ctypes.c_double]
) -> _Going:
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_play, args=(number, policy, jobs, conditions, shares, theirs), name=policy.label, daemon=True
    )
    process.start()
    theirs.close()
    return _Going(number, process, ours)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Put Ctrl-C off; a process that is started meanwhile never hears of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _play(
    number: int,
    policy: Policy,
    jobs: Sequence[TraceJob],
    conditions: Conditions,
    shares: ctypes.Array[ctypes.c_double],
    result: connection.Connection,
) -> None:
    """The life of one process."""
    logging.disable(logging.CRITICAL)
    parent = os.getppid()

    def progress(share: float) -> None:
        shares[number] = share
        if os.getppid() != parent:
            sys.exit(1)  # nobody waits for it any more

    try:
        outcome: Outcome | str = policy.play(jobs, conditions, progress)
    except Exception:  # noqa: BLE001 - whatever it is, it is told by who can name the policy
        outcome = traceback.format_exc()
    result.send(outcome)


def _result(label: str, one: _Going) -> Outcome:
    """Return what a process has sent.

    :raises PolicyFailed: it has not got to its end.
    """
    try:
        outcome = one.result.recv()
    except EOFError:
        one.process.join()
        code = one.process.exitcode or 0
        why = f"by signal {-code} (9 may mean that the memory was full: try --processes 1)" if code < 0 else "early"
        raise PolicyFailed(f"{label}: its process was ended {why}") from None
    one.process.join()
    one.result.close()
    if isinstance(outcome, Outcome):
        return outcome
    raise PolicyFailed(_told(label, outcome))


def _told(label: str, trace: str) -> str:
    lines = trace.rstrip().splitlines()
    return f"{trace}{label}: could not be played: {lines[-1]}"
