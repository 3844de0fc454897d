"""The policy of docs/how-to/use-aws.md allows what the connector does, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from clues.config import CONNECTORS, check
from clues.registry import find_plugins
from connectors.ec2 import PLUGIN

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "use-aws.md"
#: EC2's calls, as they stand in the connector's source
_CALL = re.compile(r'"((?:Describe|Create|Delete|Replace|Modify|Run|Terminate|Get)[A-Z][A-Za-z]+)"')


def policy() -> dict[str, Any]:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def allowed(statement: dict[str, Any]) -> set[str]:
    actions = statement["Action"]
    return {actions} if isinstance(actions, str) else set(actions)


def test_it_allows_every_call_of_the_connector_and_no_other() -> None:
    source = "".join(path.read_text() for path in (ROOT / "connectors" / "ec2").glob("*.py"))
    # who we are everybody may ask, and the second is a word in a launch
    called = {f"ec2:{name}" for name in _CALL.findall(source)} - {"ec2:GetCallerIdentity", "ec2:DeleteOnTermination"}
    assert len(called) > 15
    # tags go with what they are on
    besides = {"ec2:CreateTags", "pricing:GetProducts"}
    assert set().union(*map(allowed, policy()["Statement"])) == called | besides


def test_what_changes_something_is_bound_to_the_cluster_or_to_a_thing() -> None:
    for statement in policy()["Statement"]:
        assert statement["Effect"] == "Allow"
        if all(one.startswith(("ec2:Describe", "pricing:Get")) for one in allowed(statement)):
            continue
        resources = statement["Resource"]
        assert "*" not in ([resources] if isinstance(resources, str) else resources), statement["Sid"]
    conditions = {one["Sid"]: json.dumps(one.get("Condition", {})) for one in policy()["Statement"]}
    assert "aws:RequestTag/clues-cluster" in conditions["LaunchWithOurTag"]
    assert "aws:ResourceTag/clues-cluster" in conditions["OurInstances"]
    assert "ec2:CreateAction" in conditions["TagWhatIsBeingMade"]


def test_the_site_of_the_page_is_one_that_clues_takes(tmp_path: Path) -> None:
    (site,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "clues.yaml"
    file.write_text("cluster: deep\noverlay: {network: 10.77.0.0/16, public: head.example.org}\n" + site)
    plugins = find_plugins()
    connectors = {**plugins.get(CONNECTORS, {}), "ec2": PLUGIN}
    assert check(file, {**plugins, CONNECTORS: connectors}).errors == ()
