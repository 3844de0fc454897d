"""The files of the agent: the one program of ours that runs on every VM, for as long as the VM lives."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta

from clues import templates
from clues.model import Kind
from clues.ports import Provision

SERVICE = "clues-agent"

_UNIT = """[Unit]
Description=Keeps this VM in its cluster: names, accounts, certificate, tunnels
Wants=network-online.target
After=network-online.target
Before=slurmd.service

[Service]
ExecStart=/etc/clues/agent
Restart=always
RestartSec=1
KillMode=mixed

[Install]
WantedBy=multi-user.target
"""

_LEAST = timedelta(minutes=5)

#: one idea each, one program
_PARTS = ("agent.sh", "agent-router.sh", "agent-watch.sh", "agent-main.sh")


def script() -> str:
    """Return the program."""
    return "".join(templates.read(part) for part in _PARTS)


def agent(
    *,
    urls: Sequence[str],
    node: str,
    kind: Kind,
    routes: Sequence[tuple[str, str]],
    hostname: bool = False,
    dead_man: timedelta = timedelta(0),
    spot: str = "",
) -> Provision:
    """Return the agent, its settings and its unit.

    :param urls: where the enrolment front is, in the order to be tried.
    :param routes: static routes of this VM, as (range, gateway).
    :param hostname: whether the VM is to be named here; a worker is named by the batch system.
    :param dead_man: a worker that has heard neither of slurmctld nor of clues for so long powers itself off when no job
        runs. A router waits twice as long: behind it jobs may run still. Nothing: never.
    :param spot: how it hears that it is to go (``ec2``); empty: it does not.
    """
    # A router asks nobody but clues, whose answers may be half a minute apart.
    patience = max(dead_man * 2, _LEAST) if dead_man and kind is Kind.ROUTER else dead_man
    settings = {
        "URLS": " ".join(urls),
        "NODE": node,
        "KIND": str(kind),
        "ROUTES": " ".join(word for route in routes for word in route),
        "DEAD_MAN": str(int(patience.total_seconds())),
        "SPOT": spot,
    }
    conf = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    return Provision(
        files=(
            ("/etc/clues/agent", 0o755, script().encode()),
            ("/etc/clues/agent.conf", 0o644, conf.encode()),
            (f"/etc/systemd/system/{SERVICE}.service", 0o644, _UNIT.encode()),
        ),
        settings={"HOSTNAME": node} if hostname else {},
        services=(SERVICE,),
    )
