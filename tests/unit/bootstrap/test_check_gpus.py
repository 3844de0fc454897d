"""A worker's GPUs before its slurmd starts: the driver loaded, count and type as Slurm calls it, and no fault in them.

``nvidia-smi`` is a small program here that prints what the real one prints.
"""

from __future__ import annotations

import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from clues.bootstrap.boot import boot
from clues.config import GpuChecks, Workers
from clues.model import Gpu, Resources, make_gpus
from tests.unit.bootstrap.boot_lab import Booting

#: prints files of the VM: `list`, `driver`, `mig`, `ecc`; fails where there is none
NVIDIA_SMI = """
case $* in
    -L) file=list ;;
    *driver_version*) file=driver ;;
    *mig.mode*) file=mig ;;
    *ecc.errors*) file=ecc ;;
    '-pm 1') echo "persistence" >>"$CLUES_ROOT/did"; exit 0 ;;
    *) exit 2 ;;
esac
[ -s "$CLUES_ROOT/smi/$file" ] || { echo "no $file" >&2; exit 9; }
cat "$CLUES_ROOT/smi/$file"
"""
UUID = "(UUID: GPU-8f1e6ba4-0cf3-3a5f-9c3e-2b0a5e1c1d7e)"
A100 = "NVIDIA A100-SXM4-40GB"
SPLIT = f"GPU 0: {A100} {UUID}\n  MIG 3g.20gb     Device  0: (UUID: MIG-1)\n" + "".join(
    f"  MIG 1g.5gb      Device  {number}: (UUID: MIG-{number}a)\n" for number in (1, 2)
)


def listed(*products: str) -> str:
    """What `nvidia-smi -L` prints for these."""
    return "".join(f"GPU {number}: {product} {UUID}\n" for number, product in enumerate(products))


