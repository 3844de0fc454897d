"""The unit is what systemd understands, and as closed as a service of this kind can be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "cluesd.service"


def test_systemd_understands_every_line() -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True)
    # the program is not installed where the tests run; that is the only thing that may be said
    said = [line for line in done.stderr.splitlines() if "cluesd" in line and "/usr/bin/cluesd is not exec" not in line]
    assert said == []


def test_its_exposure_is_low() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, text=True, check=True
    )
    found = re.search(r"Overall exposure level for cluesd.service: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= 1.5
