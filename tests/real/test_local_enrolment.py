"""A local VM boots with the very user-data that a cloud's VM gets: it enrols, or says with its last word why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues.bootstrap import user_data
from clues.bootstrap.ca import CaFiles
from clues.bootstrap.enrolment import EnrolmentService
from clues.bootstrap.tickets import Tickets
from clues.model import Facts, Gpu
from clues.ports import WorkerSecrets
from clues.testing.connector_contract import OURS, launch
from connectors.local import network
from tests.real.local_site import LocalSite, until

pytestmark = pytest.mark.real


@dataclass
class Desk:
    """Hands out a munge key to everybody, and remembers what it was told."""

    facts: list[tuple[str, Facts]] = field(default_factory=list)
    reports: list[tuple[str, str]] = field(default_factory=list)

    def redeem(self, ticket: str, nonce: str, address: str, facts: Facts) -> WorkerSecrets:
        self.facts.append((address, facts))
        return WorkerSecrets((("/etc/munge/munge.key", 0o400, b"k" * 64),), {"HOSTNAME": "gpu-1"}, ("munge",))

    def report(self, ticket: str, kind: str, text: str) -> None:
        self.reports.append((kind, text))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    site = LocalSite(tmp_path)
    network.ensure_bridge(site.config.bridge, site.config.network)
    yield site
    site.clear()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def script(tmp_path: Path, site: LocalSite, desk: Desk) -> Iterator[str]:
    (tmp_path / "ca").mkdir(mode=0o700)
    ca = CaFiles.open(tmp_path / "ca", "a-cluster", datetime.now(UTC))
    ticket = Tickets.open(tmp_path / "ca").issue("key-1")
    service = EnrolmentService(desk, ca, ["10.77.0.1"], ("10.77.0.1", 0))
    service.start()
    url = f"https://10.77.0.1:{service.port}"
    yield user_data.render(ca_pem=ca.ca_pem, ticket=ticket, urls=[url], node="gpu-1")
    service.stop()


def test_it_enrols_with_the_facts_of_its_flavor_and_starts_its_services(
    site: LocalSite, desk: Desk, script: str
) -> None:
    instance = launch(site.connect(OURS), site.request(OURS, 1, script, flavor="gpu"))
    until("its report", lambda: desk.reports)
    assert desk.reports == [("started", "")]
    ((address, facts),) = desk.facts
    assert address == "10.77.1.11"
    assert (facts.cpus, facts.memory_mib, facts.gpus.gpus) == (4, 8192, (Gpu("a10", 2),))
    assert abs(facts.clock_skew_seconds) < 5
    until("user-data to end", lambda: "user-data ended: 0" in site.console(instance))
    assert (site.vm(instance) / "etc/hostname").read_text() == "gpu-1\n"


def test_a_boot_that_fails_says_why(site: LocalSite, desk: Desk, script: str) -> None:
    site.faults.add("boot", "boot-fails")
    site.faults.add("boot", "wrong-clock", seconds=-900)
    launch(site.connect(OURS), site.request(OURS, 1, script))
    until("its report", lambda: desk.reports)
    ((kind, text),) = desk.reports
    assert kind == "failed"
    assert "the image is broken" in text
    assert -910 < desk.facts[0][1].clock_skew_seconds < -890
