"""Users on a worker: they do not reach the metadata of its cloud, and what they leave goes with their last job."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.lab.cluster import Plan
from tests.lab.frontend import wait_for
from tests.lab.hooked import SCRATCH, only_vm, run_inside, workers_section
from tests.lab.users import User, UsersCluster, why_not

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(why_not()), reason=why_not())]

METADATA = "169.254.169.254"


class CleanCluster(UsersCluster):
    """Workers that are cleaned between users."""

    def document(self) -> dict[str, Any]:
        document = super().document()
        document["workers"] = workers_section(self.folder / "hooks", "60min")
        document["lrms"] = {**document["lrms"], "clean": True}
        return document


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsersCluster]:
    plan = Plan(vms={"cesnet": 1}, cpu_nodes="cpu-01", gpu_nodes="gpu-01", idle="10min")
    cluster = CleanCluster(tmp_path_factory.mktemp("users"), plan)
    with cluster:
        cluster.add_user("alice", 2001, 2001, "alice:x:2001:\n")
        cluster.add_user("bob", 2002, 2002, "bob:x:2002:\n")
        yield cluster


@contextmanager
def metadata_service() -> Iterator[str]:
    """A cloud's metadata service at its address, beside the VMs' gateway; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"secret")

    subprocess.run(["ip", "address", "add", f"{METADATA}/32", "dev", "clues0"], check=True)
    server = ThreadingHTTPServer((METADATA, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{METADATA}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        subprocess.run(["ip", "address", "del", f"{METADATA}/32", "dev", "clues0"], check=True)


def run(cluster: UsersCluster, who: str, script: str) -> dict[str, str]:
    user: User = cluster.users[who]
    job = cluster.submit(user, script)
    cluster.front.wait_job(job, "COMPLETED", timeout=40)
    return cluster.output(user, job)


def test_only_root_on_a_vm_reaches_the_metadata_service(cluster: UsersCluster) -> None:
    ask = ["curl", "-sS", "--noproxy", "*", "--max-time", "5"]
    with metadata_service() as url:
        told = run(cluster, "alice", f'set -f; echo "code=$({" ".join(ask)} {url} >/dev/null 2>&1; echo $?)"')
        assert told["code"] in {"7", "56"}  # refused at once, not after five seconds
        assert run_inside(only_vm(cluster), *ask, url).stdout == "secret"


def test_what_a_user_leaves_goes_with_their_last_job_and_not_before(cluster: UsersCluster) -> None:
    alice = cluster.users["alice"]
    vm, left = only_vm(cluster), ("tmp/of-alice", "var/tmp/of-alice", f"{SCRATCH[1:]}/of-alice")
    script = f"touch /tmp/of-alice {SCRATCH}/of-alice; setsid sleep 300 >/dev/null 2>&1 & sleep 6"
    long = cluster.submit(alice, script)
    run(cluster, "alice", "touch /var/tmp/of-alice")
    assert cluster.front.job_state(long) == "RUNNING"
    assert [path for path in left if (vm / path).exists()] == list(left)
    cluster.front.wait_job(long, "COMPLETED", timeout=40)
    wait_for("the epilog", lambda: True if not any((vm / path).exists() for path in left) else None, 15)
    told = run(cluster, "bob", f'echo "left=$(ls {SCRATCH})"; echo "processes=$(ps -u 2001 -o pid= | wc -l)"')
    assert told == {"left": "made-for", "processes": "0"}
    assert "DRAIN" not in cluster.front.node_flags("cpu-01")
