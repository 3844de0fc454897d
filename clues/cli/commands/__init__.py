"""The commands, one table. Each file holds those that belong together: what they take, what they ask, what
they show."""

from __future__ import annotations

from clues.cli.command import Command
from clues.cli.commands import (
    audit,
    completion,
    cost,
    doctor,
    events,
    explain,
    history,
    image,
    jobs,
    logs,
    maintenance,
    nodes,
    offers,
    offline,
    orders,
    plan,
    report,
    simulate,
    sites,
    ssh,
    status,
    top,
    version,
    vrouter,
)

COMMANDS: tuple[Command, ...] = (
    status.COMMAND,
    top.COMMAND,
    nodes.COMMAND,
    jobs.COMMAND,
    sites.COMMAND,
    offers.COMMAND,
    plan.COMMAND,
    events.COMMAND,
    explain.COMMAND,
    history.COMMAND,
    cost.COMMAND,
    audit.COMMAND,
    logs.COMMAND,
    ssh.COMMAND,
    image.COMMAND,
    *orders.COMMANDS,
    maintenance.COMMAND,
    *vrouter.COMMANDS,
    doctor.COMMAND,
    report.COMMAND,
    *offline.COMMANDS,
    simulate.COMMAND,
    completion.COMMAND,
    version.COMMAND,
)
