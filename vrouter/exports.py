"""Which folders of the front-end may be exported over NFS, to whom, and the configurations that say so.

NFS believes each worker which user is asking, so whoever is root on one worker is any user of the exported folders,
save root. That is why no folder is exported that holds the home of somebody who could become root on the front-end: a
changed ``.bashrc`` there would be enough. Which single addresses may come is the firewall's part; here stand ranges.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clues import templates
from clues.config import Share
from clues.model import Attach, Settings
from vrouter import addressing

#: whose members become root by a password that their changed home could catch
SUDO_GROUPS = ("sudo", "wheel", "admin")
CLUES_GROUP = "clues"
#: in sudoers, where ``#1000`` is a user and everything else behind a ``#`` a remark
_COMMENT = re.compile(r"#(?![0-9]).*")
EXPORTS_FILE = "clues.exports"
GANESHA_FILE = "ganesha-clues.conf"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the front-end; ``home`` without symbolic links."""

    name: str
    uid: int
    gid: int
    home: Path


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the front-end, with the names of those whose second group it is."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


def clients(settings: Settings, *, transit: str = "", front: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the ranges that workers come from.

    :param transit: the range for the ends of tunnels, where directly attached workers are.
    :param front: the front-end's own ranges, where workers of local sites are whose range is not known.
    """
    ranges = addressing.ranges_of(settings)
    sites = settings.sites.values()
    found = [str(network) for name, network in ranges.items() if settings.sites[name].attach is not Attach.DIRECT]
    if any(site.attach is Attach.DIRECT for site in sites) and transit:
        found.append(transit)
    if any(site.attach is Attach.LOCAL and site.name not in ranges for site in sites):
        found += front
    return tuple(dict.fromkeys(found))


def refusals(
    shares: Iterable[Share],
    accounts: Collection[Account],
    groups: Collection[Group],
    *,
    sudoers: Collection[str] = (),
    slurm_user: str = "slurm",
    state: Path | None = None,
) -> Iterator[str]:
    """Yield a sentence for each folder that may not be exported, naming who is in it, and the cure.

    :param shares: with paths without symbolic links.
    :param sudoers: names of users, and of groups with ``%`` before them, that sudo's configuration names.
    :param state: the folder where clues keeps its own.
    """
    mighty = {account.name: why for account in accounts if (why := _might(account, groups, sudoers, slurm_user))}
    for share in shares:
        if share.server:
            continue  # another machine exports it
        for account in accounts:
            if account.name in mighty and _touch(share.path, account.home):
                yield (
                    f"{share.path} cannot be exported: the home of {account.name}, who {mighty[account.name]}, is "
                    f"{account.home}: give that user a home elsewhere (usermod -m -d /var/home/{account.name} "
                    f"{account.name}), or export another folder"
                )
        if state is not None and _touch(share.path, state):
            yield f"{share.path} cannot be exported: clues keeps its own in {state}: export another folder"


def render_exports(shares: Iterable[Share], ranges: Sequence[str]) -> str:
    """Return a file for ``/etc/exports.d``, for the kernel's server."""
    options = "rw,sync,secure,root_squash,no_subtree_check,sec=sys"
    to = " ".join(f"{one}({options})" for one in ranges)
    lines = [f"{share.path} {to}" for share in shares if not share.server and ranges]
    return templates.read("nfs/clues.exports").format(lines="\n".join(lines) or "# Nothing is exported.")


def render_ganesha(shares: Iterable[Share], ranges: Sequence[str], *, backend: str = "VFS") -> str:
    """Return the configuration of nfs-ganesha.

    :param backend: its file system abstraction layer (FSAL).
    """
    block = templates.read("nfs/ganesha-export.conf")
    own = [share for share in shares if not share.server and ranges]
    exports = [
        block.format(number=number, path=share.path, backend=backend, clients=", ".join(ranges))
        for number, share in enumerate(own, start=1)
    ]
    return templates.read("nfs/ganesha.conf") + "".join(exports)


def sudoers_in(text: str) -> Iterator[str]:
    """Yield the users, ``#ids`` and ``%groups`` that a sudoers file names in its first column, or in a User_Alias.

    What it does not understand it yields as it stands: a name that is nobody's harms nobody.
    """
    for line in text.replace("\\\n", " ").splitlines():
        words = _COMMENT.sub("", line).strip()
        kind, _, rest = words.partition(" ")
        if not words or words.startswith("@") or kind.startswith("Defaults"):
            continue
        if kind in {"Host_Alias", "Cmnd_Alias", "Cmd_Alias", "Runas_Alias"}:
            continue
        listed = rest if kind == "User_Alias" else _first_column(words)
        yield from (name for name in re.split(r"[,:=\s!\"]+", listed) if name)


def _first_column(words: str) -> str:
    """Return the list of users: it ends at the first blank that no comma is beside."""
    parts = words.replace(" ,", ",").replace(", ", ",").split()
    return parts[0] if parts else ""


def _might(account: Account, groups: Iterable[Group], sudoers: Collection[str], slurm_user: str) -> str:
    """Return how a user could rule the front-end; empty when in no way that is known here."""
    if account.uid == 0:
        return "is root"
    if account.name == slurm_user:
        return "is SlurmUser"
    if account.name == CLUES_GROUP or account.name.startswith(f"{CLUES_GROUP}-"):
        return "is a user of clues"
    of = {group.name for group in groups if group.gid == account.gid or account.name in group.members}
    names = {account.name, f"#{account.uid}", f"%#{account.gid}", "ALL", *(f"%{name}" for name in of)}
    if names & set(sudoers):
        return "is named in sudo's configuration"
    for name in (*SUDO_GROUPS, CLUES_GROUP):
        if name in of:
            return f"is in the group {name}"
    return ""


def _touch(path: Path, home: Path) -> bool:
    """Return whether one lies in the other. A home ``/`` is no home."""
    return home != Path("/") and (path.is_relative_to(home) or home.is_relative_to(path))
