"""A VM of the local connector is a worker: it runs Slurm's daemons from its user-data alone."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clues.model import InstanceState
from clues.testing.connector_contract import OURS, find, launch, listed
from tests.lab.frontend import FrontEnd
from tests.real.local_site import LocalSite, until

pytestmark = pytest.mark.real

NODES = """NodeName=c[1-2] CPUs=4 RealMemory=4000 Gres=gpu:a10:2 Feature=here State=CLOUD NodeAddr=10.77.255.254
PartitionName=main Nodes=ALL Default=YES State=UP
"""
GRES = """NodeName=c[1-2] Name=gpu Type=a10 File=/dev/null
NodeName=c[1-2] Name=gpu Type=a10 File=/dev/zero
"""
# Every path is the same on the front-end and on VMs, as on any configless cluster.
CONFIGLESS = """SlurmctldParameters=power_save_interval=1,power_save_min_interval=0,enable_configless
AuthInfo=cred_expire=5
SlurmdSpoolDir=/var/spool/slurmd
SlurmdLogFile=/var/log/slurmd.log
SlurmdPidFile=/run/slurmd.pid
"""


def worker(front: FrontEnd, node: str) -> str:
    """What enrolment would do for this node, as a script."""
    key = base64.b64encode((front.folder / "etc" / "munge.key").read_bytes()).decode()
    assert front.ports is not None
    return f"""#!/bin/sh
set -eu
umask 077
base64 -d >/etc/munge/munge.key <<END
{key}
END
umask 022
/etc/clues/start munge
/etc/clues/start slurmd --conf-server {front.address}:{front.ports[0]} -N {node}
"""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    front = FrontEnd(tmp_path / "front", nodes_conf=NODES, gres_conf=GRES, extra_conf=CONFIGLESS)
    munge = Path("/run/munge/munge.socket.2")
    munge.parent.mkdir(exist_ok=True)
    munge.unlink(missing_ok=True)
    munge.symlink_to(front.run_folder / "munge.sock")
    with front:
        yield front
    munge.unlink()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    (tmp_path / "front" / "home").mkdir(parents=True, exist_ok=True)
    site = LocalSite(tmp_path, shared=[str(tmp_path / "front" / "home")])
    yield site
    site.clear()


def test_a_node_has_two_vms_one_after_the_other_and_each_runs_a_job(front: FrontEnd, site: LocalSite) -> None:
    connector = site.connect(OURS)
    front.update_node("c[1-2]", "state=drain", "reason=clues:off")
    for life in (1, 2):
        request = replace(site.request(OURS, 1, worker(front, "c1"), flavor="gpu"), launch_key=f"c1-{life}", node="c1")
        front.update_node("c1", f"nodeaddr={request.address}")
        instance = launch(connector, request)
        front.wait_node("c1", "DRAIN", without=["POWERED_DOWN"])
        front.update_node("c1", "state=resume")
        job = front.sbatch("hostname; echo $CUDA_VISIBLE_DEVICES; ip -br addr show eth0; id -un", "--gres=gpu:a10:2")
        front.wait_job(job, "COMPLETED")
        output = (front.folder / "home" / f"slurm-{job}.out").read_text()
        assert output.split()[:2] == ["c1", "0,1"]
        assert f"{request.address}/16" in output
        assert output.split()[-1] == "clues"
        front.update_node("c1", "state=drain", "reason=clues:off")
        front.update_node("c1", "state=down", "reason=clues:off")
        front.update_node("c1", "state=power_down")
        front.wait_node("c1", "POWERED_DOWN", without=["POWERING_DOWN"])
        connector.terminate(instance.id)
        front.update_node("c1", "state=drain", "reason=clues:off")
    assert [one.state for one in listed(connector)] == [InstanceState.GONE] * 2


def test_terminate_ends_a_running_job_at_once(front: FrontEnd, site: LocalSite) -> None:
    connector = site.connect(OURS)
    front.update_node("c[1-2]", "state=drain", "reason=clues:off")
    request = replace(site.request(OURS, 1, worker(front, "c1"), flavor="gpu"), node="c1")
    front.update_node("c1", f"nodeaddr={request.address}")
    instance = launch(connector, request)
    front.wait_node("c1", "DRAIN", without=["POWERED_DOWN"])
    front.update_node("c1", "state=resume")
    beat = front.folder / "home" / "beat"
    front.sbatch(f"while :; do echo . >>'{beat}'; sleep 0.05; done")
    until("the job to run", beat.exists)
    connector.terminate(instance.id)
    before = beat.stat().st_size
    assert find(connector, instance.id).state is InstanceState.GONE
    time.sleep(0.5)
    assert beat.stat().st_size == before
