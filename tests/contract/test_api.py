"""The API as its callers meet it: real HTTP over a real UNIX socket."""

from __future__ import annotations

import logging
import os
import pwd
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clues.api import wire, wire_clouds, wire_plan, wire_vrouter
from clues.api.codec import decode
from clues.api.limits import MOST_BYTES
from clues.api.watching import MOST_WAITING
from clues.errors import CluesError, InvalidRequest, LedgerError
from clues.model import Wish
from tests.unit.api.joined import joined, make_ca
from tests.unit.api.memory_control import MemoryControl
from tests.unit.api.serving import Api, serve
from tests.unit.builders import hybrid, make_note, make_published

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/v1/status", wire.ClusterStatus),
        ("/v1/nodes", wire.NodeList),
        ("/v1/jobs", wire.JobList),
        ("/v1/sites", wire.SiteList),
        ("/v1/offers", wire_clouds.OfferList),
        ("/v1/offers?about=gpu&about=aws", wire_clouds.OfferList),
        ("/v1/events", wire.EventList),
        ("/v1/explain/gpu-01", wire.Explanation),
        ("/v1/logs/gpu-01", wire_clouds.LogText),
        ("/v1/logs/gpu-01?source=ssh", wire_clouds.LogText),
        ("/v1/plan", wire_plan.PlanView),
        ("/v1/plan?what_if=gpu.idle%3D1h", wire_plan.PlanView),
        ("/v1/version", wire.VersionInfo),
        ("/v1/vrouter", wire_vrouter.VrouterStatus),
        ("/v1/vrouter/ca", wire_vrouter.CaView),
    ],
)
def test_every_answer_is_of_its_type_and_says_its_version(api: Api, target: str, kind: type[Any]) -> None:
    api.control.ca = make_ca()
    body = api.get(target)
    assert body["apiVersion"] == "v1"
    decode(kind, body)
    # nothing goes over the wire that the contract does not name
    assert set(body) == set(kind.__dataclass_fields__)


def test_nodes_can_be_named_by_hostlists(api: Api) -> None:
    names = [node["name"] for node in api.get("/v1/nodes?names=gpu-%5B01-02%5D&names=cpu-001,gpu-01")["nodes"]]
    assert names == ["gpu-01", "gpu-02", "cpu-001"]


def test_a_job_an_array_task_and_a_strange_name_can_be_explained(api: Api) -> None:
    assert "4242" in api.get("/v1/explain/4242")["text"]
    assert "4100_1" in api.get("/v1/explain/4100_1")["text"]
    strange = api.ask("GET", "/v1/explain/..%2F..%2Fetc")
    assert (strange.status, strange.type) == (404, "application/problem+json")


def test_the_explanation_is_given_the_events_about_its_subject(api: Api) -> None:
    api.control.add(make_note(1, "gpu-01", "bought for 4188"), make_note(2, "gpu-02", "another"))
    assert api.get("/v1/explain/gpu-01")["text"].endswith("bought for 4188")


def test_events_are_read_on_from_a_cursor(api: Api) -> None:
    api.control.add(*(make_note(number) for number in range(1, 6)))
    first = api.get("/v1/events?limit=2")
    assert ([one["id"] for one in first["events"]], first["last"]) == ([4, 5], 5)
    api.control.add(make_note(6))
    assert [one["id"] for one in api.get("/v1/events?after=5")["events"]] == [6]
    assert api.get("/v1/events?after=6")["last"] == 6


def test_the_private_network_can_be_waited_for_and_says_its_tick() -> None:
    with serve(joined()) as api:
        body = api.get("/v1/vrouter?wait=3&timeout=60")
    assert (body["tick"], [one["node"] for one in body["tunnels"]]) == (7, ["router-ifca", "router-upv", "cpu-030"])


def test_a_signer_that_does_not_answer_is_told(api: Api) -> None:
    answer = api.ask("GET", "/v1/vrouter/ca")
    assert (answer.status, "clues.signer.sock" in answer.body["detail"]) == (503, True)


# --- waiting ---------------------------------------------------------------------------------------------


