"""The contract of connectors runs on a connector that lies anywhere, by the one command that is documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clues.testing.connector_contract import ConnectorContract
from clues.testing.suite import load, suite_for
from clues.testing.wire_contract import WireContract

ROOT = Path(__file__).resolve().parents[3]

BROKEN = """
from mypkg import Mine as Good
from mypkg.cloud import ExampleConnector


class Forgetful(ExampleConnector):
    def find(self, launch_key):
        return None  # it does not look before it launches


class Mine(Good):
    CONNECTOR = Forgetful
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder with the package that the guide leads to: copies of the example and of its site under test."""
    package = tmp_path / "work" / "mypkg"
    package.mkdir(parents=True)
    (package / "cloud.py").write_text((ROOT / "connectors" / "example.py").read_text())
    site = (ROOT / "tests" / "contract" / "test_example_connector.py").read_text()
    site = site.partition("class TestExample")[0].replace("connectors.example", "mypkg.cloud")
    (package / "__init__.py").write_text(re.sub(r"\bSite\b", "Mine", site))
    (package.parent / "broken.py").write_text(BROKEN)
    return package.parent


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the command as it is documented, as somebody does who has clues installed."""
    pytest_itself = Path(sys.executable).with_name("pytest")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(pytest_itself), "--pyargs", "clues.testing.connector", *more, "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=250, check=False)


def test_a_good_connector_passes(outside: Path) -> None:
    done = run(outside, "--connector", "mypkg:Mine")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 50  # the contract on the wire is among them


def test_a_broken_one_fails_and_the_reason_can_be_read(outside: Path) -> None:
    done = run(outside, "--connector", "broken:Mine", "-x")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_the_same_key_is_the_same_instance_for_a_restarted_daemon_too" in done.stdout
    assert "AssertionError: assert 'srv-0002' == 'srv-0001'" in done.stdout


def test_without_a_connector_it_says_what_is_missing_in_a_line(outside: Path) -> None:
    done = run(outside)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "say which connector: --connector mypkg:Mine" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (None, "say which connector"),
        ("mypkg", "say which connector"),
        ("nowhere:Mine", "No module named 'nowhere'"),
        ("clues.testing.pebble:Yours", "clues.testing.pebble has no class Yours"),
        ("clues.testing.pebble:FLAVORS", "has no class FLAVORS"),
        ("clues.testing.pebble:Pebble", "Pebble is no site under test yet; it lacks connect, fail_next, public_bytes"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(tmp_path: Path, spec: str | None, reason: str) -> None:
    with pytest.raises(pytest.Collector.CollectError) as caught:
        suite_for(load(spec, str(tmp_path)))
    assert reason in str(caught.value)


def test_the_suite_is_the_one_that_fits_and_has_the_sites_declarations() -> None:
    class Common(SiteStub):
        QUOTA_VMS = 7
        SOMETHING_ELSE = 1

    class Wire(Common):
        is_op = impatient = add_foreign = foreign_is_untouched = strip_tags = transient_states = put_in_state = None
        refuse_terminate = ignore_terminate = list_twice = hostile_names = alive = None

    suite = suite_for(Common)
    assert issubclass(suite, ConnectorContract)
    assert not issubclass(suite, WireContract)
    assert suite.QUOTA_VMS == 7
    assert not hasattr(suite, "SOMETHING_ELSE")
    assert issubclass(suite_for(Wire), WireContract)
    del Wire.alive
    with pytest.raises(pytest.Collector.CollectError, match="it lacks alive"):
        suite_for(Wire)


class SiteStub:
    connect = request = fail_next = pull_the_plug = public_bytes = __enter__ = __exit__ = None
