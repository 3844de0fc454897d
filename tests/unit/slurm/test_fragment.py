"""The fragments say what the pools are, byte for byte the same each time, and differences are told with their cure."""

from dataclasses import replace
from pathlib import Path

import pytest

from clues.errors import LrmsError
from clues.model import Attach, Gpu, Node, Offer, Pool, Resources, Settings, Site
from clues.ports import PluginContext, Secret
from lrms.slurm import PLUGIN, fragment, worker
from lrms.slurm.check import RULES, differences
from lrms.slurm.config_text import read_config
from lrms.slurm.plugin import Slurm, SlurmConfig
from lrms.slurm.reservations import Partition

CPU = Pool(
    name="cpu",
    nodes=("cpu-001", "cpu-002"),
    shape=Resources(8, 30720),
    offers=(Offer("cesnet", "m1", "i"), Offer("upv", "medium", "i", price_per_hour=0.5)),
    features=frozenset({"avx2"}),
    partitions=("cpu", "short"),
)
GPU = Pool(
    name="gpu",
    nodes=("gpu-01",),
    shape=Resources(8, 61440, (Gpu("a10", 2),)),
    offers=(Offer("upv", "g", "i", price_per_hour=1.5),),
    partitions=("gpu", "short"),
)
SETTINGS = Settings("deep", {}, {"cpu": CPU, "gpu": GPU})
CLOUD = "State=CLOUD NodeAddr=192.0.2.1"
GOOD = """PrivateData = cloud,jobs
ReturnToService = 1
SlurmctldParameters = enable_configless,power_save_interval=1,power_save_min_interval=0
SuspendTime = 2000000000 sec
SuspendProgram = /bin/true
ResumeProgram = /bin/true
SlurmdTimeout = 305 sec
CommunicationParameters = block_null_hash
SrunPortRange = 60001-63000
TreeWidth = 65533
"""


def slurm(**config: object) -> Slurm:
    context = PluginContext("uuid", "deep", Path("/nowhere"))
    return PLUGIN.build(SlurmConfig.model_validate(config), context, [CPU, GPU])


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_nodes_and_partitions() -> None:
    text = slurm(default_partition="cpu").render_config(SETTINGS)["slurm-clues.conf"]
    assert lines(text)[-5:] == [
        f"NodeName=cpu-[001-002] {CLOUD} CPUs=8 RealMemory=27648 Feature=cpu,avx2,cesnet,upv,on-demand Weight=10",
        f"NodeName=gpu-01 {CLOUD} CPUs=8 RealMemory=55296 Gres=gpu:a10:2 Feature=gpu,upv,on-demand Weight=20",
        "PartitionName=cpu Nodes=cpu-[001-002] State=UP Default=YES",
        "PartitionName=short Nodes=cpu-[001-002],gpu-01 State=UP",
        "PartitionName=gpu Nodes=gpu-01 State=UP",
    ]
    assert "GresTypes=gpu" in text


def test_gpus_have_a_device_each() -> None:
    text = slurm().render_config(SETTINGS)["gres-clues.conf"]
    assert lines(text) == [
        "NodeName=gpu-01 Name=gpu Type=a10 File=/dev/nvidia0",
        "NodeName=gpu-01 Name=gpu Type=a10 File=/dev/nvidia1",
    ]
    text = slurm(gpu_devices=["/dev/null", "/dev/zero"]).render_config(SETTINGS)["gres-clues.conf"]
    assert [line.rpartition("=")[2] for line in lines(text)] == ["/dev/null", "/dev/zero"]


def test_too_few_devices_are_told() -> None:
    with pytest.raises(LrmsError, match="pool gpu has 2 GPUs a node"):
        slurm(gpu_devices=["/dev/null"]).render_config(SETTINGS)


def test_without_gpus_no_generic_resource_is_declared() -> None:
    files = slurm().render_config(replace(SETTINGS, pools={"cpu": CPU}))
    assert "GresTypes" not in files["slurm-clues.conf"]
    assert not lines(files["gres-clues.conf"])


def test_the_same_settings_give_the_same_bytes() -> None:
    again = replace(CPU, features=frozenset(sorted(CPU.features, reverse=True)))
    assert slurm().render_config(SETTINGS) == slurm().render_config(replace(SETTINGS, pools={"cpu": again, "gpu": GPU}))


