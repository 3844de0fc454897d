"""The demo as it is seen: live panels on a terminal, or one line for each thing that happens."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tests.lab.demo.run import Picture
from tests.lab.demo.traffic import in_bytes

#: How a node's state is drawn: its colour is never the only sign, the word stands beside it.
_COLOURS = {
    "busy": "green",
    "up": "green",
    "idle": "cyan",
    "launching": "yellow",
    "booting": "yellow",
    "joining": "yellow",
    "draining": "magenta",
    "stopping": "magenta",
    "failed": "red",
    "down": "red",
}


class View(Protocol):
    """Shows pictures."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, text: str) -> None: ...

    def show(self, picture: Picture) -> None: ...


class PlainView:
    """One line for each event, on standard error, so that standard output holds the summary alone."""

    def __init__(self) -> None:
        self._last = 0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Tell one thing."""
        print(text, file=sys.stderr, flush=True)

    def show(self, picture: Picture) -> None:
        """Tell the events since the last picture."""
        for event in picture.events:
            if event["id"] > self._last:
                self._last = event["id"]
                self.say(f"{picture.seconds:6.1f} s  {event['subject']:<8} {event['text']}")


class LiveView:
    """Nodes, jobs and decisions, redrawn in place."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        """Tell one thing, above the panels."""
        self._console.print(text, highlight=False)

    def show(self, picture: Picture) -> None:
        """Draw a picture."""
        status = picture.status
        head = Text(
            f" {status['cluster']}  {status['state']}   {status['nodes_up']} of {status['nodes_total']} nodes up, "
            f"{status['nodes_starting']} starting   {picture.seconds:.0f} s"
        )
        nodes = _nodes(picture.nodes, picture.routers)
        self._live.update(Group(head, nodes, _jobs(picture.jobs), _events(picture.events)))


def _nodes(nodes: list[dict[str, Any]], routers: list[dict[str, Any]]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for node in nodes:
        colour = _COLOURS.get(node["state"], "dim")
        jobs = "job " + ",".join(node["jobs"]) if node["jobs"] else ""
        table.add_row(node["name"], Text(node["state"], style=colour), node["site"], jobs)
    for router in routers:
        colour = _COLOURS.get(router["state"], "dim")
        table.add_row(router["node"], Text(router["state"], style=colour), router["site"], _tunnel(router))
    return Panel(table, title="nodes", title_align="left")


def _tunnel(router: dict[str, Any]) -> str:
    if not router["real"]:
        return "no tunnel yet"
    return f"tunnel from {router['real']}, {in_bytes(router['received'])} in, {in_bytes(router['sent'])} out"


def _jobs(jobs: list[dict[str, Any]]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for job in jobs[:8]:
        count = f" x{job['count']}" if job["count"] > 1 else ""
        table.add_row(
            job["id"] + count, job["state"].lower(), ",".join(job["nodes"]), Text(job["why"], overflow="ellipsis")
        )
    if len(jobs) > 8:
        table.add_row(f"and {len(jobs) - 8} more")
    return Panel(table, title="jobs", title_align="left")


def _events(events: list[dict[str, Any]]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for event in events[-8:]:
        table.add_row(event["at"][11:19], event["subject"], Text(event["text"], overflow="ellipsis", no_wrap=True))
    return Panel(table, title="decisions", title_align="left")
