"""One gang on two sites, the far one behind NAT: what users do across sites works, and the far worker is unaware of it.

Each site has room for one worker, so a gang of two spans both. The workers stay for the whole module: what is tested
here is the network between them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clues.model import Claim, ClaimState, Kind
from tests.lab.internet import in_namespace
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

WHOLE = ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--time=5")

#: Open MPI without a compiler: the library's own functions, called from Python.
MPI_HELLO = """
import ctypes, socket
mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
names = ("comm_world", "int", "op_sum")
world, integer, add = (ctypes.byref(ctypes.c_char.in_dll(mpi, f"ompi_mpi_{name}")) for name in names)
mpi.MPI_Init(None, None)
rank, size, total = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
mpi.MPI_Comm_rank(world, ctypes.byref(rank))
mpi.MPI_Comm_size(world, ctypes.byref(size))
mine = ctypes.c_int(10 ** rank.value)
mpi.MPI_Allreduce(ctypes.byref(mine), ctypes.byref(total), 1, integer, add, world)
print(f"hello from {rank.value} of {size.value} on {socket.gethostname()}: {total.value}", flush=True)
mpi.MPI_Finalize()
"""


#: Two tasks of a job send each other data.
EXCHANGE = Path(__file__).parents[1] / "lab" / "demo" / "exchange.py"

#: Writes down whatever goes through the internet's switch, from a first line on.
LISTEN = """
import socket, sys
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sys.stdout.buffer.write(b"listening\\n")
while True:
    sys.stdout.buffer.flush()
    sys.stdout.buffer.write(line.recv(65536))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("span")
    one_each = {"cesnet": 1, "upv": 1}
    with trial(
        folder, overlay=True, vms=one_each, pool={"span": True}, idle="120s", cpu_nodes="cpu-[01-02]"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def gang(cluster: Trial) -> dict[str, Claim]:
    """The two workers by their site, once a gang has run on both."""
    job = cluster.submit(*WHOLE)
    cluster.completes(job, timeout=90)
    assert cluster.hosts(job) == ["cpu-01", "cpu-02"]
    return {one.offer.site: one for one in cluster.claims() if one.kind is Kind.WORKER}


def output(cluster: Trial, script: str, *options: str) -> str:
    """What a job said on both nodes."""
    job = cluster.front.sbatch(script, *WHOLE, *options)
    state = cluster.front.wait_job(job, "COMPLETED", "FAILED", timeout=60)
    said = (cluster.home / f"slurm-{job}.out").read_text()
    assert state == "COMPLETED", said
    return said


def in_worker(cluster: Trial, claim: Claim, script: str) -> str:
    """What root of a worker sees."""
    pid = cluster.processes(claim.offer.site)[claim.instance_id].pid
    words = ["nsenter", "--target", str(pid), *"--net --mount --pid --uts --ipc --".split(), "sh", "-c", script]
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout


def test_a_gang_has_a_worker_at_each_site_and_one_router_carries_it(cluster: Trial, gang: dict[str, Claim]) -> None:
    assert set(gang) == {"cesnet", "upv"}
    assert all(claim.state is ClaimState.READY for claim in gang.values())
    routers = [one for one in cluster.claims() if one.kind is Kind.ROUTER]
    assert [(one.node, one.state, one.address) for one in routers] == [("router-upv", ClaimState.READY, "10.77.2.9")]
    assert routers[0].ready_at is not None
    assert gang["upv"].launched_at is not None
    assert routers[0].ready_at <= gang["upv"].launched_at, "the worker has to wait for its router"


def test_every_mate_is_known_by_name_on_every_node(cluster: Trial, gang: dict[str, Claim]) -> None:
    said = output(cluster, 'srun getent ahostsv4 cpu-01 cpu-02 "$(hostname)" | sort -u | grep STREAM')
    for claim in gang.values():
        lines = [line for line in said.splitlines() if line.startswith(f"{claim.address} ")]
        assert lines, said
    # each name means one machine, wherever it is asked
    assert {line.split()[0] for line in said.splitlines()} == {claim.address for claim in gang.values()}


def test_mates_talk_to_each_other_on_any_port(cluster: Trial, gang: dict[str, Claim]) -> None:
    (cluster.home / "exchange.py").write_text(EXCHANGE.read_text())
    output(cluster, 'srun /usr/bin/python3 exchange.py "$PWD/result" 4')
    assert '"bytes": 8388608' in (cluster.home / "result").read_text()


def test_an_mpi_program_runs_over_two_sites(cluster: Trial, gang: dict[str, Claim]) -> None:
    (cluster.home / "hello.py").write_text(MPI_HELLO)
    # mpirun starts its helpers by srun, and they call it back; Debian's Slurm finds no PMIx library for --mpi=pmix
    said = output(cluster, "mpirun /usr/bin/python3 hello.py 2>&1")
    assert sorted(line for line in said.splitlines() if line.startswith("hello")) == [
        f"hello from {rank} of 2 on cpu-0{rank + 1}: 11" for rank in (0, 1)
    ], said


def test_a_terminal_reaches_the_far_site(cluster: Trial, gang: dict[str, Claim]) -> None:
    node = gang["upv"].node
    command = f"srun --time=5 --nodelist={node} --cpus-per-task=4 --pty sh -c 'tty; hostname'"
    done = cluster.front.run(["script", "-qefc", command, "/dev/null"], timeout=60)
    # srun may say before it that it waits; ^@ is how the terminal shows the end of script's own input
    said = done.stdout.replace("^@", "")
    assert re.search(rf"^/dev/pts/[0-9]+\s+{node}\s*$", said, re.MULTILINE), done.stdout


def test_the_far_worker_has_a_route_and_nothing_of_a_vpn(cluster: Trial, gang: dict[str, Claim]) -> None:
    far = gang["upv"]
    routes = in_worker(cluster, far, "ip -4 route show").splitlines()
    assert [line.split()[:3] for line in routes if line.split()[0] not in ("default", "10.77.2.0/24")] == [
        ["10.77.0.0/16", "via", "10.77.2.9"]
    ]
    assert "openvpn" not in in_worker(cluster, far, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert in_worker(cluster, far, "ls -A /etc/openvpn /etc/clues/tls/shortcut.pem 2>/dev/null || true") == ""
    assert in_worker(cluster, far, "ip -br link show type tun") == ""
    router = next(one for one in cluster.claims() if one.kind is Kind.ROUTER)
    assert "openvpn" in in_worker(cluster, router, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), "the look finds nothing"


def test_what_the_sites_say_to_each_other_is_not_readable_on_the_way(
    cluster: Trial, gang: dict[str, Claim], tmp_path: Path
) -> None:
    words = b"not for strangers "
    text = EXCHANGE.read_text().replace("os.urandom(1 << 16)", f"{words!r} * 4096")
    (cluster.home / "readable.py").write_text(text)
    ways = {name: tmp_path / name for name in (cluster.internet.name, "upv")}
    with ExitStack() as stack:
        for namespace, path in ways.items():
            file = stack.enter_context(path.open("wb"))
            listener = subprocess.Popen(in_namespace(namespace, [sys.executable, "-c", LISTEN]), stdout=file)
            stack.callback(listener.wait)
            stack.callback(listener.kill)
        cluster.until("the listeners", lambda: all(path.stat().st_size for path in ways.values()))
        output(cluster, 'srun /usr/bin/python3 readable.py "$PWD/readable" 1')
    outside, inside = (path.read_bytes() for path in ways.values())
    assert len(outside) > 1 << 20
    assert words not in outside
    assert words in inside, "within the site it is readable: the listening works"
