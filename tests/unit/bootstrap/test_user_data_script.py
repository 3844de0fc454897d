"""The real user-data script in a real shell against the real service: what a VM does in its first seconds."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues.bootstrap import wire
from clues.bootstrap.ca import CaFiles
from clues.errors import Transient
from clues.model import Gpu
from clues.ports import WorkerSecrets
from tests.unit.bootstrap.lab import CANARY, KEY, NODE, SECRETS, FrontEnd, Vm, answering, front_end

SHELLS = {"dash": ["dash"]} | ({"busybox": ["busybox", "sh"]} if shutil.which("busybox") else {})


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    with front_end(tmp_path / "state") as running:
        yield running


@pytest.fixture(params=SHELLS)
def vm(request: pytest.FixtureRequest, tmp_path: Path) -> Vm:
    program, *rest = SHELLS[request.param]
    (tmp_path / "vm").mkdir()
    return Vm(tmp_path / "vm", [shutil.which(program) or program, *rest])


def test_a_vm_enrols_writes_what_it_got_and_starts_its_services_in_order(front: FrontEnd, vm: Vm) -> None:
    ended = vm.run(front)
    assert ended.returncode == 0, ended.stderr
    key = vm.root / "etc/munge/munge.key"
    assert key.read_bytes() == CANARY
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    assert stat.S_IMODE((vm.root / "etc/munge").stat().st_mode) == 0o700
    assert vm.read("etc/slurm/empty.conf") == ""
    assert stat.S_IMODE((vm.root / "etc/slurm/empty.conf").stat().st_mode) == 0o644
    assert vm.read("etc/hostname") == f"{NODE}\n"
    options = SECRETS.settings["SLURMD_OPTIONS"]
    assert vm.read("etc/default/slurmd") == f'SLURMD_OPTIONS="{options}"\n'
    assert vm.started == ["munge", f"slurmd {options}"]
    assert front.desk.reports == [("started", "")]


def test_the_desk_hears_what_the_image_says_that_the_vm_is(front: FrontEnd, vm: Vm) -> None:
    vm.run(front)
    ((_, address, facts),) = front.desk.redeemed
    assert (facts.cpus, facts.memory_mib, facts.gpus.gpus) == (8, 30000, (Gpu("a10", 1),))
    assert address == "127.0.0.1"
    assert abs(facts.clock_skew_seconds) < 30


def test_without_such_a_file_the_vm_counts_itself(front: FrontEnd, vm: Vm) -> None:
    (vm.root / "etc/clues/facts").unlink()
    for device in ("nvidia0", "nvidia1", "nvidiactl"):
        vm.write(f"dev/{device}", "")
    vm.run(front)
    ((_, _, facts),) = front.desk.redeemed
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    assert facts.memory_mib == total_kib // 1024
    assert facts.cpus == len(os.sched_getaffinity(0))
    assert facts.gpus.gpus == (Gpu("", 2),)


def test_a_driver_that_fails_has_no_gpus_whatever_device_files_there_are(front: FrontEnd, vm: Vm) -> None:
    (vm.root / "etc/clues/facts").unlink()
    vm.write("dev/nvidia0", "")
    vm.write("tools/nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2\nexit 9\n", 0o755)
    vm.run(front)
    ((_, _, facts),) = front.desk.redeemed
    assert facts.gpus.gpus == ()


def test_gpus_are_counted_by_the_driver_without_their_type(front: FrontEnd, vm: Vm) -> None:
    (vm.root / "etc/clues/facts").unlink()
    listing = (
        "GPU 0: NVIDIA A10 (UUID: GPU-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-GPU-1/1/0)\nGPU 1: NVIDIA A10 (UUID: GPU-2)"
    )
    vm.write("tools/nvidia-smi", f"#!/bin/sh\ncat <<'END'\n{listing}\nEND\n", 0o755)
    vm.run(front)
    ((_, _, facts),) = front.desk.redeemed
    assert facts.gpus.gpus == (Gpu("", 2),)


def test_a_pretended_clock_is_told(front: FrontEnd, vm: Vm) -> None:
    vm.write("etc/clues/facts", f"CLOCK={int(time.time()) + 900}")
    vm.run(front)
    ((_, _, facts),) = front.desk.redeemed
    assert 850 < facts.clock_skew_seconds < 950


def test_a_second_run_starts_again_what_it_has_without_enrolling(front: FrontEnd, vm: Vm) -> None:
    vm.run(front)
    assert vm.run(front).returncode == 0
    assert len(front.desk.redeemed) == 1
    assert [line.split()[0] for line in vm.started] == ["munge", "slurmd", "munge", "slurmd"]


def test_a_retry_sends_the_same_nonce(front: FrontEnd, vm: Vm) -> None:
    with answering(front.ca, b"nonsense\n") as url:  # as if the first answer had been lost on its way
        assert vm.run(front, urls=[url]).returncode != 0
    nonce = vm.read(f"var/lib/clues/{KEY}/nonce")
    assert vm.run(front).returncode == 0
    assert [heard for heard, _, _ in front.desk.redeemed] == [nonce]


def test_a_disk_copied_from_another_worker_enrols_anew(front: FrontEnd, vm: Vm) -> None:
    vm.run(front)
    shutil.move(vm.root / f"var/lib/clues/{KEY}", vm.root / "var/lib/clues/other-claim")
    (vm.root / "etc/munge/munge.key").unlink()
    front.desk.redeemed.clear()
    assert vm.run(front).returncode == 0
    assert len(front.desk.redeemed) == 1
    assert (vm.root / "etc/munge/munge.key").exists()


def test_a_service_that_is_away_is_asked_again(front: FrontEnd, vm: Vm) -> None:
    front.desk.troubles.append(Transient("the ledger is busy"))
    ended = vm.run(front, patience_seconds=30)
    assert ended.returncode == 0, ended.stderr
    assert "503" in ended.stderr


def test_the_next_url_is_tried_when_one_is_dead(front: FrontEnd, vm: Vm) -> None:
    assert vm.run(front, urls=["https://127.0.0.1:1", front.url]).returncode == 0


def test_a_refused_ticket_ends_the_script_at_once(front: FrontEnd, vm: Vm, tmp_path: Path) -> None:
    other = type(front.tickets).open(tmp_path / "another")
    ended = vm.run(front, ticket=other.issue(KEY), patience_seconds=600)
    assert ended.returncode != 0
    assert "refused (403): The ticket is not good" in ended.stderr
    assert vm.started == []


def test_a_server_of_another_authority_gets_no_ticket(front: FrontEnd, vm: Vm, tmp_path: Path) -> None:
    other = CaFiles.open(tmp_path / "another", "other", datetime.now(UTC))
    ended = vm.run(front, ca_pem=other.ca_pem)
    assert ended.returncode != 0
    assert front.desk.redeemed == []
    assert "certificate" in ended.stderr


def test_authorities_of_the_image_are_not_trusted(front: FrontEnd, vm: Vm) -> None:
    """Debian's curl looks into its default folder of authorities even where --cacert names one file."""
    curl = shutil.which("curl")
    (vm.root / "tools/curl").unlink()
    vm.write("tools/curl", f'#!/bin/sh\nexec {curl} "$@" -v\n', 0o755)
    assert vm.run(front).returncode == 0
    state = vm.root / f"var/lib/clues/{KEY}"
    places = {line.split()[2] for line in (state / "log").read_text().splitlines() if "CApath:" in line}
    assert places == {str(state / "nobody")}
    assert list((state / "nobody").iterdir()) == []


