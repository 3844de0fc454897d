"""Renders `docs/reference/metrics.md` from the families that Prometheus is given, so that the two cannot differ."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from clues.api.lens import Lens
from clues.metrics.meter import Meter
from clues.metrics.picture import PARTS
from tests.unit.api.joined import joined
from tests.unit.builders import NOW

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"

HEAD = """# Metrics

<!-- Generated from clues/metrics by `./dev docs`: change those files, not this one. -->

What `cluesd` gives Prometheus: over HTTP at `metrics.listen`
([how to have that](../how-to/answer-an-alert.md#have-them)), and always as `/metrics` on its UNIX sockets. No label
holds a job, a user or an address, so the number of series is bounded by the configuration. Money is in the cluster's
`currency`. Beside these there are `process_...` and `python_...` of the daemon itself.

A counter begins at 0 with each start of the daemon, but for those of forecasts, which the ledger keeps. Of a histogram
there are `..._bucket`, `..._sum` and `..._count`.
"""


#: The parts of the picture by the file that they stand in.
TITLES = {
    "supply": "Nodes and VMs",
    "queue": "Jobs",
    "money": "Money",
    "overlay": "The private network",
    "health": "The daemon, and what it sees",
}


def render_metrics() -> str:
    """Return the page: a table for what is read from the last tick, by its part, and one for what is counted."""
    lens = Lens.of(joined(), NOW)
    registry = CollectorRegistry()
    Meter(registry)
    counted = [(family, _labels(one)) for one in registry._collector_to_names for family in one.collect()]
    lines = [HEAD]
    for part in PARTS:
        title = TITLES[part.__module__.rpartition(".")[2]]
        lines += _section(title, ((family, _labels(family) or _sampled(family)) for family in part(lens)))
    return "\n".join([*lines, *_section("Counted since the daemon started", counted)]).rstrip() + "\n"


def _labels(family: object) -> tuple[str, ...]:
    """Return the names of the labels; the library has no other way to those of a family without samples."""
    names: tuple[str, ...] = getattr(family, "_labelnames")  # noqa: B009 - its types do not tell of it
    return names


def _sampled(family: Metric) -> tuple[str, ...]:
    """Return the labels of an *info*, which are in its one sample only."""
    return tuple(family.samples[0].labels) if family.samples else ()


def _section(title: str, families: Iterable[tuple[Metric, tuple[str, ...]]]) -> list[str]:
    return (
        [f"## {title}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        + [
            f"| `{family.name}{_SUFFIX.get(family.type, '')}` | {family.type} "
            f"| {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"
            for family, labels in families
        ]
        + [""]
    )


#: What the text form adds to the name of a family.
_SUFFIX = {"counter": "_total", "info": "_info"}
