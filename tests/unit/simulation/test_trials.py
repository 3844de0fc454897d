"""Traces are read as they are meant, jobs are laid on the pools that hold them, and a trial adds up."""

from __future__ import annotations

import gc
import json
import re
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from clues.errors import ConfigError
from clues.model import Gpu, Limits, Offer, Pool, Resources, Settings, Site
from clues.simulation.slurm.parts import SimJob
from clues.simulation.trials import report
from clues.simulation.trials.command import simulate
from clues.simulation.trials.fitting import Fitted, fit
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.peers import PEERS, Peer, clairvoyant, linear_step, run_peer
from clues.simulation.trials.plots import nice, plot
from clues.simulation.trials.traces import TraceJob, read_trace
from clues.simulation.trials.trial import Conditions, run_trial
from clues.simulation.worlds.profiles import Delay

DATA = Path(__file__).parent / "data"
STILL = Conditions(boot=Delay(120))


def settings(**limits: int) -> Settings:
    cpu = Pool(
        "cpu",
        tuple(f"cpu-{n}" for n in range(1, 9)),
        Resources(8, 32768),
        (Offer("own", "m", "i", price_per_hour=0.1), Offer("rented", "m", "i", price_per_hour=0.4)),
        partitions=("cpu",),
    )
    gpu = Pool(
        "gpu",
        ("gpu-1",),
        Resources(16, 65536, (Gpu("a10", 2),)),
        (Offer("rented", "g", "i", price_per_hour=2.0),),
        partitions=("gpu",),
    )
    sites = {"own": Site("own", "none", limits=Limits(**limits)), "rented": Site("rented", "none")}
    return Settings("trial", sites, {"cpu": cpu, "gpu": gpu})


def job(**more: float) -> TraceJob:
    values = {"submitted": 0.0, "runs": 600.0, "cpus": 8, "limit": 1200.0, **more}
    return TraceJob("1", **values)  # type: ignore[arg-type]


def test_swf_is_read() -> None:
    trace = read_trace(DATA / "small.swf")
    assert (len(trace.jobs), trace.left_out) == (59, 1)
    assert trace.jobs[0].submitted == 0
    assert all(one.limit and one.limit >= 60 for one in trace.jobs)
    assert len(read_trace(DATA / "small.swf", first=7).jobs) == 7


def test_sacct_is_read_and_steps_are_no_jobs() -> None:
    trace = read_trace(DATA / "small.sacct")
    assert [one.id for one in trace.jobs] == ["101", "102", "104"]
    assert trace.left_out == 1  # the tasks of an array that never started
    first, second, third = trace.jobs
    assert (first.runs, first.cpus, first.memory_mib, first.limit, first.user) == (1800, 4, 8192, 3600, "ann")
    assert (second.gpus, second.limit, second.submitted, second.partition) == (2, None, 60, "gpu")
    assert (third.cpus, third.nodes) == (32, 2)


def test_a_month_of_sacct_is_read_to_the_letter() -> None:
    """Arrays, a part of a heterogeneous job, limits in words, typed GPUs without their sum; jobs that never ran, ran
    for no time or run still are left out."""
    trace = read_trace(DATA / "month.sacct")
    assert [asdict(one) for one in trace.jobs] == json.loads((DATA / "month.sacct.json").read_text())
    assert trace.left_out == 4


def test_pods_are_read_with_shares_of_gpus_rounded_up() -> None:
    trace = read_trace(DATA / "small-gpu.csv")
    assert [(one.id, one.cpus, one.gpus, one.runs) for one in trace.jobs] == [
        ("two", 7, 1, 600),
        ("one", 12, 1, 3840),
        ("three", 2, 0, 540),
    ]
    assert trace.left_out == 1
    assert trace.shares_of_gpus == 1


