"""What a worker's Slurm has to have: a slurmd of the right release, and the programs that slurm.conf names."""

from __future__ import annotations

from pathlib import Path

import pytest

from clues.bootstrap import wire
from clues.ports import Provision
from lrms.slurm import programs, releases, worker
from lrms.slurm.check import differences
from lrms.slurm.config_text import read_config
from tests.unit.builders import NOW
from tests.unit.slurm.test_fragment import GOOD, SETTINGS, controller, lines, slurm

CONFIG = """Epilog                  = /etc/slurm/epilog.sh
EpilogSlurmctld[0]      = /etc/slurm/of-the-controller
HealthCheckProgram      = /usr/sbin/nhc
Prolog[0]               = /etc/slurm/prolog.d/*
Prolog[1]               = /etc/slurm/prolog.sh
PrologSlurmctld         = (null)
TaskEpilog              = (null)
TaskProlog              = relative.sh
SLURM_VERSION           = 22.05.8
"""


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("22.05.8", "22.05 21.08 20.11"),
        ("20.11.4", "20.11 20.02 19.05"),
        ("20.02.1", "20.02 19.05"),
        ("23.11.10", "23.11 23.02 22.05"),
        ("24.05.2", "24.05 23.11 23.02"),
        ("24.11.0-0rc1", "24.11 24.05 23.11 23.02"),
        ("25.05.1", "25.05 24.11 24.05 23.11"),
        ("26.11.3", "26.11 26.05 25.11 25.05"),
        ("22.06.1", ""),
        ("18.08.1", ""),
        ("", ""),
        ("(null)", ""),
        ("22.05.8; reboot", ""),
    ],
)
def test_slurmd_is_of_the_same_release_or_a_few_older(version: str, taken: str) -> None:
    assert " ".join(releases.taken_by(version)) == taken


def test_only_programs_that_slurmd_runs_count_and_only_where_their_path_is_whole() -> None:
    assert programs.named_in(read_config(CONFIG)) == (
        "/etc/slurm/epilog.sh",
        "/usr/sbin/nhc",
        "/etc/slurm/prolog.d/*",
        "/etc/slurm/prolog.sh",
    )


def test_a_worker_is_told_both_and_takes_the_answer() -> None:
    provision = worker.provision_for("gpu-01", "h:6817", read_config(CONFIG))
    assert provision.settings["SLURMD_RELEASES"] == "22.05.8 22.05 21.08 20.11"
    assert provision.settings["SLURM_PROGRAMS"].split()[1] == "/usr/sbin/nhc"
    wire.encode_answer(provision, NOW)


def test_what_the_controller_does_not_tell_is_not_asked_of_a_worker() -> None:
    settings = worker.provision_for("gpu-01", "h:6817", {}).settings
    assert set(settings) == {"HOSTNAME", "SLURMD_OPTIONS"}


@pytest.mark.parametrize("value", ["/a;reboot", "/a b", "/a'", "$(reboot)", "/a\nservice x"])
def test_a_path_that_is_no_plain_word_is_left_out(value: str) -> None:
    assert programs.named_in({"prolog": value}) == ()


def test_programs_beside_slurm_conf_go_to_the_worker_and_others_do_not(tmp_path: Path) -> None:
    for path, content in (
        ("etc/slurm/epilog.sh", "#!/bin/sh\n"),
        ("usr/sbin/nhc", "x"),
        ("etc/slurm/big", "x" * 70_000),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    paths = ("/etc/slurm/epilog.sh", "/usr/sbin/nhc", "/etc/slurm/big", "/etc/slurm/gone", "/etc/slurm/../passwd")
    files = programs.files_for(paths, clean=False, root=tmp_path)
    assert files == (("/etc/slurm/epilog.sh", 0o755, b"#!/bin/sh\n"),)
    wire.encode_answer(Provision(files), NOW)


def test_with_clean_the_fragment_names_a_pair_that_every_worker_gets() -> None:
    files = slurm(clean=True).render_config(SETTINGS)
    assert f"Prolog={programs.PROLOG}" in lines(files["slurm-clues.conf"])
    assert f"Epilog={programs.EPILOG}" in lines(files["slurm-clues.conf"])
    assert files["clues-epilog"].startswith("#!/bin/sh\n")
    given = worker.provision_for("gpu-01", "h:6817", {}, clean=True).files
    assert {path: mode for path, mode, _ in given} == {programs.PROLOG: 0o755, programs.EPILOG: 0o755}
    assert "Prolog" not in slurm().render_config(SETTINGS)["slurm-clues.conf"]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("", ["Prolog", "Epilog"]),
        ("Prolog = /etc/slurm/clues-prolog\nEpilog = /etc/slurm/clues-epilog\n", []),
        ("Prolog[0] = /site/prolog\nEpilog = (null)\n", ["Epilog"]),
    ],
)
def test_a_controller_that_would_not_clean_is_told(config: str, told: list[str]) -> None:
    nodes, partitions = controller()
    found = differences(SETTINGS, read_config(GOOD + config), nodes, partitions, clean=True)
    assert [one.split()[1] for one in found] == told
    assert differences(SETTINGS, read_config(GOOD + config), nodes, partitions) == []
