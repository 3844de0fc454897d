"""``clues nfs-exports``: looks at the accounts of this machine, and prints what the NFS server needs, or why not."""

from __future__ import annotations

import argparse
import contextlib
import grp
import os
import pwd
import sys
from collections.abc import Iterable
from pathlib import Path

from clues.config import DEFAULT_FILE, Loaded, load
from clues.errors import CluesError, ConfigError
from clues.registry import find_plugins
from vrouter import exports
from vrouter.exports import Account, Group
from vrouter.options import OpenVpnConfig

SUDOERS = Path("/etc/sudoers")


def nfs_exports(argv: list[str]) -> int:
    """``clues nfs-exports [--write FOLDER] [FILE]``: exit code 1 where a folder may not be exported."""
    parser = argparse.ArgumentParser(prog="clues nfs-exports")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the files there instead of printing them")
    parser.add_argument("--slurm-user", default="slurm", metavar="NAME", help="the cluster's SlurmUser (slurm)")
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_FILE)
    arguments = parser.parse_args(argv)
    try:
        files = render(load(arguments.file, find_plugins()), arguments.slurm_user)
    except CluesError as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in files.items():
        if arguments.write is None:
            print(f"# --- {name} ---\n{text}")
        else:
            (arguments.write / name).write_text(text)
    return 0


def render(loaded: Loaded, slurm_user: str) -> dict[str, str]:
    """Return the configurations by file name.

    :raises ConfigError: a folder may not be exported, or the accounts of this machine cannot be looked through.
    """
    shares = [share for share in loaded.shares if not share.server]
    for share in shares:
        if (path := real_path(share.path)) != share.path:
            raise ConfigError(f"{share.path} leads to {path} by a symbolic link: export the folder itself")
    named = sudoers(SUDOERS)
    known = groups({*exports.SUDO_GROUPS, exports.CLUES_GROUP, *(one[1:] for one in named if one.startswith("%"))})
    users = accounts({slurm_user, *named, *(name for group in known for name in group.members)})
    state = real_path(loaded.state)
    wrong = exports.refusals(shares, users, known, sudoers=named, slurm_user=slurm_user, state=state)
    if told := list(wrong):
        raise ConfigError("\n".join(told))
    config, transit = loaded.overlay[1], ""
    front: tuple[str, ...] = ()
    if isinstance(config, OpenVpnConfig):
        transit = "" if config.tunnels is None else str(config.tunnels)
        front = config.front_ranges(loaded.settings)
    ranges = exports.clients(loaded.settings, transit=transit, front=front)
    if shares and not ranges:
        raise ConfigError("no range is known that workers come from: write the network of each site, or overlay.front")
    return {
        exports.EXPORTS_FILE: exports.render_exports(shares, ranges),
        exports.GANESHA_FILE: exports.render_ganesha(shares, ranges),
    }


def accounts(names: Iterable[str]) -> list[Account]:
    """Return the users of this machine, and those with these names, whom a directory may know and not list."""
    found = {one.pw_name: one for one in pwd.getpwall()}
    for name in names:
        with contextlib.suppress(KeyError):
            found.setdefault(name, pwd.getpwnam(name))
    return [Account(one.pw_name, one.pw_uid, one.pw_gid, real_path(Path(one.pw_dir or "/"))) for one in found.values()]


def groups(names: Iterable[str]) -> list[Group]:
    """Return the groups of this machine, and those with these names, as :func:`accounts` does."""
    found = {one.gr_name: one for one in grp.getgrall()}
    for name in names:
        with contextlib.suppress(KeyError):
            found.setdefault(name, grp.getgrnam(name))
    return [Group(one.gr_name, one.gr_gid, tuple(one.gr_mem)) for one in found.values()]


def sudoers(path: Path) -> frozenset[str]:
    """Return whom sudo's configuration names; nobody where there is none.

    :raises ConfigError: there is one that cannot be read.
    """
    folder, found = path.with_name(f"{path.name}.d"), set[str]()
    try:
        files = [path, *(sorted(folder.iterdir()) if folder.is_dir() else [])]
        for file in files:
            if file.is_file():
                found.update(exports.sudoers_in(file.read_text(encoding="utf-8", errors="replace")))
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: cannot be read ({error.strerror}), so nobody can tell who becomes root by sudo: "
            "run this command as root"
        ) from error
    return frozenset(found)


def real_path(path: Path) -> Path:
    """Return a path without symbolic links, as far as it exists."""
    return Path(os.path.realpath(path))
