"""What `clues doctor` finds at an OpenNebula site, and what it says to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clues.model import Finding, Offer, Soundness
from clues.ports import PluginContext
from connectors.opennebula.connector import OpenNebulaConnector
from connectors.opennebula.plugin import PLUGIN
from tests.lab.opennebula import Cloud, Emulator
from tests.lab.opennebula.objects import Network
from tests.unit.opennebula.orders import CLUSTER

OFFER = Offer("upv", "medium", "clues-worker")
GOOD, BAD, UNKNOWN = Soundness.GOOD, Soundness.BAD, Soundness.UNKNOWN


class Site:
    """A site that is in order until a test spoils something."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.emulator, self.cloud, self.url, self.folder = emulator, emulator.cloud, emulator.url, folder
        self.file = folder / "one_auth"
        self.file.touch(mode=0o600)
        self.file.write_text("clues:s3cret:with colon\n")
        for name in ("FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING"):
            self.cloud.networks[1].content.put(name, "YES")

    def examine(self, offer: Offer = OFFER, **given: Any) -> dict[str, list[Finding]]:
        """Return the findings by topic."""
        own = {"endpoint": self.url + "/RPC2", "credentials": str(self.file), "vnet": "clues-net"}
        config = PLUGIN.Config.model_validate({**own, "network": "10.77.2.0/24", **given})
        found = OpenNebulaConnector(config, PluginContext(CLUSTER, "upv", self.folder)).examine([offer, offer])
        topics: dict[str, list[Finding]] = {}
        for one in found:
            topics.setdefault(one.topic, []).append(one)
        return topics

    def wrong(self, topic: str, **given: Any) -> Finding:
        """Return the one finding of a topic that is not good."""
        (found,) = [one for one in self.examine(**given)[topic] if one.soundness is not GOOD]
        assert found.cure
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Emulator(Cloud("7.4.0")) as emulator:
        yield Site(tmp_path, emulator)


def test_a_site_in_order_has_good_findings_only_and_one_for_each_thing(site: Site) -> None:
    found = site.examine()
    assert set(found) == {
        "account", "clock", "quota", "network clues-net", "flavor medium", "image clues-worker",
    }  # fmt: skip
    assert all(len(ones) == 1 and ones[0].soundness is GOOD for ones in found.values()), found
    assert "7.4.0" in found["account"][0].text


def test_a_closed_door_is_all_that_can_be_told(site: Site) -> None:
    site.file.write_text("clues:wrong\n")
    found = site.examine()
    assert list(found) == ["account"]
    assert found["account"][0].soundness is BAD
    assert "user:password" in found["account"][0].cure


def test_a_missing_file_is_told_with_its_name(site: Site) -> None:
    site.file.unlink()
    assert str(site.file) in site.examine()["account"][0].text


def test_clocks_that_differ_are_told(site: Site) -> None:
    site.cloud.skew = 300
    assert re.search("differs by (299|300) s", site.wrong("clock").text)


def test_a_quota_that_is_used_up_is_told(site: Site) -> None:
    site.cloud.users[2].quotas.limit("VMS", 0)
    assert "0 of 0 VMs" in site.wrong("quota").text


@pytest.mark.parametrize("size", [0, 100])
def test_a_network_without_enough_addresses_is_told(site: Site, size: int) -> None:
    site.cloud.networks[1].size = size
    assert site.wrong("network clues-net").soundness is BAD


def test_a_network_of_another_range_is_told(site: Site) -> None:
    site.cloud.networks[1].first = "192.168.1.2"
    assert "outside 10.77.2.0/24" in site.wrong("network clues-net").text


def test_a_name_that_means_nothing_is_told_and_the_rest_is_looked_at(site: Site) -> None:
    found = site.examine(Offer("upv", "none", "clues-worker"), vnet="nowhere")
    assert found["flavor none"][0].soundness is BAD
    assert found["network nowhere"][0].soundness is BAD
    assert found["image clues-worker"][0].soundness is GOOD


def test_what_cannot_be_looked_at_is_not_taken_for_good_and_the_rest_is_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = site.emulator.answer
    monkeypatch.setattr(site.emulator, "answer", lambda body: "<" if b"one.imagepool.info" in body else real(body))
    assert site.wrong("image clues-worker").soundness is UNKNOWN
    assert site.examine()["flavor medium"][0].soundness is GOOD


def test_the_network_is_found_by_its_range(site: Site) -> None:
    found = site.examine(vnet="")
    assert found["network 10.77.2.0/24"][0].soundness is GOOD
    assert found["flavor medium"][0].soundness is GOOD, "it has the filters of that network"
    site.cloud.networks[2] = Network(2, "another", site.cloud.users[0], first="10.77.2.100")
    assert "1 (oneadmin/clues-net), 2 (oneadmin/another)" in site.wrong("network 10.77.2.0/24", vnet="").text
    assert "no network" in site.wrong("network 10.77.9.0/24", vnet="", network="10.77.9.0/24").text


def test_missing_filters_are_told_wherever_they_could_be_set(site: Site) -> None:
    site.cloud.networks[1].content.pairs.clear()
    assert "FILTER_IP_SPOOFING and FILTER_MAC_SPOOFING" in site.wrong("flavor medium").text
    site.cloud.templates[0].content.vectors("NIC")[0]["FILTER_IP_SPOOFING"] = "yes"
    assert "others: FILTER_MAC_SPOOFING" in site.wrong("flavor medium").text
    assert "not in oneadmin's group" in site.wrong("flavor medium", anti_spoofing=True).text


def test_a_template_that_cannot_be_used_twice_is_told(site: Site) -> None:
    site.cloud.templates[0].content.vectors("NIC")[0]["MAC"] = "02:00:00:00:00:01"
    assert "MAC" in site.wrong("flavor medium").text


def test_a_template_that_needs_onegate_is_told(site: Site) -> None:
    site.cloud.templates[0].content.vectors("CONTEXT")[0]["TOKEN"] = "YES"
    assert "OneGate" in site.wrong("flavor medium").text


def test_an_image_that_is_not_ready_is_told(site: Site) -> None:
    site.cloud.images[1].state = 5
    assert "state is 5" in site.wrong("image clues-worker").text


def test_a_password_that_crosses_a_network_readable_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "endpoint" not in site.examine()
    assert site.wrong("endpoint", plain_http=True).soundness is BAD