def later(function: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    return thread, result


def test_a_request_that_waits_is_answered_by_the_next_tick(api: Api) -> None:
    thread, result = later(lambda: api.get("/v1/status?wait=7&timeout=60"))
    until(lambda: api.control.waiters > 0)
    assert not result
    api.control.tick(hybrid())
    thread.join(20)
    assert result[0]["tick"] == 8


def test_a_tick_that_has_been_is_not_waited_for(api: Api) -> None:
    began = time.monotonic()
    assert api.get("/v1/status?wait=3&timeout=60")["tick"] == 7
    assert time.monotonic() - began < 20


def test_a_request_that_waited_long_enough_gets_the_present(api: Api) -> None:
    assert api.get("/v1/status?wait=7&timeout=0.1")["tick"] == 7


def test_events_can_be_waited_for(api: Api) -> None:
    api.control.add(make_note(1))
    thread, result = later(lambda: api.get("/v1/events?after=1&timeout=60"))
    until(lambda: api.control.waiters > 0)
    api.control.add(make_note(2))
    thread.join(20)
    assert [one["id"] for one in result[0]["events"]] == [2]


def test_however_many_wait_an_order_gets_through(api: Api) -> None:
    crowd = [later(lambda: api.get("/v1/status?wait=7&timeout=60")) for _ in range(MOST_WAITING + 25)]
    until(lambda: sum(bool(result) for _, result in crowd) == 25)
    assert api.post("/v1/pause").status == 200
    assert sum(bool(result) for _, result in crowd) == 25
    api.control.tick(hybrid())
    for thread, _ in crowd:
        thread.join(20)
    assert sorted(result[0]["tick"] for _, result in crowd) == [7] * 25 + [8] * MOST_WAITING


def test_a_daemon_without_a_first_tick_is_waited_for_then_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clues.api.watching._FIRST_TICK_SECONDS", 0.05)
    with serve(None) as api:
        answer = api.ask("GET", "/v1/status")
        assert (answer.status, answer.type) == (503, "application/problem+json")
        assert "has not seen the cluster yet" in answer.body["detail"]
        assert api.get("/v1/version")["version"]
        api.control.tick(make_published())
        assert api.get("/v1/status")["tick"] == 1


# --- orders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "wish"),
    [
        ("poweron", Wish.ON),
        ("poweroff", Wish.OFF),
        ("drain", Wish.DRAIN),
        ("disable", Wish.DISABLED),
        ("enable", None),
    ],
)
def test_an_order_reaches_the_daemon_with_the_name_of_who_gave_it(api: Api, verb: str, wish: Wish | None) -> None:
    answer = api.post(f"/v1/nodes/{verb}", {"nodes": ["gpu-[01-02]", "cpu-001,gpu-01"]})
    body = {"order": verb, "nodes": ["gpu-01", "gpu-02", "cpu-001"], "who": ME, "without_vm": [], "apiVersion": "v1"}
    assert answer.body == body
    assert api.control.orders == [(("gpu-01", "gpu-02", "cpu-001"), wish, ME)]


@pytest.mark.parametrize(
    ("verb", "told"), [("drain", ["cpu-099"]), ("poweroff", ["cpu-099"]), ("disable", []), ("poweron", [])]
)
def test_that_there_is_nothing_to_drain_is_told(api: Api, verb: str, told: list[str]) -> None:
    assert api.post(f"/v1/nodes/{verb}", {"nodes": ["cpu-099,gpu-01"]}).body["without_vm"] == told


def test_pause_and_resume_reach_the_daemon(api: Api) -> None:
    assert [api.post(f"/v1/{verb}").status for verb in ("pause", "resume")] == [200, 200]
    assert api.control.pauses == [(True, ME), (False, ME)]


@pytest.mark.parametrize(
    ("name", "key"), [("gpu-01", "gpu-01-1"), ("gpu-01-1", "gpu-01-1"), ("router-upv", "router-upv-1")]
)
def test_a_vm_is_evicted_by_its_node_or_its_claim(name: str, key: str) -> None:
    with serve(joined()) as api:
        answer = api.post("/v1/vrouter/evict", {"name": name})
        assert (answer.body["claim"], answer.body["who"]) == (key, ME)
        assert api.control.evictions == [(key, ME)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "gpu-16"}, 404),  # it is off
        ({"name": "router-up"}, 404),
        ({"name": ""}, 400),
        ({"name": ["gpu-01"]}, 400),
        ({}, 400),
        ({"name": "gpu-01", "force": True}, 400),
    ],
)
def test_nobody_is_evicted_by_a_name_that_is_wrong(body: object, status: int) -> None:
    with serve(joined()) as api:
        answer = api.post("/v1/vrouter/evict", body)
        assert (answer.status, answer.type) == (status, "application/problem+json")
        assert api.control.evictions == []


def test_a_step_to_a_new_ca_is_taken_in_the_name_of_who_ordered_it(api: Api) -> None:
    answer = api.post("/v1/vrouter/ca/rotate")
    assert (answer.status, answer.body["who"], bool(answer.body["next"])) == (200, ME, True)
    assert api.control.rotations == [ME]
    api.control.failure = InvalidRequest("3 members still have a certificate of the old CA")
    refused = api.post("/v1/vrouter/ca/rotate")
    assert (refused.status, refused.body["detail"]) == (400, "3 members still have a certificate of the old CA")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Remote-User"])
def test_who_it_was_is_the_kernels_word_not_a_headers(api: Api, header: str) -> None:
    api.post("/v1/pause", headers={header: "daemon"})
    assert api.control.pauses == [(True, ME)]


def test_one_unknown_name_and_nothing_is_changed(api: Api) -> None:
    answer = api.post("/v1/nodes/poweroff", {"nodes": ["gpu-01", "gpuu-10"]})
    assert (answer.status, answer.type) == (404, "application/problem+json")
    assert answer.body["unknown"][0]["name"] == "gpuu-10"
    assert "gpu-10" in answer.body["unknown"][0]["nearest"]
    assert "nothing was changed" in answer.body["detail"]
    assert api.control.orders == []