@pytest.mark.parametrize(
    "config",
    [
        {"srun_ports": "60001"},
        {"srun_ports": "1-100"},
        {"srun_ports": "60001-60000"},
        {"slurmd_timeout": 1},
        {"slurmctld": "head; id"},
        {"gpu_devices": ["/etc/passwd"]},
        {"timeout": 0},
        {"unknown": 1},
    ],
)
def test_configuration_that_makes_no_sense_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SlurmConfig.model_validate(config)


# --- compared with a controller ---------------------------------------------------------------------------------------


def controller() -> tuple[dict[str, Node], list[Partition]]:
    """Nodes and partitions as a controller has them that included the fragment."""
    nodes = {
        name: Node(
            name,
            frozenset({"IDLE", "CLOUD", "POWERED_DOWN"}),
            replace(pool.shape, memory_mib=int(pool.shape.memory_mib * 0.9)),
            features=frozenset(pool.declared_features),
        )
        for pool in (CPU, GPU)
        for name in pool.nodes
    }
    partitions = [
        Partition(name, True, False, tuple(members), 0) for name, members in fragment.partitions(SETTINGS).items()
    ]
    return nodes, partitions


def test_a_controller_that_is_as_it_should_be_has_no_difference() -> None:
    nodes, partitions = controller()
    assert differences(SETTINGS, read_config(GOOD), nodes, partitions) == []


@pytest.mark.parametrize(
    "name",
    sorted({rule.name for rule in RULES if not rule.holds("")} | {"TreeWidth", "SlurmdTimeout", "SrunPortRange"}),
)
def test_each_setting_that_is_missing_is_told(name: str) -> None:
    config = "\n".join(line for line in GOOD.splitlines() if not line.startswith(name))
    found = differences(SETTINGS, read_config(config), *controller())
    assert len(found) == 1
    assert name in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "PrivateData = none",
        "ReturnToService = 2",
        "SlurmctldParameters = enable_configless,power_save_interval=1,power_save_min_interval=0,idle_on_node_suspend",
        "SuspendTime = INFINITE",
        "SuspendTime = 600 sec",
        "SlurmdTimeout = 300 sec",
        "SuspendProgram = (null)",
        "TreeWidth = 2",
        "LaunchParameters = slurmstepd_memlock,disable_send_gids",
    ],
)
def test_each_setting_that_is_wrong_is_told(line: str) -> None:
    found = differences(SETTINGS, read_config(f"{line}\n{GOOD}"), *controller())
    assert len(found) == 1
    assert line.partition(" ")[0] in found[0]


REMOTE = replace(
    SETTINGS,
    sites={
        "cesnet": Site("cesnet", "local"),
        "upv": Site("upv", "local", Attach.ROUTER),
        "aws": Site("aws", "local", Attach.DIRECT),
    },
)


def test_jobs_at_sites_behind_a_tunnel_outlast_a_cut_of_five_minutes() -> None:
    local = replace(SETTINGS, sites={"cesnet": Site("cesnet", "local")})
    assert "SlurmdTimeout=305\n" in slurm().render_config(local)["slurm-clues.conf"]
    assert "SlurmdTimeout=480\n" in slurm().render_config(REMOTE)["slurm-clues.conf"]
    assert "SlurmdTimeout=900\n" in slurm(slurmd_timeout=900).render_config(REMOTE)["slurm-clues.conf"]
    found = differences(REMOTE, read_config(GOOD), *controller())
    assert found == [
        "slurm.conf: SlurmdTimeout is 305 sec: set it to 480: jobs at upv, aws would be lost in a cut of 203 s"
    ]
    for enough in ("480 sec", "0 sec"):
        assert differences(REMOTE, read_config(f"SlurmdTimeout = {enough}\n{GOOD}"), *controller()) == []
    found = differences(REMOTE, read_config(f"SlurmdTimeout = 480 sec\n{GOOD}"), *controller(), timeout=900)
    assert len(found) == 1


@pytest.mark.parametrize("value", ["60000-63000", "60001-63001", "1-65535", "0-0", "(null)"])
def test_srun_listens_only_where_workers_are_let_through(value: str) -> None:
    found = differences(SETTINGS, read_config(f"SrunPortRange = {value}\n{GOOD}"), *controller())
    assert len(found) == 1
    assert found[0].startswith(f"slurm.conf: SrunPortRange is {value}: set it to 60001-63000")
    inside = read_config(f"SrunPortRange = 60100-60200\n{GOOD}")
    assert differences(SETTINGS, inside, *controller()) == []
    assert "SrunPortRange=60100-60200\n" in slurm(srun_ports="60100-60200").render_config(SETTINGS)["slurm-clues.conf"]