def test_shares_of_gpus_are_said_to_be_rounded_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate([str(DATA / "small-gpu.csv"), str(DATA / "small.yaml"), "--json"]) == 0
    told = capsys.readouterr()
    assert "1 jobs ask for a share of a GPU, and each counts as one that asks for a whole GPU" in told.err
    assert json.loads(told.out)["policies"][0]["pools"]["gpu"]["vms"] == 2


def test_a_file_without_jobs_is_refused_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing of the kind\n")
    with pytest.raises(ConfigError, match="--parsable2"):
        read_trace(tmp_path / "x")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "y")


@pytest.mark.parametrize(
    ("one", "partition", "nodes", "cpus"),
    [
        (job(cpus=1), "cpu", 1, 1),
        (job(cpus=20), "cpu", 3, 7),
        (job(cpus=4, gpus=1), "gpu", 1, 4),
        (job(cpus=2, memory_mib=60000), "cpu", 2, 1),
    ],
)
def test_a_job_gets_the_pool_that_holds_it(one: TraceJob, partition: str, nodes: int, cpus: int) -> None:
    (_, fitted), *_ = fit([one], settings()).jobs
    assert (fitted.partition, fitted.nodes, fitted.need.cpus) == (partition, nodes, cpus)


def test_a_job_that_no_pool_holds_is_counted_and_left_out() -> None:
    fitted = fit([job(cpus=400), job(gpus=8), job()], settings())
    assert len(fitted.jobs) == 1
    assert sum(fitted.misfits.values()) == 2


def test_one_job_waits_for_one_boot_and_costs_its_vm() -> None:
    """Reckoned by hand: 120 s of boot and little besides; 600 s of run and 600 s idle before it goes."""
    outcome = run_trial("clues", settings(), fit([job()], settings()), STILL)
    assert len(outcome.waits) == 1
    assert 120 <= outcome.waits[0] < 140
    assert outcome.total.vms == 1
    assert outcome.total.cost == pytest.approx(0.1 * (130 + 600 + 600) / 3600, rel=0.05)
    assert outcome.total.used_hours == pytest.approx(600 / 3600, rel=0.01)
    assert outcome.sites["own"].cost == outcome.pools["cpu"].cost == outcome.total.cost
    assert outcome.sites["rented"].vms == 0


def test_the_dear_site_serves_what_the_cheap_one_cannot() -> None:
    jobs = [job(), job(), job()]
    outcome = run_trial("clues", settings(vms=1), fit(jobs, settings()), STILL)
    assert (outcome.sites["own"].vms, outcome.sites["rented"].vms) == (1, 2)


def test_the_same_seed_gives_the_same_outcome() -> None:
    trace = read_trace(DATA / "small.swf", first=25)
    first, again = (run_trial("clues", settings(), fit(trace.jobs, settings()), Conditions()) for _ in range(2))
    assert first.waits == again.waits
    assert first.total.cost == again.total.cost


def test_a_trial_forgets_jobs_and_tasks_of_arrays_as_they_end() -> None:
    """A year of them would fill the memory."""
    jobs = [(n * 2000.0, SimJob(str(n), "cpu", 1, Resources(2, 2048), 200.0, tasks=[200.0] * 5)) for n in range(30)]
    others, known = _known_jobs() - len(jobs), [0]

    def count(share: float) -> None:
        if share == 1:
            known.append(_known_jobs() - others)

    fitted = Fitted(jobs)
    del jobs
    outcome = run_trial("clues", settings(), fitted, STILL, count)
    assert len(outcome.waits) == 150
    assert max(known) <= 6  # the last array and its tasks


def _known_jobs() -> int:
    return sum(isinstance(one, SimJob) for one in gc.get_objects())


