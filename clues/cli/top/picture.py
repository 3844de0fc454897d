"""What the daemon has told so far: one whole picture, then changes to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from clues.api import wire, wire_page


@dataclass(slots=True)
class Picture:
    """The cluster as it is known here."""

    status: wire.ClusterStatus | None = None
    nodes: dict[str, wire.NodeView] = field(default_factory=dict)
    #: pending ones first, as far as they are told
    jobs: tuple[wire.JobView, ...] = ()
    jobs_total: int = 0
    #: why nothing new comes; empty: it does
    trouble: str = ""

    def take(self, change: wire_page.Change, *, first: bool) -> None:
        """Take in a change; a first one is the whole picture."""
        if first:
            self.nodes = {}
        if change.status:
            self.status = change.status[0]
        self.nodes.update((node.name, node) for node in change.nodes)
        for name in change.gone:
            self.nodes.pop(name, None)
        if first or change.queue_changed:
            self.jobs = change.jobs
        self.jobs_total = change.jobs_total
        self.trouble = ""
