"""What people touch: process time of the command line, the metrics, the page, and what looking costs a tick.

All of it against a daemon's API over its real socket, with a picture of a large cluster in it; `sinfo --json` is
Slurm's own, against a real slurmctld with as many nodes, in a sandbox of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from clues.api.app import make_app
from clues.api.server import ApiServer
from clues.metrics import Exposition
from clues.model import Published
from clues.planner import decide
from clues.planner.explain import explain
from tests.lab.bench.figures import Figure
from tests.lab.frontend import FrontEnd
from tests.page.browser import chromium, forwarded
from tests.unit.api.memory_control import MemoryControl
from tests.unit.api.serving import UnixConnection
from tests.unit.builders import (
    BUSY,
    NOW,
    OFF,
    make_claim,
    make_job,
    make_node,
    make_pool,
    make_published,
    make_settings,
    make_world,
)

RUNS = 15
TICKS = 12
READS_A_SECOND = 5
LISTENERS = 20


def run() -> list[Figure]:
    """Measure everything; medians where there are several runs."""
    status = _command(1000, ["status"])
    nodes = _command(5000, ["nodes", "-o", "json"])
    sinfo = _sinfo()
    metrics, size = _metrics(5000)
    alone, watched, reads = _ticks(1000)
    paint, frames = _page(1000)
    return [
        Figure("status_cpu_ms", status * 1000, "ms", "at most 150"),
        Figure("nodes_json_5000_cpu_ms", nodes * 1000, "ms"),
        Figure("sinfo_json_5000_cpu_ms", sinfo * 1000, "ms"),
        Figure("nodes_vs_sinfo_json", nodes / sinfo, "", "at most 1.0"),
        Figure("metrics_cpu_ms", metrics * 1000, "ms"),
        Figure("metrics_bytes", size, "bytes"),
        Figure("tick_slowdown", watched / alone, "", "at most 1.1"),
        Figure("reads_per_second", reads, "1/s"),
        Figure("stream_cpu_ms", _streams(1000) * 1000, "ms"),
        Figure("first_paint_ms", paint, "ms"),
        Figure("frames_per_second", frames, "1/s"),
    ]


@contextmanager
def _served(published: Published) -> Iterator[tuple[Path, MemoryControl]]:
    """Serve a picture on a socket."""
    with tempfile.TemporaryDirectory(prefix="clues-") as folder:
        control, socket = MemoryControl(published), Path(folder) / "clues.sock"
        server = ApiServer(make_app(control, explain, now=lambda: NOW), socket)
        server.start()
        try:
            yield socket, control
        finally:
            server.stop()


def _command(nodes: int, words: Sequence[str]) -> float:
    """Return the CPU-seconds of a command: start, request, decode, print."""
    with _served(large(nodes)) as (socket, _):
        command = [str(Path(sys.executable).parent / "clues"), "--socket", str(socket), *words]
        return median(_child_seconds(command) for _ in range(RUNS))


def _child_seconds(argv: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "120"}, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _sinfo() -> float:
    """Return the CPU-seconds of Slurm's own `sinfo --json` at 5,000 nodes."""
    sandbox = [sys.executable, "-m", "connectors.local.sandbox", "--", sys.executable, "-m", "tests.lab.bench.faces"]
    done = subprocess.run(sandbox, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _in_sandbox() -> None:
    conf = (
        "NodeName=cpu-[0001-5000] CPUs=8 RealMemory=30000 State=CLOUD\n"
        "PartitionName=main Nodes=ALL Default=YES State=UP\n"
    )
    with tempfile.TemporaryDirectory() as folder, FrontEnd(Path(folder), nodes_conf=conf) as front:
        os.environ["SLURM_CONF"] = str(front.plain / "etc" / "slurm.conf")
        print(median(_child_seconds(["sinfo", "--json"]) for _ in range(RUNS)))


def _metrics(nodes: int) -> tuple[float, int]:
    """Return the CPU-seconds of one scrape, and its bytes."""
    picture = large(nodes)
    exposition = Exposition(lambda: picture, lambda: NOW)
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        text, _ = exposition.text()
        times.append(time.process_time() - began)
    return median(times), len(text)


def _ticks(nodes: int) -> tuple[float, float, float]:
    """Return the seconds of a decision alone, the same while others read, and how many reads a second that were."""
    published = large(nodes)

    def decisions() -> float:
        times = []
        for _ in range(TICKS):
            began = time.perf_counter()
            decide(published.world, published.settings, NOW)
            times.append(time.perf_counter() - began)
        return median(times)

    with _served(published) as (socket, _):
        decisions()
        alone = decisions()
        stopping, count, began = threading.Event(), [0], time.monotonic()

        def read() -> None:
            while not stopping.wait(1 / READS_A_SECOND):
                connection = UnixConnection(socket)
                connection.request("GET", "/v1/status", headers={"Host": "localhost"})
                connection.getresponse().read()
                connection.close()
                count[0] += 1

        reader = threading.Thread(target=read)
        reader.start()
        watched = decisions()
        stopping.set()
        reader.join()
        return alone, watched, count[0] / (time.monotonic() - began)


def _streams(nodes: int) -> float:
    """Return the CPU-seconds of a tick in which every node changes, for all listeners, their own reading included."""
    told = [0] * LISTENERS

    def listen(number: int) -> None:
        connection = UnixConnection(socket)
        connection.request("GET", "/v1/stream", headers={"Host": "localhost"})
        answer = connection.getresponse()
        while line := answer.readline():
            told[number] += line.startswith(b"data: ")

    def wait(count: int) -> None:
        while min(told) < count:
            time.sleep(0.02)

    with _served(large(nodes)) as (socket, control):
        for number in range(LISTENERS):
            threading.Thread(target=listen, args=(number,), daemon=True).start()
        wait(1)
        pictures = [large(nodes, turn % 2) for turn in range(1, 7)]
        began = time.process_time()
        for turn, picture in enumerate(pictures, start=2):
            control.tick(picture)
            wait(turn)
        return (time.process_time() - began) / len(pictures)


def _page(nodes: int) -> tuple[float, float]:
    """Return the milliseconds to the first paint, and the frames in a second while every node changes each second."""
    with _served(large(nodes)) as (socket, control), forwarded(socket) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("html[data-tick]")
        paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.evaluate(
            "() => { window.frames_seen = 0; const one = () => { window.frames_seen++; requestAnimationFrame(one); };"
            " requestAnimationFrame(one); }"
        )
        began = time.monotonic()
        for turn in range(8):
            control.tick(large(nodes, turn % 2))
            page.wait_for_timeout(1000)
        return float(paint), float(page.evaluate("() => window.frames_seen")) / (time.monotonic() - began)


def large(count: int, first: int = 0) -> Published:
    """A cluster of *count* nodes, every other one of them busy from the *first* on, with as many pending jobs."""
    names = tuple(f"cpu-{number:04}" for number in range(1, count + 1))
    busy = names[first::2]
    nodes = [make_node(name, BUSY if name in set(busy) else OFF) for name in names]
    jobs = [make_job(str(number), "RUNNING", nodes=(name,)) for number, name in enumerate(busy, start=1)]
    jobs += [make_job(str(number), reason="Resources") for number in range(count, 2 * count)]
    world = make_world(nodes, jobs, [make_claim(name) for name in busy])
    return make_published(make_settings([make_pool(nodes=names)]), world)


if __name__ == "__main__":
    _in_sandbox()