def test_no_policy_is_below_the_bound_and_the_static_cluster_waits_least() -> None:
    trace = read_trace(DATA / "small.swf", first=30)
    played = {name: run_peer(name, settings(), fit(trace.jobs, settings()), STILL) for name in PEERS}
    played["ours"] = run_trial("clues", settings(), fit(trace.jobs, settings()), STILL)
    bound = clairvoyant(settings(), fit(trace.jobs, settings()))
    for name, outcome in played.items():
        assert len(outcome.waits) == 30, name
        assert outcome.total.cost > bound.total.cost, name
        assert outcome.total.cpu_hours == pytest.approx(bound.total.cpu_hours, rel=0.01), name
        assert outcome.mean_wait >= played["static"].mean_wait, name
    dearest = sorted(played, key=lambda name: -played[name].total.cost)[:2]
    assert set(dearest) == {"static", "tardis"}  # at its defaults it tries each pool again and again


@pytest.mark.parametrize(("name", "low", "high"), [("clues", 136, 204), ("parallelcluster", 130, 150)])
def test_a_peer_answers_a_lonely_job_as_fast_as_is_published(name: str, low: float, high: float) -> None:
    """CLUES 2.3 was measured to take 65 to 71 s from the queue to the power-on, half of it on average when jobs come at
    any time; Slurm's power saving looks every 10 s. Both then wait for the boot of 120 s."""
    outcome = run_peer(name, settings(), fit([job()], settings()), STILL)
    assert low <= outcome.waits[0] <= high


def test_parallelcluster_ends_a_node_that_was_ten_minutes_without_a_job() -> None:
    """Its manual: "the amount of time in minutes without a job, after which the compute node terminates", default 10.

    https://docs.aws.amazon.com/parallelcluster/v2/ug/scaling-section.html
    """
    outcome = run_peer("parallelcluster", settings(), fit([job()], settings()), STILL)
    assert outcome.total.hours * 3600 - 600 - 136 == pytest.approx(600, abs=15)


def test_clues_ends_a_node_that_was_idle_for_its_idle_time() -> None:
    """Its configuration file: IDLE_TIME=600, looked at with the same period as the queue."""
    outcome = run_peer("clues", settings(), fit([job()], settings()), STILL)
    assert 600 <= outcome.total.hours * 3600 - 600 - 136 <= 600 + 70


def test_first_fit_decreasing_takes_eleven_bins_where_nine_would_do() -> None:
    """The list of Johnson (1973) on which it is worst: 11/9 of the optimum. Sizes are in hundredths of a bin:
    six of 1/2+e, six of 1/4+2e, six of 1/4+e, twelve of 1/4-2e; 51+26+23 and 27+27+23+23 would fill nine."""
    sizes = [51] * 6 + [27] * 6 + [26] * 6 + [23] * 12
    pool = Pool("cpu", tuple(f"cpu-{n}" for n in range(1, 31)), Resources(100, 102400), (Offer("own", "m", "i"),))
    one = Settings("bins", {"own": Site("own", "none")}, {"cpu": pool})
    peer = Peer(PEERS["ffd"], one, STILL, Outcome("ffd"))
    for _, waiting in fit([job(cpus=size) for size in reversed(sizes)], one).jobs:
        peer.slurm.submit(waiting)
    assert PEERS["ffd"].wanted(peer, pool) == 11
    assert PEERS["parallelcluster"].wanted(peer, pool) == 13  # in the order of the queue


@pytest.mark.parametrize(
    ("utilisation", "allocation", "step"), [(1, 1, 1), (0, 0, -1), (0.5, 0.5, 0), (0.49, 0.49, -1), (0.51, 0.51, 1)]
)
def test_the_linear_controller_steps_as_in_its_own_examples(utilisation: float, allocation: float, step: int) -> None:
    """COBalD's own tests of its LinearController: https://github.com/MatterMiners/cobald,
    cobald_tests/controller/test_linear.py."""
    assert linear_step(1, utilisation, allocation) - 1 == step


def test_the_linear_controller_grows_with_one_drone_a_second_while_it_has_none() -> None:
    """Its factory looks every 30 s: a pool of eight is full at the first look that finds demand, wanted or not."""
    outcome = run_peer("tardis", settings(), fit([job(runs=3600.0, limit=7200.0)], settings()), STILL)
    assert max(up for _, up, _, _ in outcome.series) == 9  # both pools


