"""What a new worker needs to join: its name, where slurmctld is, and the munge key.

slurmd is started configless (``--conf-server``): it gets slurm.conf, gres.conf and the files that they include by
a bare name from the controller, so nothing of Slurm's configuration is ever copied to a VM.  The key itself is read
by the signer alone; whoever decides what a worker gets names it only.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clues.errors import ConfigError, LrmsError
from clues.ports import Provision, Secret
from lrms.slurm import config_text, programs, releases, words

#: name of the munge key among the secrets
MUNGE = "munge"
#: munged refuses a shorter key
_SHORTEST_KEY = 32
_HOST = re.compile(r"([^()\s]+)(?:\(([^()\s]+)\))?")
_USER = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,31})\(([0-9]{1,10})\)")
#: the users as whom Slurm and munge run by their packages' own choice
_USUAL_USERS = frozenset({"slurm", "munge"})


def provision_for(node: str, slurmctld: str, config: Mapping[str, str], *, clean: bool = False) -> Provision:
    """Return the settings, files, services and secrets of a worker.

    :param config: the controller's settings: which SlurmUser and slurmd the image has to have, and which programs. What
        they do not tell is not checked.
    :param clean: whether the worker cleans up between users.
    """
    paths, version = programs.named_in(config), config_text.version_of(config)
    taken = releases.taken_by(version)
    checked = {
        "SLURM_USER": user_of(config),
        "SLURMD_RELEASES": " ".join((version, *taken)) if taken else "",
        "SLURM_PROGRAMS": " ".join(paths),
    }
    return Provision(
        files=programs.files_for(paths, clean=clean),
        settings={
            "HOSTNAME": node,
            "SLURMD_OPTIONS": f"--conf-server {slurmctld} -N {node}",
            **{name: value for name, value in checked.items() if value},
        },
        services=("munge", "slurmd"),
        secrets=(Secret(MUNGE, "/etc/munge/munge.key", 0o400),),
    )


@dataclass(frozen=True, slots=True)
class MungeKey:
    """The cluster's munge key, the same for every worker; a :class:`clues.ports.Vault`."""

    path: Path

    @classmethod
    def find(cls, configured: Path, environment: Mapping[str, str]) -> MungeKey:
        """Return the key that systemd hands to the signer as a credential, else the configured one.

        munged refuses a key that its group can read, so the signer's user cannot read the file itself; systemd can.
        """
        credential = Path(environment.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / "munge.key"
        return cls(credential if credential.is_file() else configured)

    def open(self, launch_key: str) -> bytes:
        """Return the key, read anew, since a sysadmin may have changed it.

        :raises ConfigError: it cannot be read, is too short, or can be read by everybody.
        """
        try:
            mode = self.path.stat().st_mode
            key = self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"the munge key cannot be read (lrms.munge_key): {error}") from error
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise ConfigError(f"{self.path} is open to other users: chmod 0400 it, and make a new key")
        if len(key) < _SHORTEST_KEY:
            raise ConfigError(f"{self.path} holds {len(key)} bytes, munge wants at least {_SHORTEST_KEY}")
        return key


def user_of(config: Mapping[str, str]) -> str:
    """Return SlurmUser as ``name:uid``; empty where slurmctld does not tell it so.

    Slurm's configuration names the user, its messages carry the number: slurmd takes orders from the number that the
    name has *there*, and refuses those of a controller whose number is another.
    """
    match = _USER.fullmatch(config.get("slurmuser", ""))
    return f"{match[1]}:{match[2]}" if match else ""


def service_users(conf: Path) -> frozenset[str]:
    """Return the names (or numbers) of the users as whom Slurm and munge run: the usual ones, and SlurmUser.

    :param conf: slurm.conf; one that cannot be read adds nothing.
    """
    try:
        text = conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _USUAL_USERS
    found = re.findall(r"^\s*SlurmUser\s*=\s*([^\s#]+)", text, re.IGNORECASE | re.MULTILINE)
    return _USUAL_USERS.union(found)


def address_of(config: Mapping[str, str]) -> str:
    """Return where slurmctld says that it is: ``address:port``.

    :raises LrmsError: it does not say.
    """
    match = _HOST.fullmatch(config.get("slurmctldhost[0]", ""))
    port = re.match(r"[0-9]+", words.text_or_nothing(config.get("slurmctldport", "")))
    if match is None or port is None:
        raise LrmsError("slurmctld does not tell its address: set lrms.slurmctld")
    return f"{match[2] or match[1]}:{port[0]}"
