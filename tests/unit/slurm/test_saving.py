"""Eager pools in slurm.conf, what `--check` tells of them, and the words at a job that gets no VM."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from clues.model import Mode, Pool
from clues.places import Places
from lrms.slurm import fragment, hook_check, saving
from lrms.slurm.power import comment
from tests.unit.builders import make_pool, make_settings

PLACES = Places(Path("/var/lib/clues"), Path("/run/clues/clues.sock"))
EAGER = make_pool(
    "gpu",
    count=3,
    mode=Mode.EAGER,
    idle=timedelta(minutes=5),
    boot_deadline=timedelta(minutes=10),
    join_deadline=timedelta(minutes=5),
)
MIXED = make_settings([make_pool("cpu"), EAGER])
LINE = (
    "PartitionName=clues-eager-gpu Nodes=gpu-[1-3] State=INACTIVE Hidden=YES"
    " SuspendTime=300 SuspendTimeout=5 ResumeTimeout=1860"
)


def rendered(*pools: Pool) -> dict[str, str]:
    settings = make_settings(pools) if pools else MIXED
    return dict(fragment.render(settings, default_partition="", gpu_devices=(), places=PLACES))


def test_an_eager_pool_has_its_own_times_and_the_planned_ones_none() -> None:
    text = rendered()[fragment.SLURM_FILE]
    assert LINE in text.splitlines()
    times = [line for line in text.splitlines() if "SuspendTime=" in line]
    assert times == [f"SuspendTime={fragment.SUSPEND_TIME}", LINE]
    assert "ResumeProgram=/etc/slurm/clues-resume" in text.splitlines()
    assert "ResumeFailProgram=/etc/slurm/clues-resume-fail" in text.splitlines()


def test_without_an_eager_pool_slurm_runs_nothing_of_ours() -> None:
    files = rendered(make_pool("cpu"))
    assert set(files) == {fragment.SLURM_FILE, fragment.GRES_FILE}
    assert "ResumeProgram=/bin/true" in files[fragment.SLURM_FILE].splitlines()
    assert "clues-eager" not in files[fragment.SLURM_FILE]


def test_the_programs_are_sound_shell_and_say_where_cluesd_is() -> None:
    files = rendered()
    assert set(files) >= {"clues-suspend", "clues-resume", "clues-resume-fail"}
    for _, name, verb in saving.PROGRAMS:
        subprocess.run(["sh", "-n"], input=files[name], text=True, check=True)
        assert f"--spool /var/lib/clues/requests --socket /run/clues/clues.hook.sock {verb} " in files[name]


CONFIG = {key.lower(): f"/etc/slurm/{name}" for key, name, _ in saving.PROGRAMS}
POWER = {"clues-eager-gpu": {"SuspendTime": "300", "ResumeTimeout": "1860"}}
WRONG = [
    ({"resumeprogram": "/bin/true"}, POWER, "ResumeProgram is /bin/true"),
    ({"resumefailprogram": "(null)"}, POWER, "ResumeFailProgram is (null)"),
    ({"suspendexcnodes": "gpu-1"}, POWER, "SuspendExcNodes is gpu-1"),
    ({}, {}, "clues-eager-gpu is not known"),
    ({}, {"clues-eager-gpu": {"SuspendTime": "300"}}, "ResumeTimeout is not set"),
    ({}, {"clues-eager-gpu": {**POWER["clues-eager-gpu"], "SuspendTime": "60"}}, "SuspendTime is 60"),
]


@pytest.mark.parametrize(("config", "power", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_what_is_missing_is_told(config: dict[str, str], power: dict[str, dict[str, str]], words: str) -> None:
    (told,) = saving.differences(MIXED, {**CONFIG, **config}, power, fragment.SUSPEND_TIMEOUT)
    assert words in told


def test_what_is_right_is_not_told() -> None:
    assert saving.differences(MIXED, CONFIG, POWER, fragment.SUSPEND_TIMEOUT) == []
    assert saving.differences(make_settings(), {}, {}, fragment.SUSPEND_TIMEOUT) == []


def test_a_providers_words_reach_a_job_as_one_harmless_line() -> None:
    words = 'no "host"\n JobId=7 AdminComment=\x1b[31m' + "ü" * 400 + "x" * 400
    text = comment(words)
    assert text.startswith("clues: no host JobId 7 AdminComment [31m x")
    assert len(text) <= 250
    assert text.isprintable()
    assert text.isascii()


@pytest.fixture
def house(tmp_path: Path) -> Places:
    """A front-end on which the hook works: programs that can be run, and a folder to write into."""
    places = Places(tmp_path / "state", tmp_path / "clues.sock")
    places.requests.mkdir(parents=True, mode=0o770)
    places.requests.chmod(0o770)
    for name, text in saving.programs(MIXED, places).items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return places


def trouble(places: Places, user: str = "") -> list[str]:
    folder = places.state.parent
    config = {key.lower(): str(folder / name) for key, name, _ in saving.PROGRAMS}
    return hook_check.troubles(MIXED, {**config, "slurmuser": user}, places)


def test_a_front_end_on_which_the_hook_works_has_no_trouble(house: Places) -> None:
    assert trouble(house) == []
    assert hook_check.troubles(make_settings(), {}, Places(Path("/nonexistent"), Path("/nonexistent"))) == []


def _missing(places: Places) -> None:
    places.requests.rmdir()


def _open(places: Places) -> None:
    places.requests.chmod(0o777)


def _link(places: Places) -> None:
    places.requests.rmdir()
    places.requests.symlink_to("/etc")


def _not_executable(places: Places) -> None:
    (places.state.parent / "clues-resume").chmod(0o644)


def _writable(places: Places) -> None:
    (places.state.parent / "clues-resume").chmod(0o775)


def _gone(places: Places) -> None:
    (places.state.parent / "clues-resume").unlink()


def _does_nothing(places: Places) -> None:
    (places.state.parent / "clues-resume").write_text("#!/bin/sh\ntrue\n")


def _old(places: Places) -> None:
    path = places.state.parent / "clues-resume"
    path.write_text(path.read_text().replace("requests", "elsewhere"))


BROKEN = [
    (_missing, "is missing"),
    (_open, "by every user"),
    (_link, "is not a folder"),
    (_not_executable, "chmod 0755"),
    (_writable, "chmod 0755"),
    (_gone, "cannot be read"),
    (_does_nothing, "does not run clues-slurm-hook"),
    (_old, "is from another clues.yaml"),
]


@pytest.mark.parametrize(("harm", "words"), BROKEN, ids=[harm.__name__.strip("_") for harm, _ in BROKEN])
def test_what_keeps_the_hook_from_its_work_is_told(house: Places, harm: Callable[[Places], None], words: str) -> None:
    harm(house)
    (told,) = trouble(house)
    assert words in told


def test_a_program_of_the_sites_own_may_run_the_hook(house: Places) -> None:
    path = house.state.parent / "clues-resume"
    path.write_text('#!/bin/sh\nlogger resume\nexec clues-slurm-hook resume "$@"\n')
    assert trouble(house) == []
