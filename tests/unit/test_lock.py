"""What is locked is what `pyproject.toml` wants, to the file's hash; and silence is not taken for a clean bill."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from package.audit import Verdict, judge, read
from package.locked import CLUES, CONSTRAINTS, DEV, FILES, ROOT, faults, pins

HASH = f"--hash=sha256:{'0' * 64}"


def test_the_lock_holds_what_the_project_wants() -> None:
    assert faults() == []


def test_it_names_no_host_and_no_place() -> None:
    for file in FILES:
        assert not re.search(r"://|^-|/home|/tmp|/opt", (ROOT / file).read_text(), re.MULTILINE), file


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        (f"rich==15.0.0 {HASH}", ""),
        (f"rich==15.0.0 \\\n    {HASH}\n    # via clues", ""),
        ("rich==15.0.0", "has no hash"),
        ("rich==15.0.0 --hash=md5:0", "is neither a release nor a hash"),
        (f"rich>=15.0.0 {HASH}", "is not pinned"),
        (f"rich==15.* {HASH}", "is not pinned"),
        (f"rich=={15},!=14 {HASH}", "is not pinned"),
        (f"rich @ https://example.org/rich.whl {HASH}", "is an address"),
        ("--index-url https://example.org", "is neither a release nor a hash"),
        ("-e .", "is neither a release nor a hash"),
    ],
)
def test_only_a_release_with_a_hash_is_locked(entry: str, wrong: str) -> None:
    (pin,) = pins(entry)
    assert pin.wrong.startswith(wrong)
    assert bool(pin.wrong) == bool(wrong)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", CONSTRAINTS):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "lock", tmp_path / "lock")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "pyproject.toml",
            '"pyyaml>=6.0"',
            '"pyyaml>=99"',
            r"lock/clues.txt: pyproject.toml wants pyyaml>=99, and 6",
        ),
        ("pyproject.toml", '"pyyaml>=6.0"', '"pyyaml>=6.0", "nobody"', "wants nobody, and nothing is locked"),
        (CLUES, "pyyaml==", "pyyaml==1", r"lock/clues.txt: pyyaml 1\S+, but 6\S+ in lock/dev.txt"),
        (DEV, "pyyaml==", "pyyaml==1", r"constraints.txt: pyyaml 6\S+, but 16\S+ in lock/dev.txt"),
        (CONSTRAINTS, "pyyaml==", "#", "constraints.txt: pyyaml is missing"),
    ],
)
def test_what_does_not_agree_is_told_with_its_place(copy: Path, file: str, old: str, new: str, told: str) -> None:
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    assert any(re.search(told, one) for one in faults(copy)), faults(copy)


def answer(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": [*packages], "fixes": []})


CLEAN = {"name": "rich", "version": "15.0.0", "vulns": []}
FLAWED = {"name": "rich", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}
SKIPPED = {"name": "rich", "skip_reason": "not found"}


def test_a_known_vulnerability_fails_whatever_else_was_answered() -> None:
    lines, passes = judge([], [read(answer(SKIPPED)), read(answer(FLAWED, SKIPPED))])
    assert (lines[0], passes) == ("rich 1.0: PYSEC-1, mended in 1.1", False)


@pytest.mark.parametrize("verdict", [None, Verdict(), read(answer(SKIPPED)), read("Traceback"), read("[]")])
def test_that_nobody_could_be_asked_is_said_and_is_no_clean_bill(verdict: Verdict | None) -> None:
    lines, passes = judge([], [verdict])
    assert passes
    assert lines[0].startswith("NOT ASKED")


def test_what_a_service_does_not_know_is_named() -> None:
    lines, passes = judge([], [read(answer(CLEAN, {**SKIPPED, "name": "own"}))])
    assert passes
    assert lines == ["nothing is known against 1 packages", "NOT ASKED, since the service does not know them: own"]


def test_a_broken_rule_fails_without_a_network() -> None:
    assert judge(["lock/dev.txt: rich has no hash"], [])[1] is False
