"""The real user-data script in a real shell against the real service: what a VM does in its first seconds."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from clues.bootstrap import wire
from clues.errors import Transient
from clues.model import Gpu, Kind
from clues.ports import Provision
from tests.unit.bootstrap.lab import (
    BOOT,
    CANARY,
    KEY,
    NODE,
    SECRETS,
    Authorities,
    FrontEnd,
    Vm,
    answering,
    front_end,
    identity_of,
)

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


PART = "  MIG 1g.5gb     Device  {0}: (UUID: MIG-{0})\n"
GPUS = {
    "two": ("GPU 0: NVIDIA A10 (UUID: GPU-1)\nGPU 1: NVIDIA A10 (UUID: GPU-2)\n", 2),
    "one in three parts, one whole": (
        f"GPU 0: A100 (UUID: GPU-1)\n{PART.format(0)}{PART.format(1)}{PART.format(2)}GPU 1: A100 (UUID: GPU-2)\n",
        4,
    ),
    "one in one part": (f"GPU 0: A100 (UUID: GPU-1)\n{PART.format(0)}", 1),
}


@pytest.mark.parametrize("what", GPUS)
def test_gpus_are_counted_by_the_driver_without_their_type(front: FrontEnd, vm: Vm, what: str) -> None:
    listing, count = GPUS[what]
    (vm.root / "etc/clues/facts").unlink()
    vm.write("tools/nvidia-smi", f"#!/bin/sh\ncat <<'END'\n{listing}END\n", 0o755)
    vm.run(front)
    ((_, _, facts),) = front.desk.redeemed
    assert facts.gpus.gpus == (Gpu("", count),)


def test_the_keys_that_ssh_shows_are_told_by_their_fingerprints(front: FrontEnd, vm: Vm) -> None:
    told = []
    for kind in ("ed25519", "ecdsa"):
        file = vm.root / f"etc/ssh/ssh_host_{kind}_key"
        file.parent.mkdir(exist_ok=True)
        key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        file.with_suffix(".pub").write_bytes(public + b" root@image\n")
        digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
        told.append("SHA256:" + base64.b64encode(digest).decode().rstrip("="))
    assert vm.run(front).returncode == 0
    ((_, _, facts),) = front.desk.redeemed
    assert sorted(facts.host_keys) == sorted(told)


def test_a_boot_that_does_not_end_is_told_with_the_step_that_it_hangs_in(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets = replace(SECRETS, settings={**SECRETS.settings, "LIMIT": "4"})
    vm.write("etc/clues/start", '#!/bin/sh\n[ "$1" = munge ] || exec sleep 30\n', 0o755)
    assert vm.run(front).returncode != 0
    ((kind, words),) = front.desk.reports
    assert kind == "failed"
    assert words.startswith(f"step start slurmd on {NODE}:")
    assert "it had not ended after 4 s" in words


def test_what_the_boot_tells_is_in_the_report(front: FrontEnd, vm: Vm) -> None:
    (vm.root / "tools/nft").unlink()
    assert vm.run(front).returncode == 0
    ((kind, words),) = front.desk.reports
    assert kind == "started"
    assert wire.parse_started(words).warnings == ("users reach the metadata service: there is no nft, and no iptables",)


def test_a_disk_that_takes_nothing_is_the_last_word_all_the_same(front: FrontEnd, vm: Vm) -> None:
    vm.write("var/lib", "no folder can be made here")
    assert vm.run(front).returncode != 0
    ((kind, words),) = front.desk.reports
    assert kind == "failed"
    assert "/var/lib/clues cannot be written" in words
    assert front.desk.redeemed == []


def test_a_boot_without_its_second_part_says_so(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets = replace(SECRETS, files=(SECRETS.files[0],))
    assert vm.run(front).returncode != 0
    ((_, words),) = front.desk.reports
    assert "the answer held no /etc/clues/boot" in words


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_off_by_an_hour_ends_the_boot_and_is_told_plainly(
    front: FrontEnd, vm: Vm, seconds: int
) -> None:
    vm.write("etc/clues/facts", f"CLOCK={int(time.time()) + seconds}")
    assert vm.run(front).returncode != 0
    ((_, _, facts),) = front.desk.redeemed
    assert abs(facts.clock_skew_seconds - seconds) < 50
    ((kind, words),) = front.desk.reports
    assert kind == "failed"
    told = re.search(r"the clock is off by (-?\d+) s", words)
    assert told
    assert abs(int(told[1]) - seconds) < 50
    assert "munge would refuse every credential" in words
    assert vm.started == []
    assert not (vm.root / "etc/munge").exists()


def test_a_clock_that_is_nearly_right_is_right_enough(front: FrontEnd, vm: Vm) -> None:
    vm.write("etc/clues/facts", f"CLOCK={int(time.time()) + 30}")
    assert vm.run(front).returncode == 0


def test_a_time_service_is_waited_for_before_munge_starts(front: FrontEnd, vm: Vm) -> None:
    vm.write("tools/pidof", "#!/bin/sh\nexit 0\n", 0o755)
    synchronised = 'echo "Leap status     : $([ -e "$CLUES_ROOT/again" ] && echo Normal || echo Not synchronised)"'
    asked = 'echo chronyc >>"$CLUES_ROOT/started"'
    again = '[ ! -e "$CLUES_ROOT/asked" ] || : >"$CLUES_ROOT/again"; : >"$CLUES_ROOT/asked"'
    vm.write("tools/chronyc", f"#!/bin/sh\n{asked}\n{again}\n{synchronised}\n", 0o755)
    assert vm.run(front).returncode == 0
    assert [line.split()[0] for line in vm.started] == ["chronyc", "chronyc", "munge", "slurmd"]


def test_the_key_stays_on_the_vm_and_only_root_reads_it(front: FrontEnd, vm: Vm) -> None:
    assert vm.run(front).returncode == 0
    tls = vm.root / "etc/clues/tls"
    assert stat.S_IMODE(tls.stat().st_mode) == 0o700
    assert stat.S_IMODE((tls / "key.pem").stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate((tls / "cert.pem").read_bytes())
    key = serialization.load_pem_private_key((tls / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert certificate.public_key() == key.public_key()
    assert (tls / "ca.pem").read_text() == front.ca_pem
    secret = vm.read("etc/clues/tls/key.pem").splitlines()[1]
    assert vm.files_holding(secret) == ["etc/clues/tls/key.pem"]


def test_once_it_has_enrolled_it_speaks_by_its_certificate_and_the_ticket_is_gone(front: FrontEnd, vm: Vm) -> None:
    assert vm.run(front).returncode == 0
    assert front.desk.told_by == [KEY]
    assert not (vm.root / f"var/lib/clues/{KEY}/header").exists()


ROUTER = Provision(
    files=(
        ("/etc/openvpn/clues/client.conf", 0o600, b"client\n"),
        ("/etc/openvpn/clues/tls-crypt-v2.key", 0o600, CANARY),
        ("/etc/clues/agent", 0o755, b"#!/bin/sh\n"),
        ("/etc/systemd/system/clues-agent.service", 0o644, b"[Unit]\n"),
        *BOOT.files,
    ),
    settings={"HOSTNAME": NODE},
    services=("clues-agent",),
)


def test_a_router_has_a_certificate_for_its_peers_and_tells_its_fingerprint(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets, front.desk.kind = ROUTER, Kind.ROUTER
    assert vm.run(front, kind=Kind.ROUTER).returncode == 0
    certificate = x509.load_pem_x509_certificate((vm.root / "etc/clues/tls/shortcut.pem").read_bytes())
    assert front.desk.fingerprints == [certificate.fingerprint(hashes.SHA256()).hex(":").upper()]
    assert (
        certificate.public_key()
        == x509.load_pem_x509_certificate((vm.root / "etc/clues/tls/cert.pem").read_bytes()).public_key()
    )
    assert stat.S_IMODE((vm.root / "etc/openvpn/clues/tls-crypt-v2.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((vm.root / "etc/clues/agent").stat().st_mode) == 0o755
    assert vm.read("etc/systemd/system/clues-agent.service") == "[Unit]\n"
    assert vm.started == ["clues-agent"]


def test_routes_are_set_before_the_front_end_is_called(front: FrontEnd, vm: Vm) -> None:
    vm.write("tools/ip", '#!/bin/sh\necho "ip $*" >>"$CLUES_ROOT/started"\n', 0o755)
    routes = [("10.77.0.0/16", "10.77.2.9"), ("10.99.0.0/24", "10.77.2.9")]
    ended = vm.run(front, routes=routes)
    assert ended.returncode == 0, ended.stderr
    assert vm.started[:3] == [
        "ip route replace 10.77.0.0/16 via 10.77.2.9",
        "ip route replace 10.99.0.0/24 via 10.77.2.9",
        "munge",
    ]


def test_shares_are_mounted_before_slurmd_starts_and_never_with_suid_or_dev(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets = Provision(
        SECRETS.files, SECRETS.settings, SECRETS.services, mounts=(("10.77.0.1:/home", "/home", "nfs4", "hard,suid"),)
    )
    vm.write("tools/mount", '#!/bin/sh\necho "mount $*" >>"$CLUES_ROOT/started"\n', 0o755)
    ended = vm.run(front)
    assert ended.returncode == 0, ended.stderr
    assert vm.started == [
        "munge",
        f"mount -t nfs4 -o hard,nosuid,nodev,nosuid,nodev 10.77.0.1:/home {vm.root}/home",
        f"slurmd {SECRETS.settings['SLURMD_OPTIONS']}",
    ]
    assert stat.S_IMODE((vm.root / "home").stat().st_mode) == 0o755


def test_a_share_that_cannot_be_mounted_is_the_last_word(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets = Provision(
        SECRETS.files, SECRETS.settings, SECRETS.services, mounts=(("10.77.0.1:/home", "/home", "nfs4", ""),)
    )
    vm.write("tools/mount", "#!/bin/sh\necho 'mount.nfs4: access denied' >&2\nexit 32\n", 0o755)
    assert vm.run(front).returncode != 0
    ((kind, words),) = front.desk.reports
    assert kind == "failed"
    assert "10.77.0.1:/home could not be mounted at /home" in words
    assert "access denied" in words
    assert vm.started == ["munge"]


def test_with_a_tunnel_of_its_own_nothing_else_starts_before_the_tunnel_is_up(front: FrontEnd, vm: Vm) -> None:
    front.desk.secrets = Provision(
        SECRETS.files, {**SECRETS.settings, "TUNNEL": "10.77.252.10"}, ("clues-agent", "munge", "slurmd")
    )
    vm.write(
        "tools/ip",
        '#!/bin/sh\n[ "$1" = -o ] || exit 0\necho asked >>"$CLUES_ROOT/started"\n'
        'case $(grep -c asked "$CLUES_ROOT/started") in 1) echo "7: tun0 inet 10.77.252.100/22" ;;\n'
        '*) echo "7: tun0 inet 10.77.252.10/22" ;; esac\n',
        0o755,
    )
    ended = vm.run(front)
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[0] for line in vm.started] == ["clues-agent", "asked", "asked", "munge", "slurmd"]


def test_a_second_run_starts_again_what_it_has_without_enrolling(front: FrontEnd, vm: Vm) -> None:
    vm.run(front)
    assert vm.run(front).returncode == 0
    assert len(front.desk.redeemed) == 1
    assert [line.split()[0] for line in vm.started] == ["munge", "slurmd", "munge", "slurmd"]


def test_a_retry_comes_with_the_same_key(front: FrontEnd, vm: Vm) -> None:
    with answering(front, b"nonsense\n") as url:  # as if the first answer had been lost on its way
        assert vm.run(front, urls=[url]).returncode != 0
    request = vm.read(f"var/lib/clues/{KEY}/csr")
    assert vm.run(front).returncode == 0
    assert [heard for heard, _, _ in front.desk.redeemed] == [identity_of(request)]


def test_a_disk_copied_from_another_worker_enrols_anew_with_a_key_of_its_own(
    front: FrontEnd, vm: Vm, tmp_path: Path
) -> None:
    vm.run(front)
    shutil.move(vm.root / f"var/lib/clues/{KEY}", vm.root / "var/lib/clues/other-claim")
    (vm.root / "etc/munge/munge.key").unlink()
    former = vm.read("etc/clues/tls/key.pem")
    with front_end(tmp_path / "second") as second:
        assert vm.run(second).returncode == 0
        assert len(second.desk.redeemed) == 1
    assert (vm.root / "etc/munge/munge.key").exists()
    assert vm.read("etc/clues/tls/key.pem") != former


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
    other = Authorities.open(tmp_path / "another")
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


ANSWER = wire.encode_answer(SECRETS, datetime.now(UTC)).decode()
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
    "a unit that is not ours": "clues 1\nfile 0644 /etc/systemd/system/ssh.service cm9vdA==\nend 2\n",
    "a file below the key": "clues 1\nfile 0644 /etc/clues/tls/a/b cm9vdA==\nend 2\n",
    "a hook in a folder of its own": "clues 1\nfile 0700 /etc/clues/hooks/a/b cm9vdA==\nend 2\n",
    "a hook by way of ..": "clues 1\nfile 0700 /etc/clues/hooks/.. cm9vdA==\nend 2\n",
    "a limit that is none": "clues 1\nset LIMIT 1s\nend 2\n",
    "a release with a shell in it": "clues 1\nset SLURMD_RELEASES 22.05;reboot\nend 2\n",
    "a time that is none": "clues 1\nset TIME now\nend 2\n",
    "a mount over the system": "clues 1\nmount 10.77.0.1:/x /etc/slurm nfs4 ro\nend 2\n",
    "a mount over all": "clues 1\nmount 10.77.0.1:/x / nfs4 ro\nend 2\n",
    "a mount by way of ..": "clues 1\nmount 10.77.0.1:/x /home/../etc nfs4 ro\nend 2\n",
    "a mount with an option for a source": "clues 1\nmount --bind /home nfs4 ro\nend 2\n",
    "a mount with five words": "clues 1\nmount a:/x /home nfs4 ro rw\nend 2\n",
    "a mount without options": "clues 1\nmount a:/x /home nfs4\nend 2\n",
    "a mount with a shell in it": "clues 1\nmount a:/x /home nfs4 ro;reboot\nend 2\n",
    "no base64": "clues 1\nfile 0644 /etc/slurm/a cm9vdA==\nfile 0644 /etc/slurm/b $(id)\nend 3\n",
    "broken base64": "clues 1\nfile 0644 /etc/slurm/a c=m\nend 2\n",
    "an unknown setting": "clues 1\nset PATH /tmp\nend 2\n",
    "a setting with quotes": 'clues 1\nset SLURMD_OPTIONS "; reboot\nend 2\n',
    "a service with options": "clues 1\nservice munge --force\nend 2\n",
    "a service that is a path": "clues 1\nservice ../../bin/sh\nend 2\n",
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_an_answer_that_is_not_whole_and_known_changes_nothing(front: FrontEnd, vm: Vm, what: str) -> None:
    with answering(front, BAD_ANSWERS[what].encode()) as url:
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
    assert vm.files_holding(ticket) == []
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
    front.desk.secrets = Provision((SECRETS.files[0], *BOOT.files), SECRETS.settings, SECRETS.services)
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
        ended = vm.run(front, path=f"{vm.root}/tools:/usr/bin:/bin:/usr/sbin")
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


def test_a_user_that_the_kernel_does_not_know_here_does_not_stop_the_vm(
    front: FrontEnd, vm: Vm, tmp_path: Path
) -> None:
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
    (vm.root / "tools/chown").unlink()
    vm.write("tools/chown", "#!/bin/sh\nexit 1\n", 0o755)
    with front_end(tmp_path / "second") as second:
        ended = vm.run(second)
    assert ended.returncode != 0
    assert "could not be given to munge" in ended.stderr
