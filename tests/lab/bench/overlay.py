"""What the overlay costs and how quick it is: real OpenVPN between namespaces of this machine.

Every ratio is of two things measured in the same run, turn by turn, so that a machine that is busy slows both.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.bench import overlay_crowd, overlay_join, overlay_shortcut, overlay_throughput
from tests.lab.bench.figures import Figure


def run(folder: Path) -> list[Figure]:
    """Measure everything: about four minutes."""
    figures = overlay_throughput.run(folder / "throughput")
    figures += overlay_shortcut.run(folder / "shortcut")
    figures += overlay_crowd.run(folder / "crowd")
    return figures + overlay_join.run(folder / "join")
