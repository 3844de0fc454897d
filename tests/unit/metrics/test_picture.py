"""What Prometheus reads of a picture is what is so, under names that Prometheus' own checker likes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clues.metrics import Exposition
from clues.model import (
    Accuracy,
    ClaimState,
    HubStatus,
    Job,
    Maintenance,
    Market,
    Observed,
    OverlayStatus,
    Published,
    Tunnel,
)
from tests.unit.builders import (
    NOW,
    ago,
    ahead,
    haggled,
    hybrid,
    make_claim,
    make_job,
    make_offer,
    make_published,
    make_world,
    spent,
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(published: Published | None) -> Samples:
    """Return what Prometheus would store, by name and labels."""
    text, content_type = Exposition(lambda: published, lambda: NOW).text()
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    """Return one sample; the sum of those that have these labels, among others."""
    found = [value for (one, those), value in samples.items() if one == name and labels.items() <= dict(those).items()]
    assert found, (name, labels, sorted({one for one, _ in samples}))
    return sum(found)


def test_before_the_first_tick_the_process_alone_is_told() -> None:
    names = {name for name, _ in read(None)}
    assert "process_cpu_seconds_total" in names
    assert not {name for name in names if name.startswith("clues_nodes")}


def test_every_node_counts_once() -> None:
    samples = read(hybrid())
    assert of(samples, "clues_nodes") == 116
    assert of(samples, "clues_nodes", state="off", site="") > 90
    assert of(samples, "clues_claims", kind="worker") == len(hybrid().world.claims)


def test_a_waiting_array_counts_with_its_tasks_and_under_a_known_reason() -> None:
    jobs: list[Job] = [
        make_job("1_[0-9]", reason="Resources", count_pending=10),
        make_job("2", reason="some words that an admin wrote"),
        make_job("3", "RUNNING"),
    ]
    samples = read(make_published(world=make_world([], jobs)))
    assert of(samples, "clues_jobs_pending", reason="Resources") == 10
    assert of(samples, "clues_jobs_pending", reason="other") == 1
    assert of(samples, "clues_jobs_running") == 1


def test_money_is_told_by_site_and_pool_once_it_is_billed() -> None:
    offer = make_offer("aws", "g5.2xlarge", market=Market.SPOT, price_per_hour=0.5)
    claims = [
        make_claim("cpu-1", offer=offer),
        make_claim("cpu-2", offer=offer),
        make_claim("cpu-3", ClaimState.PLANNED, offer=offer),
    ]
    samples = read(
        make_published(world=replace(make_world([]), claims={one.key: one for one in claims}, spent=spent(4.5)))
    )
    assert of(samples, "clues_cost_per_hour", site="aws", pool="cpu") == 1.0
    assert of(samples, "clues_spent_today") == 4.5


def test_a_tunnel_that_is_down_is_missing() -> None:
    up, down = (
        make_claim(node, tunnel=f"10.77.0.{number}", enrolled_at=ago(minutes=5))
        for number, node in enumerate(("cpu-1", "cpu-2"), 1)
    )
    hub = HubStatus("front", True, NOW, crl_ends=ahead(days=1))
    tunnel = Tunnel(up.key, "front", "192.0.2.1:9", "10.77.0.1", ago(minutes=4), received=10, sent=20)
    overlay = OverlayStatus(NOW, (hub,), {up.key: tunnel})
    world = replace(make_world([]), claims={up.key: up, down.key: down}, overlay=Observed(overlay, NOW))
    samples = read(make_published(world=world))
    assert of(samples, "clues_tunnels", hub="front") == 1
    assert of(samples, "clues_tunnels_missing", site=up.offer.site) == 1
    assert of(samples, "clues_tunnel_bytes_total", direction="sent") == 20
    assert of(samples, "clues_hub_crl_expiry_timestamp_seconds") == ahead(days=1).timestamp()


def test_what_is_not_known_has_no_number() -> None:
    published = make_published(world=replace(make_world([]), lrms=Observed(error="connection refused")))
    samples = read(published)
    assert of(samples, "clues_observation_failing", source="slurm") == 1
    assert not [
        1 for name, labels in samples if name == "clues_observation_age_seconds" and ("source", "slurm") in labels
    ]
    assert not [1 for name, _ in samples if name.startswith("clues_hub")]


def test_a_quota_is_told_as_the_provider_counts_it() -> None:
    samples = read(haggled())
    assert of(samples, "clues_quota", resource="vms") >= of(samples, "clues_quota_used", resource="vms") > 0


@pytest.mark.parametrize("picture", [hybrid, haggled], ids=lambda one: one.__name__)
def test_promtool_finds_nothing_to_say(picture) -> None:  # type: ignore[no-untyped-def]
    exposition = Exposition(picture, lambda: NOW)
    before = make_claim("cpu-1", ClaimState.BOOTING, launched_at=ago(minutes=2), launches=1)
    exposition.meter.moved(replace(before, launches=0, launched_at=None), before)
    exposition.meter.moved(before, replace(before, enrolled_at=ago(minutes=1), failure="boot"))
    exposition.meter.called("aws", "launch", "ok", 0.2)
    exposition.meter.ticked(0.02)
    promtool = shutil.which("promtool")
    assert promtool, "Debian's package prometheus is missing: ./dev setup"
    done = subprocess.run(
        [promtool, "check", "metrics"], input=exposition.text()[0], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.decode(), done.stdout.decode()) == (0, "", "")


def test_how_good_forecasts_were_can_be_watched() -> None:
    plain = hybrid()
    memory = replace(plain.plan.memory, accuracy=Accuracy(8, 6, 3, -40.0, 120.0))
    samples = read(replace(plain, plan=replace(plain.plan, memory=memory)))
    assert of(samples, "clues_forecasts", known="yes") == 2
    assert of(samples, "clues_forecasts", known="no") == 1
    starts = {told: of(samples, "clues_forecast_starts_total", told=told) for told in ("inside", "outside", "not")}
    assert starts == {"inside": 6, "outside": 2, "not": 3}
    assert of(samples, "clues_forecast_error_seconds_total") == 120
    assert of(samples, "clues_forecast_bias_seconds") == -5


def test_a_maintenance_is_told_with_the_jobs_that_it_will_find() -> None:
    published = hybrid()
    site = next(claim.offer.site for claim in published.world.claims.values() if claim.state is ClaimState.READY)
    window = Maintenance(3, site, ahead(hours=2), ahead(hours=4))
    operator = replace(published.world.operator, maintenance=(window,))
    samples = read(replace(published, world=replace(published.world, operator=operator)))
    assert of(samples, "clues_maintenance_begin_timestamp_seconds", site=site) == window.begin.timestamp()
    assert of(samples, "clues_maintenance_end_timestamp_seconds", site=site) == window.end.timestamp()
    there = {claim.node for claim in published.world.claims.values() if claim.offer.site == site}
    snapshot = published.world.lrms.value
    assert snapshot is not None
    running = [job for job in snapshot.jobs if job.running and not there.isdisjoint(job.nodes)]
    assert of(samples, "clues_maintenance_jobs", site=site) == len(running) > 0
    assert not [name for name, _ in read(published) if name.startswith("clues_maintenance")]
