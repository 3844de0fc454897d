"""Where exactly the daemon dies: at one persisted move of a claim, before or after its commit, or after its effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from clues.ledger import Commit
from clues.lifecycle import MOVES
from clues.model import ClaimState
from clues.simulation.daemon import Killed

#: Stands for a claim that was not there before.
NEW = "new"


class When(StrEnum):
    """On which side of the commit and its effect."""

    BEFORE_COMMIT = "before-commit"
    AFTER_COMMIT = "after-commit"
    AFTER_EFFECT = "after-effect"


#: Every step that is persisted: a purchase, and each move of the lifecycle table.
STEPS: tuple[tuple[str, str], ...] = (
    (NEW, ClaimState.PLANNED.value),
    (NEW, ClaimState.LAUNCHING.value),
    *((move.source.value, move.target.value) for move in MOVES),
)


@dataclass
class Crash:
    """Kills once, at the *nth* such move; without a step never."""

    step: tuple[str, str] | None = None
    when: When = When.BEFORE_COMMIT
    nth: int = 1
    struck: bool = False
    _seen: int = 0
    _commit: bool = False
    _effect: bool = False
    _acting: bool = False

    def __str__(self) -> str:
        """SOURCE:TARGET:WHEN:NTH, as `--crash` takes it."""
        source, target = self.step or ("", "")
        return f"{source}:{target}:{self.when}:{self.nth}"

    def before_commit(self, change: Commit, states: Mapping[str, ClaimState]) -> None:
        """A change is about to be written."""
        if self.step is None or self.struck or self._commit or self._effect:
            return
        for claim in change.claims:
            before = states.get(claim.key)
            moved = (before.value if before is not None else NEW, claim.state.value)
            self._seen += moved == self.step and before is not claim.state
        if self._seen < self.nth:
            return
        if self.when is When.BEFORE_COMMIT:
            self._strike()
        self._commit = True

    def after_commit(self) -> None:
        """It has been written."""
        if not self._commit:
            return
        self._commit = False
        if self.when is When.AFTER_COMMIT:
            self._strike()
        self._effect = True

    def before_acts(self) -> None:
        """The executor sends off what was decided."""
        self._acting = self._effect

    def after_acts(self, actions: int) -> None:
        """All calls are on their way; where there was none, this is after the effect."""
        if self._acting and not actions:
            self._strike()

    def after_effect(self) -> None:
        """A call has just had its effect, and nobody has heard its answer."""
        if self._effect and self._acting:
            self._strike()

    def _strike(self) -> None:
        self.struck, self._effect, self._commit = True, False, False
        raise Killed
