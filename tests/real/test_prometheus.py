"""Debian's Prometheus scrapes a cluster of two sites with an overlay: every panel of the dashboards shows something."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.frontend import free_port, wait_for
from tests.lab.grafana import BOARDS
from tests.real.withstand_lab import trial

pytestmark = pytest.mark.real

RULES = Path(__file__).parents[2] / "templates" / "prometheus" / "clues.rules.yml"
#: What Grafana would put for ``$__rate_interval``: a few scrapes.
SPAN = "10s"

Ask = Callable[[str], list[dict[str, Any]]]

QUERIES = [
    (f"{name}-{panel.title}-{number}", query.expression)
    for name, board in BOARDS.items()
    for panel in board.panels
    for number, query in enumerate(panel.queries)
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask a Prometheus that scrapes a cluster on which a gang has run across its sites."""
    folder = tmp_path_factory.mktemp("prometheus")
    one_each = {"cesnet": 1, "upv": 1}
    with trial(
        folder / "cluster", overlay=True, vms=one_each, pool={"span": True}, idle="60s", cpu_nodes="cpu-[01-02]"
    ) as cluster:
        target = free_port("127.0.0.1")
        cluster.write_config(metrics=f"127.0.0.1:{target}")
        cluster.signal_daemon(signal.SIGHUP)
        with scraping(folder, target) as ask:
            wait_for("a first scrape", lambda: ask("up == 1") or None, 30)
            job = cluster.submit("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=4")
            cluster.completes(job, timeout=90)
            wait_for("the boots to be scraped", lambda: ask("sum(clues_join_seconds_count) >= 3") or None, 30)
            yield ask


@contextmanager
def scraping(folder: Path, target: int) -> Iterator[Ask]:
    """Run Prometheus in *folder*, with our rules, against the daemon's port *target*."""
    shutil.copy(RULES, folder)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES.name],
        "scrape_configs": [{"job_name": "clues", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = shutil.which("prometheus")
    assert command, "Debian's package prometheus is missing: ./dev setup"
    port = free_port("127.0.0.1")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                command,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )

    def ask(expression: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=10) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it starts
                return []
            raise
        except urllib.error.URLError:
            return []  # it does not even listen yet

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("expression", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES])
def test_a_panel_shows_something(prometheus: Ask, expression: str) -> None:
    found = prometheus(expression.replace("$__rate_interval", SPAN))
    assert found
    assert "NaN" not in {sample["value"][1] for sample in found}
