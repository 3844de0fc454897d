"""What the user-data script sees to before a job of anybody can run: SlurmUser's number, and the accounts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.bootstrap.lab import SECRETS, FrontEnd, Vm, front_end

#: the image: slurm has 64030, and nobody else is there
ID = '#!/bin/sh\n[ "$1" = -u ] || exit 1\ncase $2 in slurm) echo 64030 ;; "") echo 0 ;; *) exit 1 ;; esac\n'

#: brings the settings a while after it was started
SLOW_AGENT = """#!/bin/sh
echo "$1" >>"$CLUES_ROOT/started"
[ "$1" = clues-agent ] || exit 0
(
    sleep 0.7
    mkdir -p "$CLUES_ROOT/var/lib/clues/agent"
    echo settings >>"$CLUES_ROOT/started"
    : >"$CLUES_ROOT/var/lib/clues/agent/settings"
) >/dev/null 2>&1 &
"""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    with front_end(tmp_path / "state") as running:
        yield running


@pytest.fixture
def vm(tmp_path: Path) -> Vm:
    (tmp_path / "vm").mkdir()
    return Vm(tmp_path / "vm", [shutil.which("dash") or "sh"])


def enrol(front: FrontEnd, vm: Vm, **settings: str) -> subprocess.CompletedProcess[str]:
    front.desk.secrets = replace(SECRETS, settings={**SECRETS.settings, **settings})
    (vm.root / "tools" / "id").unlink(missing_ok=True)
    vm.write("tools/id", ID, 0o755)
    return vm.run(front)


def test_an_image_with_the_front_ends_number_for_slurm_user_serves(front: FrontEnd, vm: Vm) -> None:
    assert enrol(front, vm, SLURM_USER="slurm:64030").returncode == 0
    assert front.desk.reports == [("started", "")]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("slurm:64031", "slurm has uid 64030 here and 64031 on the front-end: the image must have it with the same"),
        ("hpc:5000", "this image has no user hpc, who is SlurmUser with uid 5000 on the front-end"),
    ],
)
def test_another_number_is_the_last_word_and_no_secret_is_written(
    front: FrontEnd, vm: Vm, user: str, words: str
) -> None:
    assert enrol(front, vm, SLURM_USER=user).returncode != 0
    ((kind, told),) = front.desk.reports
    assert kind == "failed"
    assert words in told
    assert vm.started == []
    assert not (vm.root / "etc/munge/munge.key").exists()


def test_slurmd_starts_when_the_agent_has_brought_the_accounts(front: FrontEnd, vm: Vm) -> None:
    vm.write("etc/clues/start", SLOW_AGENT, 0o755)
    front.desk.secrets = replace(
        SECRETS, settings={**SECRETS.settings, "ACCOUNTS": "yes"}, services=("clues-agent", "munge", "slurmd")
    )
    ended = vm.run(front)
    assert ended.returncode == 0, ended.stderr
    assert vm.started == ["clues-agent", "munge", "settings", "slurmd"]
