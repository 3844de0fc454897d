"""A report has what is needed and no secret: canaries are sown wherever there may be one."""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clues.cli.scrub import MARK, scrub, scrub_text
from tests.unit.api.serving import Api, serve
from tests.unit.builders import hybrid, make_note
from tests.unit.cli.running import clues

CANARIES = ("canary-one", "canary-two", "canary-three", "canary-four", "canary-five", "canary-six", "canary-seven")

CONFIG = """
cluster: deep   # password canary-one
sites:
  aws:
    connector: ec2
    password: canary-two
    endpoint: https://user:canary-three@aws.example.org/canary-four?x=canary-five
    api_key: [canary-six]
    flavor: g5.2xlarge
notify:
  webhooks: {url: "https://hooks.example.org/services/canary-seven", secret_file: /etc/clues/credentials/hook}
"""


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(replace(hybrid(), troubles=("token=canary-one was refused",))) as served:
        served.control.add(
            make_note(1, text="HTTP 401: Authorization: Bearer canary-two for https://x.example.org/canary-three"),
            make_note(2, text="ticket: canary-four, and " + "k" * 64),
        )
        yield served


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_it_has_everything_but_secrets(api: Api, tmp_path: Path) -> None:
    config, path = tmp_path / "clues.yaml", tmp_path / "r.tar.gz"
    config.write_text(CONFIG)
    result = clues(
        "report", str(path), "--no-doctor", "--config", str(config), socket=api.path, AWS_SECRET_ACCESS_KEY="canary-one"
    )
    assert (result.code, result.err) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = unpacked(path)
    everything = "\n".join(files.values())
    assert [canary for canary in (*CANARIES, "k" * 64) if canary in everything] == []
    assert {"status.json", "nodes.json", "events.json", "clues.yaml", "clues.txt"} <= files.keys()
    for kept in ("aws.example.org", "hooks.example.org", "g5.2xlarge", "was refused"):
        assert kept in everything
    assert "gpu-01" in files["nodes.json"]


def test_without_a_daemon_it_is_made_all_the_same_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    result = clues("report", str(path), "--no-doctor", "--config", str(tmp_path / "none.yaml"))
    assert result.code == 0
    assert "status.json" in result.err
    files = unpacked(path)
    assert "is it running?" in files["status.json.failed"]
    assert "No such file" in files["clues.yaml.failed"]
    again = clues("report", str(path), "--no-doctor")
    assert (again.code, "name another file" in again.err) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        "password=canary",
        "Token: canary",
        '{"secret": "canary"}',
        "-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\ncanary",
        "https://u:canary@host/x",
        "AKIACANARYCANARYCANA canary"[:20],
    ],
)
def test_what_looks_like_a_secret_goes(text: str) -> None:
    assert "canary" not in scrub_text(text).lower()


def test_what_stands_under_the_name_of_a_secret_goes_whatever_it_looks_like() -> None:
    assert scrub({"a": {"passwd": "x", "tokens": ["y"], "size": 3, "ok": "fine"}}) == {
        "a": {"passwd": MARK, "tokens": MARK, "size": 3, "ok": "fine"}
    }