def test_the_static_cluster_pays_for_every_node_all_the_time() -> None:
    outcome = run_peer("static", settings(), fit([job()], settings()), STILL)
    per_hour = 8 * 0.1 + 2.0
    assert outcome.total.cost == pytest.approx(per_hour * outcome.total.hours / 9, rel=0.01)


def test_the_clairvoyant_bound_is_the_share_of_the_cheapest_vm() -> None:
    """By hand: 2 of 8 CPUs for half an hour at 0.1 an hour."""
    bound = clairvoyant(settings(), fit([job(cpus=2, runs=1800.0, limit=3600.0)], settings()))
    assert bound.total.cost == pytest.approx(0.1 * 2 / 8 / 2)
    assert bound.waits == [0.0]


def test_one_vm_per_job_is_what_its_name_says() -> None:
    jobs = [job(cpus=1, submitted=one * 2000.0) for one in range(5)]
    assert run_peer("one-vm-per-job", settings(), fit(jobs, settings()), STILL).total.vms == 5
    assert run_peer("parallelcluster", settings(), fit(jobs, settings()), STILL).total.vms == 5
    close = [job(cpus=1, submitted=one * 900.0) for one in range(5)]
    assert run_peer("parallelcluster", settings(), fit(close, settings()), STILL).total.vms == 1


def test_the_page_stands_alone_and_escapes() -> None:
    outcome = Outcome("<b>x</b>", waits=[1.0, 300.0], slowdowns=[1.0, 2.0], series=[(0, 1, 2, 0.5), (9000, 3, 0, 1.5)])
    page = report.page("a&b", 2, [outcome])
    assert "<b>x" not in page
    assert "a&amp;b" in page
    assert not re.search(r"(?:src|href)=|@import|url\(", page)
    for svg in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(svg)  # noqa: S314 - made a line above
    assert page.count("<svg") == 4  # three plots, and a line beside its name
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize(("value", "above"), [(3, 4), (7, 8), (9, 10), (0.3, 0.4), (1234, 2000)])
def test_an_axis_ends_at_a_number_that_is_easily_read(value: float, above: float) -> None:
    assert nice(value) == pytest.approx(above)
    assert f">{above:g}<" in plot([("a", "#000", [(0, 0), (60, value)])], "x")


def test_the_command_prints_json_of_two_configurations_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((DATA / "small.yaml").read_text().replace("idle: 10min", "idle: 2min"))
    page = tmp_path / "page.html"
    words = [str(DATA / "small.swf"), str(DATA / "small.yaml"), f"--compare={other}", f"--html={page}", "--json"]
    assert simulate(words) == 0
    told = capsys.readouterr()
    first, second = json.loads(told.out)["policies"]
    assert first["jobs"] == second["jobs"] == 59
    assert second["cost"] < first["cost"]
    assert second["wait_mean_seconds"] > first["wait_mean_seconds"]
    assert "1 lines tell of no job" in told.err
    assert "other.yaml" in page.read_text()


def test_a_mistake_is_told_and_nothing_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate([str(tmp_path / "none"), str(DATA / "small.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--first=0"], "--first 0: at least one job"),
        (["--interruptions=-1"], "--interruptions -1.0: a number of 0 or more"),
        (["--boot=soon"], "--boot: 'soon' is not a duration"),
        (["--html=/no/such/folder/page.html"], "--html /no/such/folder/page.html: no file can be written there"),
    ],
    ids=["first", "interruptions", "boot", "html"],
)
def test_what_would_fail_in_the_end_is_refused_at_the_beginning(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate([str(DATA / "small.swf"), str(DATA / "small.yaml"), *words]) == 1
    printed = capsys.readouterr()
    assert told in printed.err
    assert not printed.out
