"""Looks the lock over, for ``./dev lint``: what needs no network must hold; what is known against a release is asked.

The advisories stand at PyPI, and at OSV. Where neither can be asked, as is usual behind a mirror, that is said and is
no failure; a known vulnerability is one. A package that a service does not know counts as not asked: a mirror that has
files and no advisories must not look like a clean bill.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from package.locked import DEV, ROOT, faults

SERVICES = ("pypi", "osv")
PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a service answered."""

    #: how many packages it knew
    asked: int = 0
    unasked: tuple[str, ...] = ()
    #: ``NAME VERSION: ADVISORY, mended in VERSION``
    known: tuple[str, ...] = ()


def read(answer: str) -> Verdict | None:
    """Return what pip-audit's JSON says; None: it was no answer."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    known = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no release yet'}"
        for one in packages
        for flaw in one.get("vulns", ())
    ]
    unasked = tuple(one["name"] for one in packages if "skip_reason" in one)
    return Verdict(len(packages) - len(unasked), unasked, tuple(known))


def ask(service: str) -> Verdict | None:
    """Return what a service knows against what is locked; None: it cannot be asked."""
    words = ["--requirement", DEV, "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", *words, "--vulnerability-service", service, "--timeout", "10"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return read(done.stdout)


def judge(wrong: Sequence[str], verdicts: Sequence[Verdict | None]) -> tuple[list[str], bool]:
    """Return what is to be said, and whether the lock passes.

    :param wrong: rules that it breaks.
    :param verdicts: of the services, as far as they were asked.
    """
    if wrong:
        return [*wrong, "the cure: ./dev lock"], False
    answers = [one for one in verdicts if one is not None and one.asked]
    known = sorted({text for one in answers for text in one.known})
    if known:
        return [*known, "the cure: ./dev lock --upgrade"], False
    if not answers:
        return ["NOT ASKED: no service of advisories can be reached; pins and hashes hold"], True
    best = min(answers, key=lambda one: len(one.unasked))
    lines = [f"nothing is known against {best.asked} packages"]
    if best.unasked:
        lines.append(f"NOT ASKED, since the service does not know them: {', '.join(best.unasked)}")
    return lines, True


def main() -> None:
    """Look the lock over; exit with 1 if it does not pass."""
    wrong = faults()
    verdicts: list[Verdict | None] = []
    for service in () if wrong else SERVICES:
        verdicts.append(ask(service))
        latest = verdicts[-1]
        if latest is not None and latest.asked and not latest.unasked:
            break
    lines, passes = judge(wrong, verdicts)
    print("\n".join(f"audit: {line}" for line in lines))
    sys.exit(not passes)


if __name__ == "__main__":
    main()
