"""What is played on a trace: a configuration under the daemon itself, or other rules on its pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clues.model import Settings
from clues.simulation.trials.fitting import fit
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.peers import PEERS, clairvoyant, run_peer
from clues.simulation.trials.traces import TraceJob
from clues.simulation.trials.trial import Conditions, Progress, run_trial

#: Instead of a peer's name: what nobody can do better than.
BOUND = "bound"


@dataclass(frozen=True)
class Policy:
    """One policy. ``peer`` is a name of :data:`PEERS`, or :data:`BOUND`; None: the daemon itself."""

    label: str
    settings: Settings
    peer: str | None = None

    def play(self, jobs: Sequence[TraceJob], conditions: Conditions, progress: Progress) -> Outcome:
        """Play the jobs of a trace; return what came of it."""
        fitted = fit(jobs, self.settings)
        if self.peer is None:
            return run_trial(self.label, self.settings, fitted, conditions, progress)
        if self.peer == BOUND:
            return clairvoyant(self.settings, fitted)
        return run_peer(self.peer, self.settings, fitted, conditions, progress)


def peers_on(settings: Settings) -> list[Policy]:
    """Return all peers' rules on the pools of one configuration, and the bound."""
    return [*(Policy(rules.name, settings, name) for name, rules in PEERS.items()), Policy("bound", settings, BOUND)]