@pytest.mark.parametrize(
    ("slurmctld", "port"),
    [(None, 6817), ("head", 6817), ("10.77.0.1:7000", 7000), ("[fd00::1]:7001", 7001), ("[fd00::1]", 6817)],
)
def test_the_ports_that_workers_reach_are_known_without_slurm(slurmctld: str | None, port: int) -> None:
    config = SlurmConfig.model_validate({"slurmctld": slurmctld, "slurmd_port": 7100, "srun_ports": "60100-60200"})
    assert PLUGIN.services(config) == [("tcp", port, port), ("tcp", 7100, 7100), ("tcp", 60100, 60200)]


def test_nodes_that_differ_share_a_sentence_by_what_is_wrong() -> None:
    nodes, partitions = controller()
    del nodes["gpu-01"]
    nodes = {name: replace(node, capacity=Resources(4, 27648), features=frozenset()) for name, node in nodes.items()}
    found = differences(SETTINGS, read_config(GOOD), nodes, partitions)
    assert [sentence.partition(":")[2].partition(":")[0] for sentence in found] == [
        " CPUs is 4, clues.yaml says 8 (cpu-[001-002])",
        " Feature lacks avx2,cesnet,cpu,on-demand,upv (cpu-[001-002])",
        " gpu-01 not known to slurmctld",
    ]


def test_a_partition_that_lacks_nodes_is_down_or_missing_is_told() -> None:
    nodes, _ = controller()
    cpu = Partition("cpu", False, False, ("cpu-001", "cpu-002"), 0)
    partitions = [cpu, Partition("short", True, False, ("gpu-01",), 0)]
    found = differences(SETTINGS, read_config(GOOD), nodes, partitions)
    assert [sentence[:36] for sentence in found] == [
        "partition cpu is not up: scontrol up",
        "partition short lacks cpu-[001-002]:",
        "partition gpu is not known to slurmc",
    ]


# --- what a worker gets -----------------------------------------------------------------------------------------------


def test_a_worker_gets_its_name_and_the_controller_and_the_key_by_name_only(tmp_path: Path) -> None:
    lrms = slurm(munge_key=tmp_path / "nobody but the signer reads it", slurmctld="10.77.0.1:6817")
    provision = lrms.bootstrap("gpu-01")
    assert provision.files == ()
    assert provision.secrets == (Secret("munge", "/etc/munge/munge.key", 0o400),)
    assert provision.settings == {"HOSTNAME": "gpu-01", "SLURMD_OPTIONS": "--conf-server 10.77.0.1:6817 -N gpu-01"}
    assert provision.services == ("munge", "slurmd")


@pytest.mark.parametrize(
    ("told", "user"), [("slurm(64030)", "slurm:64030"), ("hpc.ctl(997)", "hpc.ctl:997"), ("slurm", ""), ("", "")]
)
def test_a_worker_is_told_slurm_user_as_slurmctld_tells_it(told: str, user: str) -> None:
    assert worker.user_of({"slurmuser": told} if told else {}) == user
    settings = worker.provision_for("gpu-01", "10.77.0.1:6817", {"slurmuser": told}).settings
    assert settings.get("SLURM_USER", "") == user


@pytest.mark.parametrize(
    ("text", "more"),
    [("SlurmUser=ctld\n", {"ctld"}), (" slurmuser = 1500 # x\n", {"1500"}), ("#SlurmUser=a\n", set()), (None, set())],
)
def test_the_users_of_slurm_are_the_usual_ones_and_slurm_user(tmp_path: Path, text: str | None, more: set[str]) -> None:
    conf = tmp_path / "slurm.conf"
    if text is not None:
        conf.write_text(text)
    assert worker.service_users(conf) == {"slurm", "munge"} | more


def test_a_name_outside_the_pools_gets_no_secret(tmp_path: Path) -> None:
    with pytest.raises(LrmsError, match="not a node of a pool"):
        slurm(munge_key=tmp_path / "key", slurmctld="h").bootstrap("onprem-1")