def test_a_node_that_is_not_ours_takes_no_orders(api: Api) -> None:
    assert api.post("/v1/nodes/poweroff", {"nodes": ["login-01"]}).status == 404
    assert api.control.orders == []


def test_a_router_takes_orders_where_its_site_has_one() -> None:
    with serve(joined()) as api:
        assert api.post("/v1/nodes/poweroff", {"nodes": ["router-upv"]}).status == 200
        assert api.post("/v1/nodes/poweroff", {"nodes": ["router-aws"]}).status == 404
        assert api.control.orders == [(("router-upv",), Wish.OFF, ME)]


def test_many_unknown_names_are_not_all_told(api: Api) -> None:
    answer = api.post("/v1/nodes/drain", {"nodes": ["x-[1-5000]"]})
    assert (len(answer.body["unknown"]), "and 4995 more" in answer.body["detail"]) == (5, True)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"{",
        b"\xff\xfe",
        [],
        {},
        {"nodes": []},
        {"nodes": "gpu-01"},
        {"nodes": [""]},
        {"nodes": [1]},
        {"nodes": ["gpu-01"], "force": True},
        {"nodes": ["gpu-[01"]},
        {"nodes": ["gpu-[1-99999999]"]},
        {"nodes": ["gpu-01; reboot"]},
        {"nodes": ["../gpu-01"]},
    ],
)
def test_a_malformed_order_is_refused_as_a_problem(api: Api, body: Any) -> None:
    answer = api.post("/v1/nodes/poweroff", body)
    assert (answer.status in (400, 404), answer.type) == (True, "application/problem+json")
    assert answer.body["detail"]
    assert api.control.orders == []


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/v1/status", 405),
        ("POST", "/v1/nodes/reboot", 404),
        ("GET", "/v1/status?wait=never", 400),
        ("GET", "/v1/status?timeout=1e9", 400),
        ("GET", "/v1/events?limit=0", 400),
        ("GET", "/v1/nodes?names=gpu-%5B1", 400),
        ("GET", "/v1/nodes?names=gpu-99", 404),
    ],
)
def test_every_mistake_is_answered_as_a_problem(api: Api, method: str, target: str, status: int) -> None:
    answer = api.post(target, {"nodes": ["gpu-01"]}) if method == "POST" else api.ask(method, target)
    assert (answer.status, answer.type, answer.body["status"]) == (status, "application/problem+json", status)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (InvalidRequest("gpu-01 is being ended"), 400),
        (LedgerError("no space left on device"), 503),
        (CluesError("?"), 500),
    ],
)
def test_what_the_daemon_cannot_do_is_told_in_its_words(api: Api, failure: CluesError, status: int) -> None:
    api.control.failure = failure
    for answer in (api.post("/v1/nodes/poweron", {"nodes": ["gpu-01"]}), api.post("/v1/pause")):
        assert (answer.status, answer.body["detail"]) == (status, str(failure))


def test_a_mistake_of_ours_is_logged_and_its_details_are_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("canary-5f3a")

    monkeypatch.setattr(MemoryControl, "notes", break_down)
    with caplog.at_level(logging.ERROR):
        answer = api.ask("GET", "/v1/events")
        until(lambda: "canary-5f3a" in caplog.text)
    assert (answer.status, answer.type) == (500, "application/problem+json")
    assert "canary-5f3a" not in str(answer.body)
    assert api.get("/v1/version")


def test_a_body_without_end_is_cut_off(api: Api) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(api.path))
        raw.sendall(b"POST /v1/nodes/poweron HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 4 * MOST_BYTES:
                raw.sendall(chunk)
                sent += 0x10000
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert raw.recv(64).startswith(b"HTTP/1.1 413")
    assert api.control.orders == []


def test_garbage_is_refused_and_the_next_caller_is_served(api: Api) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(api.path))
        raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert raw.recv(64).startswith(b"HTTP/1.1 400")
    assert api.get("/v1/version")


def test_a_parameter_that_a_route_does_not_have_is_refused_everywhere(api: Api) -> None:
    for path, methods in api.get("/openapi.json")["paths"].items():
        target = re.sub(r"{\w+}", "1", path)
        for method in methods:
            answer = api.ask(method.upper(), f"{target}?limt=5")
            assert (answer.status, "limt" in answer.body["detail"]) == (400, True), (method, path, answer)
    assert "limt (did you mean limit" in api.ask("GET", "/v1/events?limt=5").body["detail"]


def test_the_api_describes_itself(api: Api) -> None:
    description = api.get("/openapi.json")
    assert description == api.get("/v1/openapi.json")
    assert {"/v1/status", "/v1/nodes/{verb}", "/v1/explain/{subject}"} <= set(description["paths"])
    assert "apiVersion" in description["components"]["schemas"]["ClusterStatus"]["properties"]
