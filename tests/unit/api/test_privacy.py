"""On the socket that is open to all a user sees what Slurm would show them, and gives no orders."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from clues.api import privacy
from clues.api.app import make_app
from clues.api.peer import _groups
from clues.api.privacy import as_seen_by, eyes_of
from clues.cli import client
from clues.model import Forecast, JobUse, Observed, Outlook, Plan, Published, Seen, SpentRow, Verdict
from clues.places import Places
from tests.unit.api.memory_control import MemoryControl, explain
from tests.unit.api.serving import serve
from tests.unit.builders import (
    NOW,
    make_claim,
    make_job,
    make_node,
    make_note,
    make_published,
    make_world,
)


def picture(*private: str) -> Published:
    """A cluster with a pending job of alice's and of bob's, and one of bob's that runs."""
    jobs = [
        make_job("1", user="alice"),
        make_job("2", user="bob"),
        make_job("3", "RUNNING", user="bob", nodes=("cpu-1",)),
    ]
    claim = make_claim("cpu-1", jobs=("2", "3"), gang="3")
    world = make_world([make_node("cpu-1")], jobs, claims=[claim])
    assert world.lrms.value is not None
    snapshot = replace(world.lrms.value, private=frozenset(private))
    outlooks = {job: Outlook(job, Verdict.BLOCKED, f"why {job}") for job in ("1", "2")}
    world = replace(world, lrms=Observed(snapshot, NOW))
    forecasts = {job: Forecast(waits_for=f"cpu-1, for {job}") for job in ("1", "2")}
    plan = Plan(
        memory=world.memory, outlooks=outlooks, forecasts=forecasts, seen=Seen(NOW, {"2": None}), claims=(claim,)
    )
    return make_published(world=world, plan=plan)


def told(published: Published) -> str:
    """Everything that a picture holds, as text."""
    return repr((published.world.lrms.value, published.world.claims, published.plan))


def request_of(client: str) -> Request:
    return Request({"type": "http", "client": (client, 1)})


def test_nothing_is_left_out_where_slurm_hides_nothing() -> None:
    assert as_seen_by(picture(), "alice") == picture()


def test_an_operator_sees_everything() -> None:
    assert as_seen_by(picture("jobs", "nodes"), None) == picture("jobs", "nodes")


def test_others_jobs_are_not_in_the_picture_where_slurm_hides_them() -> None:
    seen = as_seen_by(picture("jobs"), "alice")
    assert "bob" not in told(seen)
    assert "why 2" not in told(seen)
    assert seen.plan.forecasts.keys() == {"1"}
    assert seen.plan.seen == Seen()
    snapshot = seen.world.lrms.value
    assert snapshot is not None
    assert [job.id for job in snapshot.jobs] == ["1"]
    assert [claim.jobs for claim in seen.world.claims.values()] == [()]


def test_no_node_is_in_the_picture_where_slurm_hides_nodes() -> None:
    assert "cpu-1" not in told(as_seen_by(picture("nodes"), "alice"))


@pytest.mark.parametrize(
    ("client", "eyes"),
    [
        (f"0:{os.getegid() + 7}", None),
        (f"{os.geteuid()}:1", None),
        (f"4000000:5,{os.getegid()}", None),
        (f"4000000:{os.getegid() + 7}", "uid 4000000"),
    ],
    ids=["root", "the daemon's user", "a member of its group", "somebody"],
)
def test_operators_are_known_by_the_kernels_word(client: str, eyes: str | None) -> None:
    assert eyes_of(request_of(client)) == eyes


