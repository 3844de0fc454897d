"""How much may still be looked at: planning is bounded by counted steps, so that it ends alike on every machine."""

from __future__ import annotations


class Work:
    """So many steps are left; about ten million are a second."""

    __slots__ = ("_whole", "left")

    def __init__(self, left: int, whole: Work | None = None) -> None:
        """:param whole: of what this is a part: what is done here is done there, too."""
        self.left = left
        self._whole = whole

    def __bool__(self) -> bool:
        return self.left > 0

    def part(self, most: int) -> Work:
        """Return a part of what is left: *most* steps, or fewer."""
        return Work(min(most, self.left), self)

    def spend(self, steps: int) -> None:
        """Count steps that were done."""
        self.left -= steps
        if self._whole is not None:
            self._whole.spend(steps)
