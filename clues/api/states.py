"""One word for each node, out of three readings: the claim's state, Slurm's flags, and what a sysadmin
ordered.

The rules are one table, read from the top; the first that holds gives the word. The claim speaks first where
a VM comes or goes, an admin's own drain beats what we would say of a running VM, and Slurm's flags decide the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clues.model import Claim, ClaimState, Node, Wish


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of one pool node at one moment."""

    claim: Claim | None = None
    node: Node | None = None
    wish: Wish | None = None
    #: Slurm has been read, so a node that is missing there is really missing
    slurm_known: bool = True

    def claimed(self, *states: ClaimState) -> bool:
        return self.claim is not None and self.claim.state in states

    def flagged(self, *flags: str) -> bool:
        return self.node is not None and not self.node.flags.isdisjoint(flags)


def _admin(reading: Reading) -> bool:
    return reading.node is not None and reading.node.kept_by_admin


def _busy(reading: Reading) -> bool:
    return reading.node is not None and reading.node.busy


def _registered(reading: Reading) -> bool:
    return reading.node is not None and reading.node.registered


def _usable(reading: Reading) -> bool:
    return reading.node is not None and reading.node.usable


def _unclaimed(reading: Reading) -> bool:
    return reading.claim is None


def _off(reading: Reading) -> bool:
    return reading.node is None or reading.node.off or reading.node.closed


_S = ClaimState

#: (word, when it applies); the words' meanings stand in :data:`clues.api.wire.NODE_STATES`.
RULES: tuple[tuple[str, Callable[[Reading], bool]], ...] = (
    ("failed", lambda r: r.claimed(_S.FAILED)),
    ("stopping", lambda r: r.claimed(_S.STOPPING)),
    ("wanted", lambda r: r.claimed(_S.PLANNED)),
    ("launching", lambda r: r.claimed(_S.LAUNCHING)),
    ("booting", lambda r: r.claimed(_S.BOOTING)),
    ("draining", lambda r: r.flagged("DRAIN") and _busy(r) and _registered(r)),
    ("held", _admin),
    ("draining", lambda r: r.claimed(_S.DRAINING)),
    ("joining", lambda r: r.claimed(_S.JOINING)),
    ("unknown", lambda r: not r.slurm_known),
    ("down", lambda r: r.claimed(_S.READY) and (r.node is None or r.flagged("DOWN", "ERROR", "FAIL"))),
    # Slurm gave it a job before it could be closed (an eager pool does so always): the job waits for a VM.
    ("wanted", lambda r: _unclaimed(r) and _busy(r) and not _registered(r)),
    ("busy", _busy),
    ("idle", lambda r: r.claimed(_S.READY) and _usable(r)),
    # Checked and about to be opened: closed by us, for one tick.
    ("joining", lambda r: r.claimed(_S.READY) and r.flagged("DRAIN")),
    # Opened a moment ago: Slurm 22.05 shows NOT_RESPONDING until its slurmd answers the next time.
    ("joining", lambda r: r.claimed(_S.READY) and r.claim is not None and r.claim.opened_at is None),
    ("down", lambda r: r.claimed(_S.READY)),
    ("disabled", lambda r: r.wish is Wish.DISABLED),
    ("down", lambda r: r.node is None),
    ("stopping", lambda r: r.node is not None and r.node.turning_off),
    ("wanted", lambda r: r.flagged("POWERING_UP", "POWER_UP")),
    ("idle", lambda r: _unclaimed(r) and _usable(r)),
    ("off", _off),
    ("down", lambda _: True),
)


def state_of(reading: Reading) -> str:
    """Return the word for one pool node."""
    return next(word for word, holds in RULES if holds(reading))
