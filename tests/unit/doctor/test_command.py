"""The command from end to end, with the installed plugins: what it shows, in which form, and its exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clues.config import CONNECTORS
from clues.doctor import command
from clues.errors import ConfigError
from clues.registry import find_plugins
from tests.unit.api.serving import short_folder
from tests.unit.doctor.front import write


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[dict[str, str]], str]:
    """Return the exit code, the findings, and what was said meanwhile."""
    code = command.doctor([*argv, "--output=json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["findings"], captured.err


def test_everything_is_looked_at_before_anything_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = run(capsys, f"--config={write(folder)}")
    assert code == 1
    topics = {one["topic"] for one in found if one["about"] == "front-end"}
    assert topics >= {
        "configuration",
        "daemon",
        "signer",
        "CA",
        "state",
        "clock",
        "slurm",
        "rights",
        "overlay",
        "port tcp/1",
    }
    assert {one["about"] for one in found} == {"front-end", "here"}
    assert all(one["cure"] for one in found if one["verdict"] == "bad")


def test_a_good_site_is_a_success(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, instead={"cluster: deep": "cluster: deep\nrates: {USD: 0.9}"})
    code, found, _ = run(capsys, f"--config={path}", "here")
    bad = [one for one in found if one["verdict"] == "bad" and one["topic"] != "machine"]
    assert bad == []
    assert {one["about"] for one in found[1:]} == {"here"}
    assert code == (1 if any(one["verdict"] == "bad" for one in found) else 0)
    assert [one["text"] for one in found if "here/dear" in one["topic"]] == [
        "0.45 EUR an hour (the site's own configuration)"
    ]


def test_a_price_without_a_rate_makes_it_fail(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = run(capsys, f"--config={write(folder)}", "here")
    assert (code, [one["verdict"] for one in found if "here/dear" in one["topic"]]) == (1, ["bad"])


def test_every_mistake_of_the_configuration_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, instead={"memory: 3GiB": "memory: 3", "image: x": "imagine: x"})
    code, found, _ = run(capsys, f"--config={path}")
    assert code == 1
    assert len(found) >= 2
    assert {(one["topic"], one["verdict"]) for one in found} == {("configuration", "bad")}


def test_an_unknown_site_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = run(capsys, f"--config={write(folder)}", "there")
    assert (code, "there are here" in found[0]["text"]) == (1, True)


def test_a_site_that_hangs_is_waited_for_until_the_deadline_and_told_of_meanwhile(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    never, plugins = threading.Event(), find_plugins()
    local: Any = plugins[CONNECTORS]["local"]

    class Hanging:
        Config, network_is_cidr = local.Config, True

        def build(self, config: object, context: object) -> object:
            never.wait(30)
            raise ConfigError("too late")

    monkeypatch.setattr(command, "find_plugins", lambda: {**plugins, CONNECTORS: {"local": Hanging()}})
    monkeypatch.setattr(command._Progress, "_RARELY", 0.5)
    code, found, said = run(capsys, f"--config={write(folder)}", "--deadline=2", "here")
    never.set()
    assert (code, found[-1]["verdict"]) == (0, "unknown")
    assert "within 2 s" in found[-1]["text"]
    assert "examining: here" in said


def test_a_table_has_a_verdict_and_a_cure_for_each_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.doctor([f"--config={write(folder)}"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("   ")[0] == "ABOUT"
    assert "WHAT TO DO" in head
    assert any("systemctl start cluesd" in line for line in lines)
    assert " bad" in lines[-1]
