"""The agent when nobody is there any more, and when a spot VM is to go; and it looks after who reads the metadata."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clues.bootstrap import agent, wire
from clues.model import Kind
from tests.lab.agent_vm import AgentVm
from tests.lab.vpn_tools import wait_for

PERIOD = {"CLUES_PERIOD": "0.2"}
#: notes when it was asked for; slurmctld is up while `up` is there
SCONTROL = '#!/bin/sh\n: >>"$CLUES_ROOT/asked"\n[ -e "$CLUES_ROOT/up" ] && echo "Slurmctld(primary) at head is UP"\n'
POWER_OFF = '#!/bin/sh\necho off >>"$CLUES_ROOT/off"\n'


@contextmanager
def running(folder: Path, conf: str, **env: str) -> Iterator[AgentVm]:
    """A VM whose agent runs with these settings, and small programs in place of the image's."""
    vm = AgentVm(folder, conf, {**PERIOD, **env})
    for path, text in (("tools/scontrol", SCONTROL), ("etc/clues/power-off", POWER_OFF)):
        vm.put(path, text)
        (vm.root / path).chmod(0o755)
    vm.env["PATH"] = f"{vm.root}/tools:/usr/bin:/bin"
    vm.tell("tag a")
    vm.start()
    try:
        yield vm
    finally:
        vm.stop()


def uptime() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


def is_off(vm: AgentVm) -> bool:
    return bool(vm.read("off"))


def step(vm: AgentVm, pid: str, *words: str) -> Path:
    """A process of slurmstepd in the VM's /proc."""
    vm.put(f"proc/{pid}/comm", "slurmstepd\n")
    vm.put(f"proc/{pid}/cmdline", "\0".join(words) + "\0")
    vm.put(f"proc/{pid}/status", f"Name:\tslurmstepd\nPid:\t{pid}\nPPid:\t1\n")
    vm.put(f"proc/{pid}0/status", f"Name:\tsleep\nPid:\t{pid}0\nPPid:\t{pid}\n")
    return vm.root / "proc" / pid


def heard(vm: AgentVm) -> bool:
    return (vm.root / "run/clues-agent/heard").exists() and "settings a applied" in vm.read("log")


# --- the dead man -----------------------------------------------------------------------------------------------------


def test_a_vm_that_hears_of_nobody_powers_itself_off_after_its_time_and_not_before(tmp_path: Path) -> None:
    with running(tmp_path, "DEAD_MAN=3\n") as vm:
        wait_for("clues", partial(heard, vm))
        vm.front.stop()
        wait_for("the end", partial(is_off, vm))
        silence = re.search(r"heard for (\d+) s, and no job runs: this VM powers itself off", vm.read("log"))
        assert silence
        assert 3 <= int(silence[1]) < 20


def test_each_answer_of_clues_counts_and_slurmctld_is_left_alone_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path, "DEAD_MAN=600\n") as vm:
        wait_for("clues", partial(heard, vm))
        past = f"{uptime() - 500}\n"
        vm.put("run/clues-agent/heard", past)
        vm.tell("tag b")
        wait_for("the answer", lambda: vm.read("run/clues-agent/heard") not in ("", past))
        assert int(vm.read("run/clues-agent/heard")) > uptime() - 60
        (vm.root / "asked").unlink(missing_ok=True)
        vm.tell("tag c")
        wait_for("another one", lambda: "settings c applied" in vm.read("log"))
        assert not (vm.root / "asked").exists()
        assert not is_off(vm)


def test_while_slurmctld_answers_it_stays(tmp_path: Path) -> None:
    with running(tmp_path, "DEAD_MAN=2\n") as vm:
        vm.put("up", "")
        wait_for("clues", partial(heard, vm))
        vm.front.stop()
        time.sleep(5)
        assert not is_off(vm)
        (vm.root / "up").unlink()
        wait_for("the end", partial(is_off, vm))


def test_while_a_job_runs_it_stays(tmp_path: Path) -> None:
    with running(tmp_path, "DEAD_MAN=2\n") as vm:
        job = step(vm, "412", "slurmstepd: [7.batch]")
        step(vm, "99", "/usr/sbin/slurmstepd", "infinity")  # of cgroup/v2, for ever
        step(vm, "98", "slurmstepd: [7.extern]")  # until slurmctld ends it
        vm.front.stop()
        wait_for("its word", lambda: "a job runs still" in vm.read("log"))
        time.sleep(1)
        assert not is_off(vm)
        (job.with_name("4120") / "status").unlink()  # the job has ended, and its slurmstepd tries to say so
        wait_for("the end", partial(is_off, vm))


def test_a_front_end_that_refuses_the_vm_does_not_keep_it(tmp_path: Path) -> None:
    """It has been put out of the cluster; whoever should have ended it has not."""
    with running(tmp_path, "DEAD_MAN=2\n") as vm:
        vm.front.refuses = True
        vm.tell("tag b")  # ends the question that waits
        wait_for("the refusal", lambda: "no settings (403)" in vm.read("log"))
        wait_for("the end", partial(is_off, vm))


def test_without_a_time_nobody_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, "DEAD_MAN=0\n") as vm:
        vm.front.stop()
        time.sleep(2)
        assert not is_off(vm)
        assert vm.read("asked") == ""


