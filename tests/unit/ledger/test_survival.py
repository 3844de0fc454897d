"""The ledger under kill -9, a full disk, and two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clues.errors import LedgerError
from clues.ledger import Commit, open_ledger
from tests.unit.builders import make_claim

ROOT = Path(__file__).parents[3]

WRITER = """
import sys
from pathlib import Path
from clues.ledger import Commit, open_ledger
from clues.model import ClaimState, Note
from tests.unit.builders import NOW, make_claim
ledger = open_ledger(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    claims = tuple(make_claim(f"cpu-{number}-{part}", ClaimState.LAUNCHING) for part in (1, 2, 3))
    ledger.commit(Commit(claims=claims, notes=(Note(NOW, "claim", str(number), "committed"),)))
    print(number, flush=True)
"""

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from clues.errors import LedgerError
from clues.ledger import Commit, open_ledger
from clues.model import ClaimState
from tests.unit.builders import make_claim
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is refused, as on a full disk
ledger = open_ledger(Path(sys.argv[1]))
ledger.commit(Commit(claims=(make_claim("before"),)))
size = sum(path.stat().st_size for path in Path(sys.argv[1]).parent.iterdir())
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
refused = None
for number in range(1000):
    pair = tuple(make_claim(f"{number}-{part}", ClaimState.LAUNCHING, reason="x" * 4000) for part in (1, 2))
    try:
        ledger.commit(Commit(claims=pair))
    except LedgerError as error:
        refused = (number, str(error))
        break
assert refused, "the disk never was full"
assert "nothing is started" in refused[1], refused
nodes = {claim.node for claim in ledger.live_claims().values()}
assert f"{refused[0]}-1" not in nodes and f"{refused[0]}-2" not in nodes, "half of a commit is there"
assert len(nodes) == 1 + 2 * refused[0]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
ledger.commit(Commit(claims=(make_claim("after"),)))
print("works again", refused[0])
"""


def python(code: str, path: Path) -> list[str]:
    return [sys.executable, "-c", code, str(path)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("wanted", [1, 7, 30])
def test_what_was_committed_survives_kill_9_and_nothing_is_half_written(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "ledger.db"
    with subprocess.Popen(python(WRITER, path), stdout=subprocess.PIPE, text=True, env=environment()) as writer:
        assert writer.stdout is not None
        told = 0
        for line in writer.stdout:
            told = int(line)
            if told >= wanted:
                break
        writer.send_signal(signal.SIGKILL)
        rest = [int(line) for line in writer.stdout.read().split()]
    told = max([told, *rest])
    ledger = open_ledger(path)
    nodes = {claim.node for claim in ledger.live_claims().values()}
    for number in range(1, told + 1):
        assert {f"cpu-{number}-{part}" for part in (1, 2, 3)} <= nodes
    assert len(nodes) % 3 == 0
    assert len(ledger.notes(limit=100_000)) == len(nodes) // 3
    ledger.commit(Commit(claims=(make_claim("after"),)))


def test_a_full_disk_refuses_whole_commits_and_the_ledger_works_again_later(tmp_path: Path) -> None:
    done = subprocess.run(
        python(FULL_DISK, tmp_path / "ledger.db"),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=100,
    )
    assert done.stdout.startswith("works again"), done.stderr
    assert "before" in {claim.node for claim in open_ledger(tmp_path / "ledger.db").live_claims().values()}


HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_while_another_process_writes_a_commit_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger(path)
    ledger._db.execute("PRAGMA busy_timeout = 100")
    holder = subprocess.Popen(python(HOLDER, path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerError):
            ledger.commit(Commit(claims=(make_claim(),)))
        holder.stdin.close()
    assert ledger.live_claims() == {}
    ledger.commit(Commit(claims=(make_claim(),)))


def test_a_second_process_reads_what_the_first_has_committed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with subprocess.Popen(python(WRITER, path), stdout=subprocess.PIPE, text=True, env=environment()) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        reader = open_ledger(path)
        deadline = time.monotonic() + 20
        while len(reader.notes(limit=1000)) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(reader.notes(limit=1000)) >= 5
        writer.kill()
