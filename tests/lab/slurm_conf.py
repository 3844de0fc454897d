"""The configuration of the lab's front-end: everything but the nodes, which are `clues slurm-config`'s business.

The idea: the same decisions as on a real front-end (`PrivateData=cloud`, ReturnToService=1, power saving on, but never
by itself), and beside them only what one machine without privilege needs: one account, no cgroups, no accounting, quick
intervals. The nodes and the GPUs stand in files of their own, included as a site would include them.
"""

from __future__ import annotations

from pathlib import Path

SETTINGS = {
    "ClusterName": "lab",
    # One account for everything: a fake root cannot change users.
    "SlurmUser": "clues",
    "SlurmdUser": "clues",
    "AuthType": "auth/munge",
    "CryptoType": "crypto/munge",
    "CommunicationParameters": "block_null_hash",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "AccountingStorageType": "accounting_storage/none",
    "MpiDefault": "none",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_CPU_Memory",
    "GresTypes": "gpu",
    "SlurmdParameters": "config_overrides",  # nodes have the CPUs and the memory that they are said to have
    "TreeWidth": "65533",  # slurmctld talks to each node itself: workers need not know each other's address
    # Closed nodes are listed, and a node that comes back is not open before somebody opened it.
    "PrivateData": "cloud",
    "ReturnToService": "1",
    # Power saving is on, as power_down needs it, but nothing is ever suspended by idleness. INFINITE would turn it off.
    "SuspendTime": "31536000",
    "SuspendTimeout": "3",
    "SuspendProgram": "/bin/true",
    "ResumeProgram": "/bin/true",
    "ResumeTimeout": "120",
    "ResumeRate": "0",
    "SuspendRate": "0",
    "SlurmctldParameters": "power_save_interval=1,power_save_min_interval=0",
    "SchedulerParameters": "batch_sched_delay=0,sched_interval=2,bf_interval=2",
    "SlurmctldTimeout": "60",
    "SlurmdTimeout": "300",
    "KillWait": "2",
    "MessageTimeout": "10",
    "MinJobAge": "3600",  # ended jobs stay visible: there is no accounting to ask
    "SlurmctldDebug": "verbose",
    "SlurmdDebug": "verbose",
}


def render(*, folder: Path, run: Path, hostname: str, address: str, ports: tuple[int, int], extra: str = "") -> str:
    """The text of slurm.conf. `run` holds sockets and pid files; `extra`: lines of `Key=value` that replace ours."""
    controller_port, slurmd_port = ports
    settings = SETTINGS | {
        "SlurmctldHost": f"{hostname}({address})",
        "SlurmctldPort": str(controller_port),
        "SlurmdPort": str(slurmd_port),
        "AuthInfo": f"socket={run}/munge.sock,cred_expire=5",
        "PlugStackConfig": f"{folder}/etc/plugstack.conf",
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{run}/slurmctld.pid",
        "SlurmdPidFile": f"{run}/slurmd-%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld.log",
        "SlurmdLogFile": f"{folder}/log/slurmd-%n.log",
    }
    for line in filter(None, (line.strip() for line in extra.splitlines())):
        key, _, value = line.partition("=")
        settings[key] = value
    lines = [f"{key}={value}" for key, value in settings.items()]
    return "\n".join([*lines, "include nodes.conf", ""])