class Node:
    """A worker with these GPUs, of which others are wanted."""

    def __init__(self, folder: Path, wanted: str, listing: str, checks: GpuChecks | None = None) -> None:
        gpus = make_gpus(
            [Gpu(kind, int(count)) for kind, _, count in (one.rpartition(":") for one in wanted.split(","))]
        )
        workers = Workers(gpus=checks or GpuChecks())
        self.vm = Booting.make(folder, workers, shape=Resources(8, 30000, gpus))
        self.vm.program("tools/nvidia-smi", NVIDIA_SMI)
        self.vm.program("tools/modprobe", 'echo "modprobe $*" >>"$CLUES_ROOT/did"')
        self.vm.program("tools/nvidia-modprobe", 'echo "nvidia-modprobe $*" >>"$CLUES_ROOT/did"')
        for name, text in (("list", listing), ("driver", "535.104.05\n"), ("mig", ""), ("ecc", "0, 0\n1, [N/A]\n")):
            self.says(name, text)

    def says(self, name: str, text: str) -> None:
        self.vm.write(f"smi/{name}", text)

    def check(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Run it; return how it ended, what there is, and what is wrong."""
        done = subprocess.run(
            ["sh", self.vm.root / "etc/clues/check-gpus", *arguments],
            env={"PATH": str(self.vm.root / "tools"), "CLUES_ROOT": str(self.vm.root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout.strip(), done.stderr.splitlines()


@pytest.mark.parametrize(
    ("wanted", "listing"),
    [
        ("a10:1", listed("NVIDIA A10")),
        ("a10:1", listed("NVIDIA A10", "NVIDIA A10")),
        (":2", listed("NVIDIA A10", "Tesla T4")),
        ("a100:2", listed(A100, A100)),
        ("A100-SXM4-40GB:1", listed(A100)),
        ("t4:1", listed("Tesla T4")),
        ("v100:1", listed("Tesla V100-SXM2-16GB")),
        ("h100:1", listed("NVIDIA H100 80GB HBM3")),
        ("l40s:1", listed("NVIDIA L40S")),
        ("rtx_a6000:1", listed("NVIDIA RTX A6000")),
        ("rtx3090:1", listed("NVIDIA GeForce RTX 3090")),
        ("a10:1,t4:1", listed("Tesla T4", "NVIDIA A10")),
        ("a10:1,:1", listed("NVIDIA A10", "Tesla T4")),
        ("1g.5gb:2,3g.20gb:1", SPLIT),
        ("a100_1g.5gb:2", SPLIT),
        ("nvidia_a100_1g.5gb:2", SPLIT),
        (":3", SPLIT),
        ("a10:1", "GPU 0: NVIDIA A10 " + UUID),  # no end of line
    ],
)
def test_gpus_of_the_type_that_slurm_calls_by_a_word_of_their_name(tmp_path: Path, wanted: str, listing: str) -> None:
    ended, there, wrong = Node(tmp_path, wanted, listing).check()
    assert (ended, wrong) == (0, [])
    assert there.startswith("gpu ")
    assert there.endswith(", driver 535.104.05")


@pytest.mark.parametrize(
    ("wanted", "listing", "told"),
    [
        ("a10:2", listed("NVIDIA A10"), "wanted are 2 x a10, there is 1 x NVIDIA A10"),
        ("a10:1", listed("NVIDIA A100-SXM4-40GB"), f"wanted are 1 x a10, there is 1 x {A100}"),
        ("a1:1", listed("NVIDIA A10"), "wanted are 1 x a1, there is 1 x NVIDIA A10"),
        ("a10:1", listed("NVIDIA A10G"), "wanted are 1 x a10, there is 1 x NVIDIA A10G"),
        (":3", listed("NVIDIA A10"), "wanted are 3 x any, there is 1 x NVIDIA A10"),
        ("a10:1,:1", listed("NVIDIA A10"), "wanted are 1 x any, there is 1 x NVIDIA A10"),
        ("a100:1", SPLIT, "wanted are 1 x a100, there is "),
        ("1g.5gb:3", SPLIT, "wanted are 3 x 1g.5gb, there is "),
        ("v100_1g.5gb:1", SPLIT, "wanted are 1 x v100_1g.5gb, there is "),
        ("a10:1", "No devices found.\n", "wanted are 1 x a10, there is no GPU"),
    ],
)
def test_other_gpus_are_refused_with_what_there_is(tmp_path: Path, wanted: str, listing: str, told: str) -> None:
    ended, _, wrong = Node(tmp_path, wanted, listing).check()
    assert ended == 1
    assert len(wrong) == 1
    assert wrong[0].startswith(told)


def test_a_type_goes_by_the_names_that_the_site_gives_and_by_no_other(tmp_path: Path) -> None:
    checks = GpuChecks(names={"big": ("NVIDIA A100-SXM4-80GB", A100), "small": (f"{A100} MIG 1g.5gb",)})
    node = Node(tmp_path, "big:1,small:2", listed("NVIDIA A100-SXM4-80GB") + SPLIT.replace("GPU 0", "GPU 1"), checks)
    assert node.check()[::2] == (0, [])
    node.says("list", listed("NVIDIA Big") + SPLIT.replace("GPU 0", "GPU 1"))
    assert node.check()[0] == 1


def test_a_gpu_in_mig_mode_of_which_nothing_was_made_serves_nobody(tmp_path: Path) -> None:
    node = Node(tmp_path, "a100:1", listed(A100, A100))
    node.says("mig", "0, Disabled\n1, Enabled\n")
    ended, there, wrong = node.check()
    assert (ended, there.partition(",")[0]) == (1, f"gpu 1 x {A100}")
    assert wrong == ["MIG mode is on and nothing made of it on GPU 1 "]


@pytest.mark.parametrize(
    ("least", "driver", "good"),
    [
        ("535.104", "535.104.05", True),
        ("535.104.05", "535.104.05", True),
        ("535.104.05", "535.104.12", True),
        ("535.104", "535.54.03", False),
        ("535", "470.256.02", False),
        ("99", "535.104.05", True),
        ("550.54.14", "550.54", False),
    ],
)
def test_an_old_driver_is_refused(tmp_path: Path, least: str, driver: str, good: bool) -> None:
    node = Node(tmp_path, "a10:1", listed("NVIDIA A10"), GpuChecks(driver=least))
    node.says("driver", f"{driver}\n{driver}\n")
    ended, _, wrong = node.check()
    assert (ended == 0) is good
    assert wrong == ([] if good else [f"the driver is {driver} here, at least {least} is wanted"])


def test_memory_errors_that_could_not_be_mended_are_a_reason(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:2", listed("NVIDIA A10", "NVIDIA A10"))
    node.says("ecc", "0, 0\n1, 3\n")
    assert node.check()[::2] == (1, ["GPU 1 has 3 uncorrected ECC errors"])


def test_so_are_faults_that_the_driver_has_noted_and_programs_mistakes_are_not(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", listed("NVIDIA A10"))
    node.vm.program(
        "tools/dmesg",
        "echo '[   13.1] NVRM: Xid (PCI:0000:00:05): 31, pid=12, Ch 8'\n"
        "echo '[   14.2] NVRM: Xid (PCI:0000:00:05): 79, pid=0, GPU has fallen off the bus.'",
    )
    ended, _, wrong = node.check()
    assert (ended, wrong) == (1, ["NVRM: Xid (PCI:0000:00:05): 79, pid=0, GPU has fallen off the bus."])


def test_a_site_may_leave_these_out(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", listed("NVIDIA A10"), GpuChecks(ecc=False, xid=False))
    node.says("ecc", "0, 3\n")
    node.vm.program("tools/dmesg", "echo 'NVRM: Xid (PCI:0000:00:05): 79, pid=0'")
    assert node.check()[0] == 0


def test_the_driver_is_loaded_first_and_stays(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", listed("NVIDIA A10"))
    assert node.check("load") == (0, "", [])
    assert node.vm.read("did").splitlines() == [
        "modprobe nvidia",
        "modprobe nvidia-uvm",
        "nvidia-modprobe -u -c 0",
        "persistence",
    ]


def test_a_driver_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", listed("NVIDIA A10"))
    node.vm.program("tools/nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not talk to the driver.'; exit 9")
    ended, _, wrong = node.check()
    assert ended == 1
    assert "could not talk to the driver" in wrong[0]


def test_a_driver_that_hangs_does_not_hold_the_boot(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", listed("NVIDIA A10"))
    script = node.vm.root / "etc/clues/check-gpus"
    script.write_text(script.read_text().replace("seconds=60", "seconds=1"))
    node.vm.program("tools/nvidia-smi", "exec sleep 30")
    begun = time.monotonic()
    ended, _, wrong = node.check()
    assert time.monotonic() - begun < 8
    assert (ended, wrong) == (1, ["nvidia-smi -pm 1 does not answer in 1 s: the driver hangs"])


# --- as a part of the boot --------------------------------------------------------------------------------------------


def test_slurmd_starts_only_with_the_right_gpus_and_the_report_names_them(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:2", listed("NVIDIA A10", "NVIDIA A10"))
    assert node.vm.run() == 0, node.vm.log
    assert node.vm.started == ["slurmd"]
    assert node.vm.told == ["gpu 2 x NVIDIA A10, driver 535.104.05"]
    node.says("list", listed("NVIDIA A10"))
    assert node.vm.run() != 0
    assert node.vm.started == ["slurmd"]
    assert node.vm.step == "check the GPUs"
    assert "wanted are 2 x a10, there is 1 x NVIDIA A10" in node.vm.log


def test_an_image_without_a_driver_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", "")
    (node.vm.root / "tools/nvidia-smi").unlink()
    assert node.vm.run() != 0
    assert "this image has no nvidia-smi" in node.vm.log


def test_an_image_that_says_what_it_has_is_believed(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", "")
    node.vm.write("etc/clues/facts", "GPUS=a10:1\n")
    assert node.vm.run() == 0


def test_no_gpus_are_looked_at_where_none_are_wanted_or_the_site_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path, "a10:1", "")
    plain = boot(node.vm.claim, Workers(gpus=GpuChecks(check=False)), timedelta(minutes=5))
    assert [path for path, _, _ in plain.files if "gpu" in path] == []
