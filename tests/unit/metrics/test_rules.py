"""The alert rules are what Prometheus understands, fire when they should, and each is told what to do about."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from clues.metrics import Exposition
from clues.model import HubStatus, Observed, OverlayStatus
from tests.lab.grafana import BOARDS
from tests.unit.builders import NOW, ahead, haggled, make_published, make_world

ROOT = Path(__file__).parents[3]
RULES = ROOT / "templates" / "prometheus" / "clues.rules.yml"
CASES = ROOT / "tests" / "golden" / "prometheus" / "clues.test.yml"
RUNBOOK = ROOT / "docs" / "how-to" / "answer-an-alert.md"

ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str, cwd: Path) -> str:
    """Run Prometheus' own checker; return what it says, which has to be well."""
    command = shutil.which("promtool")
    assert command, "Debian's package prometheus is missing: ./dev setup"
    done = subprocess.run([command, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_they_fire_when_they_should(tmp_path: Path) -> None:
    for file in (RULES, CASES):
        shutil.copy(file, tmp_path)
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES.name, cwd=tmp_path)
    promtool("test", "rules", CASES.name, cwd=tmp_path)


def test_each_is_tried_and_has_a_page() -> None:
    names = {rule["alert"] for rule in ALERTS}
    tried = {
        case["alertname"]
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert tried == names
    assert set(re.findall(r"^## (Clues\w+)$", RUNBOOK.read_text(), re.MULTILINE)) == names


def test_what_rules_and_dashboards_ask_for_is_told() -> None:
    asked = {name for rule in ALERTS for name in re.findall(r"clues_\w+", rule["expr"])}
    asked |= {
        name
        for board in BOARDS.values()
        for panel in board.panels
        for query in panel.queries
        for name in re.findall(r"clues_\w+", query.expression)
    }
    known: set[str] = set()
    hub = HubStatus("front", True, NOW, crl_ends=ahead(days=1), certificate_ends=ahead(days=1))
    spanning = replace(make_world([]), overlay=Observed(OverlayStatus(NOW, (hub,)), NOW))
    for picture in (haggled(), make_published(world=spanning)):
        text = Exposition(lambda picture=picture: picture, lambda: NOW).text()[0].decode()  # type: ignore[misc]
        for family in text_string_to_metric_families(text):
            names = {family.name, *(sample.name for sample in family.samples)}
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [])
            known |= names | {f"{family.name}{suffix}" for suffix in suffixes}
    assert asked - known == set()