ANSWER = wire.encode_answer(SECRETS).decode()
BAD_ANSWERS = {
    "cut off": ANSWER[: ANSWER.rindex("end")],
    "a line short": ANSWER.replace("service munge\n", ""),
    "longer than its end": ANSWER + "service sshd\n",
    "an end in its middle": "clues 1\nend 2\nservice sshd\n",
    "of another version": ANSWER.replace("clues 1", "clues 2"),
    "empty": "",
    "a page": "<html>hello</html>\n",
    "a strange verb": "clues 1\nrun reboot\nend 2\n",
    "a file elsewhere": "clues 1\nfile 0644 /etc/passwd cm9vdA==\nend 2\n",
    "a file by way of ..": "clues 1\nfile 0644 /etc/slurm/../passwd cm9vdA==\nend 2\n",
    "a file deeper": "clues 1\nfile 0644 /etc/slurm/a/b cm9vdA==\nend 2\n",
    "a mode with setuid": "clues 1\nfile 4755 /etc/slurm/a cm9vdA==\nend 2\n",
    "no base64": "clues 1\nfile 0644 /etc/slurm/a cm9vdA==\nfile 0644 /etc/slurm/b $(id)\nend 3\n",
    "broken base64": "clues 1\nfile 0644 /etc/slurm/a c=m\nend 2\n",
    "an unknown setting": "clues 1\nset PATH /tmp\nend 2\n",
    "a setting with quotes": 'clues 1\nset SLURMD_OPTIONS "; reboot\nend 2\n',
    "a service with options": "clues 1\nservice munge --force\nend 2\n",
    "a service that is a path": "clues 1\nservice ../../bin/sh\nend 2\n",
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_an_answer_that_is_not_whole_and_known_changes_nothing(front: FrontEnd, vm: Vm, what: str) -> None:
    with answering(front.ca, BAD_ANSWERS[what].encode()) as url:
        ended = vm.run(front, urls=[url])
    assert ended.returncode != 0
    assert vm.started == []
    assert not (vm.root / "etc/munge").exists()
    assert not (vm.root / "etc/slurm/a").exists()
    assert not (vm.root / f"var/lib/clues/{KEY}/plan").exists()


def test_a_failing_service_is_reported_with_its_last_words_and_no_secret(front: FrontEnd, vm: Vm) -> None:
    vm.write(
        "etc/clues/start",
        '#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do echo "$i it does not work" >&2; done\n'
        'printf "\\033[2J" >&2\nbase64 -w0 <"$CLUES_ROOT/etc/munge/munge.key" >&2\n'
        'cat "$CLUES_ROOT"/var/lib/clues/*/header >&2\nexit 3\n',
        0o755,
    )
    ended = vm.run(front)
    assert ended.returncode != 0
    ((kind, words),) = front.desk.reports
    assert kind == "failed"
    assert words.startswith(f"step start munge on {NODE}:")
    assert "9 it does not work" in words
    assert "\x1b" not in words + ended.stderr  # the console shows the same words
    assert len(words) <= 2048
    secret = front.tickets.issue(KEY).rpartition(".")[2]
    for told in (words, ended.stderr, ended.stdout):
        assert secret not in told
        assert "Q0FOQVJZ" not in told  # the key, as base64


def test_a_report_is_short_however_much_was_said(front: FrontEnd, vm: Vm) -> None:
    vm.write("etc/clues/start", "#!/bin/sh\nhead -c 50000 /dev/zero | tr '\\0' x | sed 's/x/x /g'\nexit 3\n", 0o755)
    ended = vm.run(front)
    ((_, words),) = front.desk.reports
    assert 0 < len(words) <= 2048
    assert len(ended.stderr) < 2500


def test_no_secret_stays_behind_but_where_it_belongs(front: FrontEnd, vm: Vm) -> None:
    vm.run(front)
    ticket = front.tickets.issue(KEY)
    assert vm.files_holding(ticket) == [f"var/lib/clues/{KEY}/header"]
    assert vm.files_holding(CANARY.decode()) == ["etc/munge/munge.key"]
    assert vm.files_holding("Q0FOQVJZ") == []
    state = vm.root / f"var/lib/clues/{KEY}"
    assert [file.name for file in state.iterdir() if file.stat().st_mode & 0o077] == []


def test_the_ticket_is_in_nobodys_arguments(front: FrontEnd, vm: Vm) -> None:
    curl = shutil.which("curl")
    (vm.root / "tools/curl").unlink()
    recorder = f'#!/bin/sh\nprintf "%s\\n" "$@" >>"$CLUES_ROOT/argv"\nexec {curl} "$@"\n'
    vm.write("tools/curl", recorder, 0o755)
    assert vm.run(front).returncode == 0
    arguments = vm.read("argv")
    assert "/v1/enrol" in arguments
    assert front.tickets.issue(KEY).rpartition(".")[2] not in arguments


def test_systemd_is_asked_where_it_runs(front: FrontEnd, vm: Vm) -> None:
    (vm.root / "run/systemd/system").mkdir(parents=True)
    vm.write("tools/systemctl", '#!/bin/sh\necho "systemctl $*" >>"$CLUES_ROOT/started"\n', 0o755)
    assert vm.run(front).returncode == 0
    assert [line for line in vm.started if "restart" in line] == [
        "systemctl restart munge",
        "systemctl restart slurmd",
    ]


def test_slurmd_is_started_once_a_real_munge_works_with_the_key_that_was_sent(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets = WorkerSecrets((SECRETS.files[0],), SECRETS.settings, SECRETS.services)
    # munged takes a second to appear: what is protected is that slurmd is not started in between.
    vm.write(
        "etc/clues/start",
        """#!/bin/sh
socket=$CLUES_ROOT/run/munge/munge.socket.2
echo "$1 $(munge -n --socket=$socket >/dev/null 2>&1 && echo works || echo silent)" >>"$CLUES_ROOT/started"
[ "$1" = munge ] || exit 0
mkdir -p "$CLUES_ROOT/run/munge"
(sleep 1; exec munged --force --socket="$socket" --key-file="$CLUES_ROOT/etc/munge/munge.key" \
    --pid-file="$CLUES_ROOT/run/munge/pid" --seed-file="$CLUES_ROOT/run/munge/seed" \
    --log-file="$CLUES_ROOT/run/munge/log") >/dev/null 2>&1 &
""",
        0o755,
    )
    if os.geteuid() == 0:
        # munged wants its own key to be its own: here it runs as root.
        (vm.root / "tools/chown").unlink()
        (vm.root / "tools/chown").symlink_to("/bin/true")
    try:
        ended = vm.run(front, path=f"{vm.root}/tools:/usr/bin:/bin")
        assert ended.returncode == 0, ended.stderr
        assert vm.started == ["munge silent", "slurmd works"]
    finally:
        _end_munged(vm.root / "run/munge/pid")


def _end_munged(pid_file: Path) -> None:
    deadline = time.monotonic() + 5
    while not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if pid_file.exists():
        pid = int(pid_file.read_text())
        assert b"munged" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGTERM)


def test_a_user_that_the_kernel_does_not_know_here_does_not_stop_the_vm(front: FrontEnd, vm: Vm) -> None:
    """A fake root of a user namespace with a single id cannot give a file to munge, nor does it have to."""
    if os.geteuid() != 0 or subprocess.run(["id", "munge"], capture_output=True, check=False).returncode:
        assert vm.run(front).returncode == 0  # nothing can be given away by us at all: the same rule
        return
    shell = list(vm.shell)
    vm.shell = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", *shell]
    ended = vm.run(front)
    assert ended.returncode == 0, ended.stderr
    assert "is not mapped here" in ended.stderr
    vm.shell = shell
    shutil.rmtree(vm.root / "var")
    front.desk.redeemed.clear()
    (vm.root / "tools/chown").unlink()
    vm.write("tools/chown", "#!/bin/sh\nexit 1\n", 0o755)
    ended = vm.run(front)
    assert ended.returncode != 0
    assert "could not be given to munge" in ended.stderr