def test_an_agent_that_begins_again_remembers_whom_it_has_heard(tmp_path: Path) -> None:
    vm = AgentVm(tmp_path, "DEAD_MAN=10\n", dict(PERIOD))
    vm.front.stop()
    vm.put("run/clues-agent/heard", f"{uptime() - 20}\n")
    vm.put("etc/clues/power-off", POWER_OFF)
    (vm.root / "etc/clues/power-off").chmod(0o755)
    vm.env["PATH"] = "/usr/bin:/bin"
    vm.start()
    try:
        wait_for("the end", partial(is_off, vm))
    finally:
        assert vm.process is not None
        vm.process.terminate()
        vm.process.wait(10)


def test_a_router_waits_twice_as_long() -> None:
    def dead_man(kind: Kind, minutes: float = 60) -> str:
        made = agent.agent(urls=["https://h"], node="n", kind=kind, routes=(), dead_man=timedelta(minutes=minutes))
        conf = next(content for path, _, content in made.files if path.endswith("agent.conf")).decode()
        return next(line for line in conf.splitlines() if line.startswith("DEAD_MAN="))

    assert dead_man(Kind.WORKER) == "DEAD_MAN=3600"
    assert dead_man(Kind.ROUTER) == "DEAD_MAN=7200"
    assert dead_man(Kind.ROUTER, 0.1) == "DEAD_MAN=300"
    assert dead_man(Kind.ROUTER, 0) == dead_man(Kind.WORKER, 0) == "DEAD_MAN=0"


def test_the_agent_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    with running(tmp_path, "DEAD_MAN=60\nSPOT=ec2\n", CLUES_METADATA="http://127.0.0.1:1") as vm:
        wait_for("clues", partial(heard, vm))
        pids = [int((vm.root / f"run/clues-agent/pids/{name}.watch").read_text()) for name in ("look", "spot")]
    wait_for("their end", lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


# --- who reads the metadata -------------------------------------------------------------------------------------------


def test_the_guard_is_looked_after(tmp_path: Path) -> None:
    vm = AgentVm(tmp_path, "", dict(PERIOD))
    vm.put("etc/clues/guard", 'echo "it is open" >&2; : >>"$CLUES_ROOT/guarded"; exit 1\n')
    vm.tell("tag a")
    vm.start()
    try:
        wait_for("the guard", lambda: "it is open" in vm.read("log"))
    finally:
        vm.stop()


# --- spot -------------------------------------------------------------------------------------------------------------


class Metadata:
    """EC2's metadata service, version 2: a token by PUT, then what there is."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.tokens = ["first"]
        self.asked: list[tuple[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def _say(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self) -> None:
                good = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") == "21600"
                self._say(200 if good and self.path == "/latest/api/token" else 400, service.tokens[-1])

            def do_GET(self) -> None:
                token = self.headers.get("X-aws-ec2-metadata-token", "")
                path = self.path.removeprefix("/latest/meta-data/")
                service.asked.append((path, token))
                if token != service.tokens[-1]:
                    self._say(401, "")
                else:
                    self._say(200 if path in service.answers else 404, service.answers.get(path, "not found"))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    service = Metadata()
    yield service
    service.stop()


def reports(vm: AgentVm) -> list[str]:
    return [text.strip() for _, kind, text in vm.front.reports if kind == "spot"]


def test_notices_are_told_with_the_providers_time_once_each(tmp_path: Path, metadata: Metadata) -> None:
    url = f"http://127.0.0.1:{metadata.server.server_port}"
    with running(tmp_path, "SPOT=ec2\n", CLUES_METADATA=url) as vm:
        wait_for("a look", lambda: len(metadata.asked) > 3)
        assert reports(vm) == []
        metadata.answers["events/recommendations/rebalance"] = '{"noticeTime": "2026-11-29T10:00:00Z"}'
        wait_for("the warning", lambda: reports(vm) == ["rebalance 2026-11-29T10:00:00Z"])
        metadata.tokens.append("second")  # the first has ended
        metadata.answers["spot/instance-action"] = '{\n  "action": "terminate",\n  "time": "2026-11-29T10:04:00Z"\n}'
        wait_for("the notice", lambda: len(reports(vm)) == 2)
        seen = len(metadata.asked)
        wait_for("more looks", lambda: len(metadata.asked) > seen + 4)
        told = reports(vm)
    assert len(told) == 2
    assert wire.parse_spot(told[1]) == (
        wire.SpotNotice("terminate", datetime(2026, 11, 29, 10, 4, tzinfo=UTC)),
        wire.SpotNotice("rebalance", datetime(2026, 11, 29, 10, 0, tzinfo=UTC)),
    )
    assert {token for _, token in metadata.asked} == {"first", "second"}


def test_a_notice_that_nobody_took_is_told_again(tmp_path: Path, metadata: Metadata) -> None:
    metadata.answers["spot/instance-action"] = '{"action":"stop","time":"2026-11-29T10:04:00Z"}'
    url = f"http://127.0.0.1:{metadata.server.server_port}"
    vm = AgentVm(tmp_path, "SPOT=ec2\n", {**PERIOD, "CLUES_METADATA": url})
    vm.front.deaf = 2
    vm.tell("tag a")
    vm.start()
    try:
        wait_for("the notice", lambda: reports(vm) == ["stop 2026-11-29T10:04:00Z"])
        assert vm.front.deaf == 0
    finally:
        vm.stop()


def test_a_vm_that_is_no_spot_vm_asks_nobody(tmp_path: Path, metadata: Metadata) -> None:
    url = f"http://127.0.0.1:{metadata.server.server_port}"
    with running(tmp_path, "SPOT=''\n", CLUES_METADATA=url) as vm:
        wait_for("clues", partial(heard, vm))
        time.sleep(0.5)
    assert metadata.asked == []
