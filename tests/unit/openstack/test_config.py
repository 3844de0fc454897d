"""What a site may be told, and that building a connector asks nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clues.config.plugins import CONNECTORS
from clues.ports import PluginContext
from connectors.openstack import PLUGIN
from connectors.openstack.config import OpenStackConfig
from tests.lab.docs_config import render_reference


def test_a_connector_is_built_without_a_cloud_and_without_credentials(tmp_path: Path) -> None:
    config = OpenStackConfig.model_validate({"cloud": "nowhere", "clouds_file": str(tmp_path / "nothing")})
    connector = PLUGIN.build(config, PluginContext("uuid", "here", tmp_path))
    assert connector.credentials_until() is None
    (finding,) = connector.examine([])
    assert "No such file" in finding.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"network": "10.77.1.7/24"}, "neither a range"),
        ({"network": "workers", "network_name": "workers"}, "names a network already"),
        ({"oidc": {}}, "write access_token_file"),
        ({"oidc": {"refresh_token_file": "x"}}, "needs token_endpoint"),
        (
            {"oidc": {"refresh_token_file": "x", "client_id": "y", "token_endpoint": "http://aai.example/token"}},
            "not an https URL",
        ),
        ({"gpu_types": {"x": "a 10"}}, "not a GPU type"),
        ({"server_group": "close"}, "soft-anti-affinity"),
        ({"password": "x"}, "Extra inputs"),
        ({"concurrency": 0}, "too small"),
    ],
)
def test_mistakes_are_told(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        OpenStackConfig.model_validate(keys)


def test_true_and_false_are_words_for_a_floating_ip() -> None:
    def read(value: object) -> str:
        return OpenStackConfig.model_validate({"floating_ip": value}).floating_ip

    assert [read(True), read(False), read("public")] == ["*", "", "public"]


def test_every_key_stands_in_the_reference() -> None:
    text = render_reference({CONNECTORS: {"openstack": PLUGIN}})
    for name in OpenStackConfig.model_fields:
        assert f"| `{name}` |" in text
