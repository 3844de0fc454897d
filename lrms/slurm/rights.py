"""Whether slurmctld obeys the user as whom cluesd runs, by what slurmctld itself holds of its users.

Slurm (22.05) obeys root and SlurmUser, and with slurmdbd who is an operator or an administrator there. It takes no less
to change a node than to make a reservation, which maintenances need.
"""

from __future__ import annotations

import pwd
import re

from clues.model import Finding, Soundness
from lrms.slurm import config_text
from lrms.slurm.tools import Tools

TOPIC = "rights"

_OBEYED = frozenset({"Operator", "Administrator"})
_USER = re.compile(r"^UserName=\S*\(([0-9]+)\)\s.*\bAdminLevel=(\w+)", re.MULTILINE)
_NUMBER = re.compile(r"\(([0-9]+)\)")
_LOST = "it obeys no order of cluesd: no node is opened or stopped, no reservation is made for a maintenance"


def look(tools: Tools, uid: int) -> Finding:
    """Return whether slurmctld obeys the user with this number.

    :raises LrmsError: it cannot be asked.
    """
    config = config_text.read_config(tools.run(["scontrol", "show", "config"]))
    name = _name_of(uid)
    slurm_user = config.get("slurmuser", "")
    number = _NUMBER.search(slurm_user)
    if uid == 0 or (number is not None and int(number[1]) == uid):
        return Finding(TOPIC, Soundness.GOOD, f"it obeys {name}, who is {'root' if uid == 0 else 'SlurmUser'}")
    if config.get("accountingstoragetype") != "accounting_storage/slurmdbd":
        text = f"cluesd runs as {name}; without slurmdbd Slurm obeys only root and {slurm_user}: {_LOST}"
        cure = "set User= to SlurmUser with `systemctl edit cluesd`, or have Slurm keep accounting"
        return Finding(TOPIC, Soundness.BAD, text, cure)
    level = _level_of(uid, tools.run(["scontrol", "-o", "show", "assoc_mgr", "flags=users", f"users={name}"]))
    if level in _OBEYED:
        return Finding(TOPIC, Soundness.GOOD, f"it obeys {name}, who is an {level.lower()}")
    text = f"{name} is {'no user of its accounting' if not level else 'no operator'}: {_LOST}"
    cure = f"`sacctmgr {'modify user' if level else 'add user'} {name} {'set' if level else 'account=root'} "
    return Finding(TOPIC, Soundness.BAD, text, f"{cure}adminlevel=operator`")


def _level_of(uid: int, told: str) -> str:
    """Return the AdminLevel of the user with this number; empty where slurmctld does not know one."""
    return next((level for number, level in _USER.findall(told) if int(number) == uid), "")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
