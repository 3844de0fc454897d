"""The Slurm adapter against a real controller: reading that cannot be forged, commands that may be repeated.

The controller's nodes come from the adapter's own fragment, so that is tried as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Gpu, Job, Node, Offer, Pool, Resources, Settings
from clues.ports import PluginContext
from lrms.slurm import PLUGIN
from lrms.slurm.plugin import Slurm, SlurmConfig
from tests.lab.frontend import FrontEnd, LabError, wait_for
from tests.lab.machine import Machine

pytestmark = pytest.mark.real

SITES = (Offer("cesnet", "m", "i", price_per_hour=0.0), Offer("upv", "m", "i", price_per_hour=0.1))
POOL = Pool(
    "gpu",
    ("g1", "g2", "g3"),
    Resources(2, 2000, (Gpu("a10", 2),)),
    SITES,
    partitions=("main",),
)
SETTINGS = Settings("lab", {}, {"gpu": POOL})
OTHER = "NodeName=onprem State=CLOUD CPUs=2 RealMemory=1000 NodeAddr=192.0.2.2\nPartitionName=onprem Nodes=onprem\n"
DEVICES = ("/dev/null", "/dev/zero")


def adapter(front: FrontEnd, **config: object) -> Slurm:
    checked = SlurmConfig.model_validate(
        {"conf": front.env["SLURM_CONF"], "gpu_devices": DEVICES, "default_partition": "main", **config}
    )
    return PLUGIN.build(checked, PluginContext("uuid", "lab", Path("/nowhere")), [POOL])


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    config = SlurmConfig.model_validate({"gpu_devices": DEVICES, "default_partition": "main"})
    rendered = PLUGIN.build(config, PluginContext("uuid", "lab", tmp_path), [POOL]).render_config(SETTINGS)
    front = FrontEnd(
        tmp_path / "front",
        nodes_conf=rendered["slurm-clues.conf"] + OTHER,
        gres_conf=rendered["gres-clues.conf"],
        extra_conf="Licenses=matlab:4\nSuspendTime=2000000000\nSlurmdTimeout=305",
    )
    with front:
        yield front


@pytest.fixture
def slurm(front: FrontEnd) -> Slurm:
    return adapter(front)


def node(slurm: Slurm, name: str = "g1") -> Node:
    return slurm.snapshot().nodes[name]


def job(slurm: Slurm, number: int) -> Job:
    return next(one for one in slurm.snapshot().jobs if one.id == str(number))


def wait_until_registered(slurm: Slurm, *names: str) -> None:
    def seen() -> bool | None:
        nodes = slurm.snapshot().nodes
        return all(nodes[name].registered for name in names) or None

    wait_for(f"{names} to register", seen, 20, lambda: slurm.snapshot().nodes)


def wait_until_off(slurm: Slurm, name: str) -> None:
    wait_for(f"{name} to be off", lambda: node(slurm, name).off or None, 20, lambda: node(slurm, name))


# --- configuration ----------------------------------------------------------------------------------------------------


def test_the_fragment_is_what_the_controller_then_has(front: FrontEnd, slurm: Slurm) -> None:
    assert slurm.check_config(SETTINGS) == []
    larger = replace(POOL, nodes=(*POOL.nodes, "g4"), shape=replace(POOL.shape, cpus=4))
    found = slurm.check_config(replace(SETTINGS, pools={"gpu": larger}))
    assert any("g4 not known to slurmctld" in sentence for sentence in found)
    assert any("CPUs is 2, clues.yaml says 4 (g[1-3])" in sentence for sentence in found)
    assert "error: Node configuration" not in front.log(lines=200)


def test_workers_are_sent_to_where_the_controller_listens(front: FrontEnd, slurm: Slurm, tmp_path: Path) -> None:
    key = tmp_path / "munge.key"
    key.write_bytes(b"k" * 64)
    key.chmod(0o600)
    assert front.ports is not None
    options = adapter(front, munge_key=key).bootstrap("g1").settings["SLURMD_OPTIONS"]
    assert options == f"--conf-server {front.address}:{front.ports[0]} -N g1"


# --- nodes ------------------------------------------------------------------------------------------------------------


def test_a_node_is_opened_used_closed_and_opened_again(front: FrontEnd, slurm: Slurm) -> None:
    assert not node(slurm).closed
    slurm.drain(POOL.nodes, "clues:off")
    slurm.drain(POOL.nodes, "clues:off")
    assert {"DRAIN", "POWERED_DOWN"} <= node(slurm).flags
    # a hyphen is allowed in a feature
    number = front.sbatch("sleep 300", "--gres=gpu:a10:1", "--mem=100", "-C", "upv&on-demand")
    bound = ["gpu", "on-demand", "upv"]
    for life in (1, 2):
        address = f"10.77.1.{life}"
        slurm.bind("g1", address, bound)
        slurm.bind("g1", address, bound)
        assert (node(slurm).address, node(slurm).active_features) == (address, frozenset(bound))
        assert node(slurm).slurmd_started is None
        with pytest.raises(LrmsError, match="g1 has no slurmd that answers"):
            slurm.open(["g1"])
        with Machine(front, "g1", address):
            wait_until_registered(slurm, "g1")
            joined = node(slurm)
            assert joined.closed
            assert joined.slurmd_started is not None
            # slurmctld forgets our reason, and may write its own on the second life
            assert joined.reason in {"", "Node unexpectedly rebooted"}
            if life == 1:
                slurm.open(["g1"])
                slurm.open(["g1"])
                front.wait_job(number, "RUNNING")
                busy = node(slurm)
                assert busy.used == Resources(1, 100, (Gpu("a10", 1),))
                assert job(slurm, number).nodes == ("g1",)
                slurm.drain(["g1"], "clues:idle")
                assert slurm.power_off(["g1"], "clues:off", vanished=False) == ()
                front.run(["scancel", str(number)])
                wait_for("g1 to be idle", lambda: (not node(slurm).busy) or None, 20)
            else:
                slurm.open(["g1"])
                wait_for("g1 to be usable", lambda: node(slurm).usable or None, 20, lambda: node(slurm))
                assert slurm.power_off(["g1"], "clues:off", vanished=False) == ()  # it is open
                slurm.drain(["g1"], "clues:idle")
            assert slurm.power_off(["g1"], "clues:off", vanished=False) == ("g1",)
            assert slurm.power_off(["g1"], "clues:off", vanished=False) == ()
            wait_until_off(slurm, "g1")
        assert slurm.power_off(["g1"], "clues:off", vanished=False) == ()  # it is off
        slurm.drain(["g1"], "clues:off")
        assert node(slurm).flags == {"DOWN", "CLOUD", "DRAIN", "POWERED_DOWN"}


def test_a_gang_is_opened_whole_or_not_at_all(front: FrontEnd, slurm: Slurm) -> None:
    slurm.drain(POOL.nodes, "clues:off")
    slurm.bind("g1", "10.77.1.1", ["gpu", "upv"])
    with Machine(front, "g1", "10.77.1.1"):
        wait_until_registered(slurm, "g1")
        with pytest.raises(LrmsError, match="no node was opened: g2 has no slurmd"):
            slurm.open(["g1", "g2"])
        assert node(slurm).closed


def test_a_vanished_vm_is_down_at_once_with_its_job(front: FrontEnd, slurm: Slurm) -> None:
    slurm.drain(POOL.nodes, "clues:off")
    slurm.bind("g1", "10.77.1.1", ["gpu", "upv"])
    number = front.sbatch("sleep 300")
    with Machine(front, "g1", "10.77.1.1") as machine:
        wait_until_registered(slurm, "g1")
        slurm.open(["g1"])
        front.wait_job(number, "RUNNING")
        machine.pull_the_plug()
        assert slurm.power_off(["g1"], "clues:gone", vanished=True) == ("g1",)
    front.wait_job(number, "PENDING")
    wait_until_off(slurm, "g1")


def test_an_admins_reason_outlives_all_commands(front: FrontEnd, slurm: Slurm) -> None:
    slurm.drain(POOL.nodes, "clues:off")
    slurm.bind("g1", "10.77.1.1", ["gpu", "upv"])
    with Machine(front, "g1", "10.77.1.1"):
        wait_until_registered(slurm, "g1")
        front.update_node("g1", "state=drain", "reason=bad disk, see #7")
        with pytest.raises(LrmsError, match="g1 is kept closed: bad disk"):
            slurm.open(["g1"])
        slurm.drain(["g1"], "clues:idle")
        assert node(slurm).reason == "bad disk, see #7"
        assert slurm.power_off(["g1"], "clues:off", vanished=False) == ("g1",)
        assert node(slurm).reason == "bad disk, see #7"
        wait_until_off(slurm, "g1")
    slurm.drain(["g1"], "clues:off")
    assert node(slurm).reason == "bad disk, see #7"
    assert node(slurm).kept_by_admin


@pytest.mark.parametrize("name", ["onprem", "g1,onprem", "g[1-2]", "nowhere", "g1 state=resume"])
def test_names_outside_the_pools_are_refused_by_every_command(slurm: Slurm, name: str) -> None:
    before = slurm.snapshot().nodes
    for command in (
        lambda: slurm.open([name]),
        lambda: slurm.drain(["g1", name], "clues:off"),
        lambda: slurm.power_off([name], "clues:off", vanished=True),
        lambda: slurm.bind(name, "10.77.1.1", []),
        lambda: slurm.bootstrap(name),
    ):
        with pytest.raises(LrmsError, match="of a pool"):
            command()
    assert slurm.snapshot().nodes == before


def test_a_binding_that_makes_no_sense_is_refused(slurm: Slurm) -> None:
    with pytest.raises(LrmsError, match="does not appear to be an IPv4"):
        slurm.bind("g1", "10.77.1.1,x state=resume", ["gpu"])
    with pytest.raises(LrmsError, match="declares it no feature aws"):
        slurm.bind("g1", "10.77.1.1", ["gpu", "aws"])


# --- jobs -------------------------------------------------------------------------------------------------------------

#: every option by which a user's words reach a field that is read, with a place for what does not belong there
OPTIONS = (
    "--constraint=upv{}",
    "--prefer=upv{}",
    "--licenses=matlab{}:1",
    "--licenses=matlab:1{}",
    "--reservation=r{}",
    "--dependency=afterok:1{}",
    "--dependency=singleton{}",
    "--gres=gpu:1{}",
    "--gres=gpu:a10{}:1",
    "--gpus=1{}",
    "--gpus=a10{}:1",
    "--gpus-per-node=1{}",
    "--gpus-per-task=1{}",
    "--cpus-per-gpu=1{}",
    "--mem-per-gpu=1{}",
    "--nodelist=g1{}",
    "--exclude=g1{}",
    "--partition=main{}",
    "--mem=1{}",
    "--time=1{}",
    "--array=1-2{}",
    "--ntasks=1{}",
    "--nodes=1{}",
    "--exclusive=user{}",
)
FORGED = ("\x1f", "\n", "\n777\x1fPENDING\x1froot", "|x", "\x1f" * 40)


#: where 22.05.8 looks at the words only when the job is about to start: a held job keeps whatever was written
UNCHECKED = ("--gres=gpu:a10{}:1", "--gpus=a10{}:1")


@pytest.mark.parametrize("forged", FORGED, ids=["separator", "newline", "record", "bar", "separators"])
def test_a_separator_in_any_option_forges_nothing(front: FrontEnd, slurm: Slurm, forged: str) -> None:
    """Slurm refuses it, but for a GPU's type; there it costs its own job's record, which is told, and no other."""
    when = ("starttime=now", "duration=60")
    front.scontrol("create", "reservation", "reservationname=r", *when, "nodes=g3", "users=clues")
    accepted = {str(front.sbatch("true", "--hold", "--reservation=r", "--constraint=upv")): ""}
    for option in OPTIONS:
        try:
            accepted[str(front.sbatch("true", "--hold", option.format(forged)))] = option
        except LabError:
            continue
    snapshot = slurm.snapshot()
    seen = {one.id.partition("_")[0] for one in snapshot.jobs}
    assert seen <= set(accepted)
    spoiled = set(accepted) - seen
    assert {accepted[number] for number in spoiled} <= set(UNCHECKED)
    assert len(snapshot.problems) == len(spoiled)
    if forged != "|x":
        assert spoiled, "Slurm has become stricter: UNCHECKED can go"


def test_what_a_user_writes_freely_forges_nothing(front: FrontEnd, slurm: Slurm) -> None:
    evil = "\n777\x1fPENDING\x1froot\n"
    number = front.sbatch(
        "true", "--hold", f"--job-name={evil}", f"--comment={evil}", f"--account={evil}", f"--wckey={evil}"
    )
    for reader in ("text", "json"):
        snapshot = adapter(front, reader=reader).snapshot()
        assert [one.id for one in snapshot.jobs] == [str(number)]
        assert not snapshot.problems


def test_text_and_json_tell_the_same(front: FrontEnd, slurm: Slurm) -> None:
    slurm.drain(POOL.nodes, "clues:off")
    for options in (
        ("-n3", "-c2", "--mem-per-cpu=100"),
        ("-N2-3", "-n4", "--ntasks-per-node=2", "--exclude=g3"),
        ("-N2", "--exclusive", "--mem=500", "-t", "1-02:03"),
        ("--gpus=3", "--partition=main"),
        ("--gpus-per-task=1", "-n2"),
        ("--gres=gpu:a10:2", "--nodelist=g1"),
        ("--array=0-999:3,7%5",),
        ("--constraint=upv|cesnet", "--licenses=matlab:2"),
        ("--begin=now+1hour",),
        ("--hold", "--account=Physics"),
    ):
        front.sbatch("true", *options)
    for _ in range(50):  # slurmctld goes on with them meanwhile
        one, two = slurm.snapshot(), adapter(front, reader="json").snapshot()
        if one.jobs == slurm.snapshot().jobs:
            break
    assert not one.problems
    assert not two.problems
    assert one.nodes == two.nodes
    assert len(one.jobs) == len(two.jobs) == 10
    assert sorted({job.account for job in one.jobs}) == ["", "physics"]
    assert one.licenses == two.licenses == {"matlab": 4}
    for left, right in zip(by_id(one), by_id(two), strict=True):
        # Text does not tell a maximum of one node from none; 22.05's JSON leaves out the CPUs of each task.
        same = replace(right.request, nodes_max=left.request.nodes_max, cpus_per_task=left.request.cpus_per_task)
        alike = replace(right, request=same)
        if left.array_id:  # JSON cuts a long list of tasks
            assert alike.count_pending <= left.count_pending == 335
            alike = replace(alike, count_pending=left.count_pending)
        assert left == alike


def by_id(snapshot: ClusterSnapshot) -> list[Job]:
    return sorted(snapshot.jobs, key=lambda one: one.id)


def test_a_pending_job_is_pinned_to_a_site_and_back(front: FrontEnd, slurm: Slurm) -> None:
    slurm.drain(POOL.nodes, "clues:off")
    for original in ("", "gpu", "cesnet|upv"):
        number = front.sbatch("true", *([f"--constraint={original}"] if original else []))
        for _ in range(2):
            slurm.pin(str(number), "upv", original)
            assert job(slurm, number).constraint in {"upv", "gpu&upv", "(cesnet|upv)&upv"}
        for _ in range(2):
            slurm.pin(str(number), "", original)
            assert job(slurm, number).constraint == original
    front.scontrol("update", f"jobid={number}", "features=cesnet")
    for site in ("upv", ""):
        with pytest.raises(LrmsError, match="was not"):
            slurm.pin(str(number), site, "cesnet|upv")
    assert job(slurm, number).constraint == "cesnet"
    slurm.pin("99999", "upv", "")  # a job that is gone needs no pin
    with pytest.raises(LrmsError, match="not a job and a site"):
        slurm.pin("1 priority=9", "upv", "")


def test_an_alternative_that_is_pinned_runs_only_at_the_site(front: FrontEnd, slurm: Slurm) -> None:
    slurm.drain(POOL.nodes, "clues:off")
    number = front.sbatch("true", "--constraint=cesnet|upv")
    slurm.pin(str(number), "upv", "cesnet|upv")
    slurm.bind("g1", "10.77.1.1", ["gpu", "cesnet"])
    slurm.bind("g2", "10.77.1.2", ["gpu", "upv"])
    with Machine(front, "g1", "10.77.1.1"), Machine(front, "g2", "10.77.1.2"):
        wait_until_registered(slurm, "g1", "g2")
        slurm.open(["g1", "g2"])
        front.wait_job(number, "COMPLETED")
        hosts = front.run(["squeue", "-h", "-t", "all", "-j", str(number), "-o", "%N"]).stdout.strip()
        assert hosts == "g2"


def test_the_counters_move_with_every_submission(front: FrontEnd, slurm: Slurm) -> None:
    before = slurm.counters()
    front.sbatch("true", "--hold")
    assert slurm.counters()["submitted"] == before["submitted"] + 1


# --- a controller that does not answer --------------------------------------------------------------------------------


def test_a_frozen_controller_is_an_error_in_bounded_time(front: FrontEnd) -> None:
    impatient = adapter(front, timeout=1)
    assert impatient.snapshot().nodes
    with front.frozen():
        start = time.monotonic()
        for read in (impatient.snapshot, impatient.counters):
            with pytest.raises(LrmsError, match="no answer in 1 s"):
                read()
        assert timedelta(seconds=time.monotonic() - start) < timedelta(seconds=15)
    assert impatient.snapshot().nodes


def test_a_stopped_controller_is_an_error_and_no_empty_cluster(front: FrontEnd, slurm: Slurm) -> None:
    assert slurm.snapshot().nodes
    front.kill_slurmctld()
    with pytest.raises(LrmsError, match=r"failed|no answer"):
        adapter(front, timeout=3).snapshot()