@pytest.fixture
def as_alice(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """What alice is answered, in a cluster whose Slurm hides jobs."""
    monkeypatch.setattr(privacy, "eyes_of", lambda _request: "alice")
    control = MemoryControl(picture("jobs"))
    control.add(make_note(1, "cpu-1", "for job 2"), make_note(2, "job 1", "yours"))
    app: FastAPI = make_app(control, explain, lambda _accept: (b"", "text/plain"), now=lambda: NOW, open_to_all=True)
    with TestClient(app, base_url="http://localhost") as asked:
        yield asked


@pytest.mark.parametrize(
    "path", ["status", "nodes?all=true", "jobs", "sites", "offers", "events", "events?about=cpu-1", "explain/cpu-1"]
)
def test_no_answer_names_others_jobs(as_alice: TestClient, path: str) -> None:
    answer = as_alice.get(f"/v1/{path}")
    assert answer.status_code == 200
    text = json.dumps(answer.json())
    assert "bob" not in text
    assert "job 2" not in text
    assert '"2"' not in text


def test_everybody_sees_what_their_own_jobs_cost_and_nothing_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "eyes_of", lambda _request: "alice")
    control = MemoryControl(picture())
    hour = NOW - timedelta(hours=1)
    control.spent_rows = [
        SpentRow(hour, "cpu", "cesnet", "art", 6.0),
        SpentRow(hour, "cpu", "cesnet", "", 1.0),
        SpentRow(hour, "", "cesnet", "", 0.5),
    ]
    control.claims = [make_claim("cpu-1", launched_at=hour, used_at=hour)]
    runs = (("1", "alice", 2), ("2", "bob", 4))
    control.uses = [JobUse(job, user, "art", "normal", ("cpu-1",), hour, None, cpus) for job, user, cpus in runs]
    app = make_app(control, explain, lambda _accept: (b"", "text/plain"), now=lambda: NOW, open_to_all=True)
    with TestClient(app, base_url="http://localhost") as asked:
        for by in ("user", "job", "account", "pool", "market"):
            answer = asked.get(f"/v1/cost?by={by}&since=2026-03-01").json()
            assert ([row["amount"] for row in answer["rows"]], answer["total"], answer["user"]) == ([2.0], 2.0, "alice")
            assert "bob" not in json.dumps(answer)
        control.uses = None
        assert asked.get("/v1/cost").status_code == 400, "without an accounting nothing is known to be theirs"


def test_ones_own_job_is_told(as_alice: TestClient) -> None:
    assert [job["id"] for job in as_alice.get("/v1/jobs").json()["jobs"]] == ["1"]
    assert [event["text"] for event in as_alice.get("/v1/events?about=job 1").json()["events"]] == ["yours"]


def test_what_acts_or_tells_secrets_is_for_operators(as_alice: TestClient) -> None:
    """Whoever adds a route that is for everybody says so here."""
    everybodys = {
        "cost",
        "status",
        "nodes",
        "jobs",
        "sites",
        "offers",
        "events",
        "explain",
        "version",
        "stream",
        "history",
    }
    app = as_alice.app
    assert isinstance(app, FastAPI)
    closed = [
        (method, path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/v1/") and (method == "post" or path.split("/")[2] not in everybodys)
    ]
    assert len(closed) >= 10
    for method, path in closed:
        answer = as_alice.request(method, path)
        assert (answer.status_code, "membership of the group" in answer.text) == (403, True), (path, answer.text)


def test_the_clients_socket_is_the_daemons() -> None:
    for path in ("/run/clues/clues.sock", "/run/a.b/s"):
        assert client._open_to_all(path) == str(Places(Path("/x"), Path(path)).read_socket)


def test_the_kernel_tells_user_and_groups_of_who_calls() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        told = _groups(here, os.geteuid(), os.getegid())
    assert set(told) == set(os.getgroups())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user for once")
@pytest.mark.parametrize("groups", [[], [os.getegid()], list(range(70_000, 70_300))], ids=["none", "ours", "very many"])
def test_a_process_is_known_by_its_groups(groups: list[int]) -> None:
    """A real process of somebody else's asks for what is for operators, on the real socket that is open to all."""
    with serve(picture("jobs"), open_to_all=True) as api:
        api.path.parent.chmod(0o755)
        program = (
            "import os, socket, sys; os.setgroups(eval(sys.argv[2])); os.setgid(65534); os.setuid(65534); "
            "one = socket.socket(socket.AF_UNIX); one.connect(sys.argv[1]); "
            "one.sendall(b'GET /v1/vrouter/ca HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); "
            "print(one.makefile('rb').readline().split()[1].decode())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(api.path), repr(groups)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    # 503: an operator is heard, and there is no signer here to ask
    assert done.stdout.strip() == ("503" if groups == [os.getegid()] else "403"), done
