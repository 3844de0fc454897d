"""A local VM boots with the very user-data that a cloud's VM gets: it enrols, or says with its last word why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from clues.bootstrap import user_data
from clues.model import Gpu
from clues.ports import Provision
from clues.testing.connector_contract import OURS, launch
from connectors.local import network
from tests.real.local_site import LocalSite, until
from tests.unit.bootstrap.lab import BOOT, KEY, FrontEnd, front_end

pytestmark = pytest.mark.real

GIVEN = Provision((("/etc/munge/munge.key", 0o400, b"k" * 64), *BOOT.files), {"HOSTNAME": "gpu-1"}, ("munge",))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    site = LocalSite(tmp_path)
    network.ensure_bridge(site.config.bridge, site.config.network)
    yield site
    site.clear()


@pytest.fixture
def front(tmp_path: Path, site: LocalSite) -> Iterator[FrontEnd]:
    with front_end(tmp_path / "front", host="10.77.0.1") as front:
        front.desk.secrets = GIVEN
        yield front


@pytest.fixture
def script(front: FrontEnd) -> str:
    return user_data.render(ca_pem=front.ca_pem, ticket=front.tickets.issue(KEY), urls=[front.url], node="gpu-1")


def test_it_enrols_with_the_facts_of_its_flavor_and_starts_its_services(
    site: LocalSite, front: FrontEnd, script: str
) -> None:
    instance = launch(site.connect(OURS), site.request(OURS, 1, script, flavor="gpu"))
    until("its report", lambda: front.desk.reports)
    assert front.desk.reports == [("started", "")]
    ((_, address, facts),) = front.desk.redeemed
    assert address == "10.77.1.11"
    assert (facts.cpus, facts.memory_mib, facts.gpus.gpus) == (4, 8192, (Gpu("a10", 2),))
    assert abs(facts.clock_skew_seconds) < 5
    until("user-data to end", lambda: "user-data ended: 0" in site.console(instance))
    assert (site.vm(instance) / "etc/hostname").read_text() == "gpu-1\n"


def test_a_boot_that_fails_says_why(site: LocalSite, front: FrontEnd, script: str) -> None:
    site.faults.add("boot", "boot-fails")
    launch(site.connect(OURS), site.request(OURS, 1, script))
    until("its report", lambda: front.desk.reports)
    ((kind, text),) = front.desk.reports
    assert kind == "failed"
    assert "the image is broken" in text


def test_a_vm_whose_boot_has_failed_ends_itself_if_nobody_else_does(
    site: LocalSite, front: FrontEnd, tmp_path: Path
) -> None:
    stranger = type(front.tickets).open(tmp_path / "another").issue(KEY)
    script = user_data.render(
        ca_pem=front.ca_pem, ticket=stranger, urls=[front.url], node="gpu-1", dead_man=timedelta(seconds=2)
    )
    instance = launch(site.connect(OURS), site.request(OURS, 1, script))
    process = site.process(instance)
    until("the refusal", lambda: "refused (403)" in site.console(instance))
    assert process.lives()
    until("its end", lambda: not process.lives())
    assert "powered off from inside" in site.console(instance)


def test_a_clock_that_is_wrong_is_told_plainly(site: LocalSite, front: FrontEnd, script: str) -> None:
    site.faults.add("boot", "wrong-clock", seconds=-3600)
    instance = launch(site.connect(OURS), site.request(OURS, 1, script))
    until("its report", lambda: front.desk.reports)
    ((kind, text),) = front.desk.reports
    assert kind == "failed"
    assert "the clock is off by -3" in text
    ((_, _, facts),) = front.desk.redeemed
    assert -3610 < facts.clock_skew_seconds < -3590
    assert not (site.vm(instance) / "etc/munge/munge.key").exists()
