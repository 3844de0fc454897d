"""The commands, one table. Each file holds those that belong together: what they take, what they ask, what
they show."""

from __future__ import annotations

from clues.cli.command import Command
from clues.cli.commands import events, explain, jobs, nodes, offline, orders, sites, status, version

COMMANDS: tuple[Command, ...] = (
    status.COMMAND,
    nodes.COMMAND,
    jobs.COMMAND,
    sites.COMMAND,
    events.COMMAND,
    explain.COMMAND,
    *orders.COMMANDS,
    *offline.COMMANDS,
    version.COMMAND,
)
