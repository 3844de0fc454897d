"""`clues install` puts what is missing, `clues uninstall` takes away what was put; what is somebody's stays."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from clues import templates
from clues.cli import main
from clues.install import command, wanted
from clues.install.manifest import PLACE, InstallError
from tests.unit.config_example import EXAMPLE

UNIT = "etc/systemd/system/cluesd.service"
MINE = EXAMPLE.replace("cluster: deep", "cluster: mine")
CONFIGURATION = "etc/clues/clues.yaml"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "_run", lambda tools: None)  # users and folders are tests/unit/test_systemd_unit.py's
    return tmp_path


def run(root: Path, name: str, *options: str) -> int:
    return main([name, f"--root={root}", *options])


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_everything_is_put_once_and_taken_away(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc" / "hosts").write_text("of the machine\n")
    assert run(root, "install", "--front-end") == 0
    first = files(root)
    assert {Path(name).name for name in first} >= {
        *(entry.name for entry in templates.systemd().iterdir() if entry.name.endswith((".service", ".target"))),
        "60-clues.conf",
        "clues.yaml",
    }
    assert run(root, "install", "--front-end") == 0
    assert files(root) == first
    assert run(root, "uninstall") == 0
    assert files(root) == {"etc/hosts": "of the machine\n"}
    assert [path.name for path in root.iterdir()] == ["etc"]
    assert [path.name for path in (root / "etc").iterdir()] == ["hosts"]


def test_the_folder_of_slurms_requests_is_made_where_slurms_user_is(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, "install")
    assert "d /var/lib/clues/requests 2770 slurm clues -" in (root / "etc/tmpfiles.d/clues-slurm.conf").read_text()
    assert "--create clues-slurm.conf" not in capsys.readouterr().out
    (root / "etc/passwd").write_text("slurm:x:64030:64030::/:/usr/sbin/nologin\n")
    run(root, "install")
    assert "--create clues-slurm.conf" in capsys.readouterr().out


def test_a_dry_run_says_all_and_does_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "install", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "put     /etc/systemd/system/cluesd.service" in said
    assert "run     systemd-sysusers" in said
    assert files(root) == {}
    run(root, "install")
    before = files(root)
    assert run(root, "uninstall", "--dry-run") == 0
    assert "remove  /etc/systemd/system/cluesd.service" in capsys.readouterr().out
    assert files(root) == before


def test_the_units_start_the_programs_of_this_installation(root: Path) -> None:
    run(root, "install", "--programs=/opt/other/bin")
    for path in (root / "etc/systemd/system").glob("*.service"):
        assert re.findall("ExecStart=(\\S+)", path.read_text()) == [f"/opt/other/bin/{path.stem}"]


def test_what_somebody_changed_stays_and_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, "install")
    (root / UNIT).write_text("[Service]\nExecStart=/my/own\n")
    (root / CONFIGURATION).write_text("cluster: mine\n")
    run(root, "install")
    assert (root / UNIT).read_text() == "[Service]\nExecStart=/my/own\n"
    assert (root / CONFIGURATION).read_text() == "cluster: mine\n"
    capsys.readouterr()
    assert run(root, "uninstall") == 0
    assert set(files(root)) == {UNIT, CONFIGURATION}
    said = capsys.readouterr().out
    assert f"keep    /{UNIT}" in said
    assert f"keep    /{CONFIGURATION}" in said


def test_a_configuration_that_was_there_is_never_taken_away(root: Path) -> None:
    (root / CONFIGURATION).parent.mkdir(parents=True)
    (root / CONFIGURATION).write_text(templates.read("clues.yaml"))  # even if it looks like ours
    run(root, "install")
    run(root, "uninstall")
    assert set(files(root)) == {CONFIGURATION}


def test_a_masked_unit_stays_masked(root: Path) -> None:
    (root / UNIT).parent.mkdir(parents=True)
    (root / UNIT).symlink_to("/dev/null")
    run(root, "install")
    assert (root / UNIT).readlink() == Path("/dev/null")
    run(root, "uninstall")
    assert (root / UNIT).is_symlink()


def test_a_new_version_renews_its_files_and_takes_back_old_units(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root, "install", "--programs=/opt/old/bin")
    real = wanted.service_files

    def fewer(*args: object, **options: object) -> list[wanted.File]:
        return [one for one in real(*args, **options) if one.path.name != "clues-hub.service"]  # type: ignore[arg-type]

    monkeypatch.setattr(command, "service_files", fewer)
    run(root, "install", "--programs=/opt/new/bin")
    assert "/opt/new/bin/cluesd" in (root / UNIT).read_text()
    assert not (root / "etc/systemd/system/clues-hub.service").exists()


def test_beside_a_package_only_what_that_has_not_is_put(root: Path) -> None:
    run(root, "install", "--package")
    packaged = set(files(root))
    assert "lib/systemd/system/cluesd.service" in packaged
    run(root, "install", "--front-end")
    assert set(files(root)) - packaged == {CONFIGURATION, "etc/sysctl.d/60-clues.conf", str(PLACE).lstrip("/")}
    run(root, "uninstall")
    assert set(files(root)) == packaged


def test_a_central_point_stays_one_without_the_option(root: Path) -> None:
    run(root, "install", "--front-end")
    run(root, "install")
    assert (root / "etc/sysctl.d/60-clues.conf").is_file()


@pytest.fixture
def slurm(root: Path) -> Path:
    """A front-end with Slurm and a configuration of clues."""
    folder = root / "etc/slurm"
    folder.mkdir(parents=True)
    (folder / "slurm.conf").write_text("ClusterName=x\n")
    (root / CONFIGURATION).parent.mkdir()
    (root / CONFIGURATION).write_text(MINE)
    return folder


def test_slurm_gets_its_part_and_slurm_conf_is_left_alone(
    root: Path, slurm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "install") == 0
    assert "add the line `include slurm-clues.conf` to /etc/slurm/slurm.conf" in capsys.readouterr().out
    assert (slurm / "slurm.conf").read_text() == "ClusterName=x\n"
    assert "NodeName=" in (slurm / "slurm-clues.conf").read_text()


def test_a_file_that_slurmctld_needs_is_not_taken_away(
    root: Path, slurm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, "install")
    (slurm / "slurm.conf").write_text("Include slurm-clues.conf\n")
    (root / CONFIGURATION).write_text(MINE + "\nmistake: 1\n")
    run(root, "install")
    assert (slurm / "slurm-clues.conf").is_file(), "slurmctld does not start without it"
    assert run(root, "uninstall") == 1
    assert "take `include slurm-clues.conf` out of /etc/slurm/slurm.conf first" in capsys.readouterr().err
    assert (root / UNIT).is_file()
    (slurm / "slurm.conf").write_text("# include slurm-clues.conf\n")
    assert run(root, "uninstall") == 0
    assert not (slurm / "slurm-clues.conf").exists()


def test_a_damaged_manifest_is_told_and_nothing_is_taken_away(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, "install")
    (root / str(PLACE).lstrip("/")).write_text("{")
    assert run(root, "uninstall") == 1
    assert "run `clues install` again" in capsys.readouterr().err
    assert (root / UNIT).is_file()


def test_programs_that_the_services_do_not_see_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cluesd").touch()
    with pytest.raises(InstallError, match="do not see"):
        command._programs(tmp_path, check=True)


def test_files_can_be_read_by_the_services_whatever_the_umask(root: Path) -> None:
    before = os.umask(0o077)
    try:
        run(root, "install")
    finally:
        os.umask(before)
    for path in (root / "etc").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path
