"""What the EC2 connector costs over the calls that it makes: growth from nothing to 500, and a listing of 1,000.

Both against the lab's AWS in a process of its own. Growth through executor, threads and connector takes turns with a
bare loop of libcloud's own driver, which sends the same RunInstances from as many threads and looks at no answer: what
lies between them is ours. Both are done twice: with a launch for each VM, and with launches of many. The medians of
several turns are compared, since moto's share is by far the larger one.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode, urlsplit

from libcloud.compute.drivers.ec2 import EC2NodeDriver

from clues.errors import CloudError
from clues.executor import Executor
from clues.model import Action, Claim, ClaimState, Launch, LaunchOutcome, LaunchRequest, LaunchTogether
from clues.workers import Threads
from connectors.ec2 import PLUGIN
from connectors.ec2.images import Image, Volume
from connectors.ec2.run import parameters, together
from tests.lab.aws.lab import KEYS, REGION, running
from tests.lab.aws.site import Account, config, connect, prepare, request, write_keys
from tests.lab.bench.figures import Figure
from tests.lab.frontend import LabError

GROWTH, LISTED = 500, 1000
#: the default of `batch`
TOGETHER = 40
TURNS = 3
LISTINGS = 5
#: the default of a site's lane, and of the connector
CONCURRENCY = 8
CLUSTER = "6f1d7c1e-0000-4000-8000-00000000000a"


def run() -> list[Figure]:
    """Measure; takes some minutes, most of them moto's."""
    with running() as aws, tempfile.TemporaryDirectory() as folder:
        account = prepare(aws)
        keys = write_keys(Path(folder))
        took: dict[tuple[str, int], list[float]] = defaultdict(list)
        launches = {}
        for _ in range(TURNS):
            for most in (1, TOGETHER):
                took["bare", most].append(_grown(account, lambda most=most: _bare_loop(account, most)))  # type: ignore[misc]
                took["ours", most].append(_grown(account, lambda most=most: _through_clues(account, keys, most)))  # type: ignore[misc]
                launches[most] = len(aws.calls("RunInstances"))
        ours, bare = ({most: median(took[who, most]) for most in (1, TOGETHER)} for who in ("ours", "bare"))
        aws.tell("reset")
        cpu, wall = _listing(account, keys)
    return [
        Figure("growth_ratio", ours[1] / bare[1], "", "under 1.15"),
        Figure("growth_seconds", ours[1], "s"),
        Figure("growth_launches", launches[1], ""),
        Figure("bare_loop_seconds", bare[1], "s"),
        Figure("together_ratio", ours[TOGETHER] / bare[TOGETHER], "", "under 1.15"),
        Figure("together_seconds", ours[TOGETHER], "s"),
        Figure("together_launches", launches[TOGETHER], ""),
        Figure("bare_together_seconds", bare[TOGETHER], "s"),
        Figure("listing_cpu_seconds", cpu, "s"),
        Figure("listing_wall_seconds", wall, "s"),
    ]


def _grown(account: Account, grow: Callable[[], None]) -> float:
    """Return how long it takes *grow* to fill an empty account."""
    account.aws.tell("reset")
    began = time.monotonic()
    grow()
    took = time.monotonic() - began
    there = len(account.aws.tell("alive"))
    if there != GROWTH:
        raise LabError(f"{there} instances came to be instead of {GROWTH}")
    return took


# --- through clues ----------------------------------------------------------------------------------------------------


class _Answers:
    """Takes the answers, as the reconciler would."""

    def __init__(self) -> None:
        self.errors: list[CloudError] = []
        self.count = 0

    def launched(self, outcome: LaunchOutcome) -> None:
        self.count += 1
        if outcome.error is not None:
            self.errors.append(outcome.error)

    def terminated(self, key: str, error: CloudError | None) -> None: ...

    def ordered(self, action: Action, error: BaseException | None) -> None: ...


def _through_clues(account: Account, keys: Path, most: int) -> None:
    home: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    answers = _Answers()
    connector = connect(config(account, keys, concurrency=CONCURRENCY), CLUSTER)
    batches = list(_batches(most))
    requests = {one.launch_key: one for batch in batches for one in batch}
    lrms: Any = None  # nothing is ordered from Slurm here
    executor = Executor(
        Threads(home, {"aws": CONCURRENCY}), lrms, {"aws": connector}, lambda claim: requests[claim.key], answers
    )
    claims = {key: _claim(one) for key, one in requests.items()}
    orders = [LaunchTogether(one[0].batch) if most > 1 else Launch(one[0].launch_key) for one in batches]
    executor.carry_out(orders, claims)
    while answers.count < GROWTH:
        home.get()()
    if answers.errors:
        raise LabError(f"{len(answers.errors)} launches failed, the first: {answers.errors[0]}")


def _batches(most: int) -> Iterator[list[LaunchRequest]]:
    """Yield what is asked for in one launch; several at once have no addresses of their own."""
    # as long as the script of a worker
    script = "#!/bin/sh\n" + "echo a line of user-data\n" * 500
    for first in range(0, GROWTH, most):
        numbers = range(first, min(first + most, GROWTH))
        alone = [replace(request(CLUSTER, at, address=most == 1), user_data=script) for at in numbers]
        keys = tuple(one.launch_key for one in alone)
        yield [replace(one, batch=keys) for one in alone] if most > 1 else alone


def _claim(one: LaunchRequest) -> Claim:
    now = datetime.now(UTC)
    return Claim(one.launch_key, one.kind, one.node, one.pool, 1, one.offer, one.shape, ClaimState.LAUNCHING, now, now)


# --- the same calls, bare ---------------------------------------------------------------------------------------------


def _bare_loop(account: Account, most: int) -> None:
    mine = threading.local()
    url = urlsplit(account.aws.url)

    def send(params: Mapping[str, str]) -> None:
        if not hasattr(mine, "driver"):
            mine.driver = EC2NodeDriver(  # type: ignore[no-untyped-call]
                *KEYS, secure=False, host=url.hostname, port=url.port, region=REGION, signature_version="4"
            )
        # by POST, as the connector does: a server has less to do for it than for a URL of 20 KB
        form = urlencode({"Version": "2016-11-15", **params})
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        mine.driver.connection.request("/", data=form, headers=headers, method="POST")

    with ThreadPoolExecutor(CONCURRENCY) as threads:
        for _ in threads.map(send, list(_calls(account, most))):
            pass


def _calls(account: Account, most: int) -> Iterator[dict[str, str]]:
    settings = PLUGIN.Config.model_validate(config(account, Path("/nonexistent")))
    image = Image(account.image, "clues-worker", "", "/dev/sda1", (Volume("/dev/sda1", 15),))
    for batch in _batches(most):
        params = together(batch, settings, image) if most > 1 else parameters(batch[0], settings, image)
        yield {"Action": "RunInstances", **params}


# --- listing ----------------------------------------------------------------------------------------------------------


def _listing(account: Account, keys: Path) -> tuple[float, float]:
    """Return the CPU time of this process and the wall time of one listing; medians."""
    connector = connect(config(account, keys), CLUSTER)
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        made = list(threads.map(lambda number: connector.launch([request(CLUSTER, number)])[0], range(LISTED)))
    if any(one.error is not None for one in made):
        raise LabError("some launches failed")
    cpu, wall = [], []
    for _ in range(LISTINGS):
        began = time.process_time(), time.monotonic()
        found = len(connector.list_instances().instances)
        cpu.append(time.process_time() - began[0])
        wall.append(time.monotonic() - began[1])
        if found != LISTED:
            raise LabError(f"{found} instances were listed instead of {LISTED}")
    return median(cpu), median(wall)
