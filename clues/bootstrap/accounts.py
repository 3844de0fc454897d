"""Who the users are: lines of passwd and group for the workers, of a range of ids, without password hashes.

A worker knows only the users of its image. So the front-end's own (whoever NSS knows there and can list) are handed to
every VM; the agent adds those that the image lacks. What is no plain account is left out: a line goes into a file that
has no way to quote.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from clues.errors import Transient

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_PLACE = re.compile(r"/[A-Za-z0-9_./@+-]{0,255}")
_WORDS = re.compile(r"[ -9;-~]{0,200}")  # printable, no colon


#: where the users of this machine itself are
FILES = (Path("/etc/passwd"), Path("/etc/group"))


def export(
    users: Iterable[pwd.struct_passwd],
    groups: Iterable[grp.struct_group],
    takes: Callable[[int], bool],
    never: Collection[str] = (),
) -> tuple[str, ...]:
    """Return ``account PASSWD-LINE`` and ``group GROUP-LINE`` lines, in the order of their ids.

    :param takes: whether a user or group of this id is exported.
    :param never: names and numbers of users, and names of groups, that are not, whatever their id.
    """
    people = {
        one.pw_name: one
        for one in users
        if takes(one.pw_uid)
        and not {one.pw_name, str(one.pw_uid)}.intersection(never)
        and _is_plain(one.pw_name, one.pw_dir, one.pw_shell or "/bin/sh")
        and one.pw_gid > 0
    }
    accounts = [
        f"account {one.pw_name}:x:{one.pw_uid}:{one.pw_gid}:{_words(one.pw_gecos)}:{one.pw_dir}:{one.pw_shell}"
        for one in sorted(people.values(), key=lambda one: (one.pw_uid, one.pw_name))
    ]
    found = {
        one.gr_name: one
        for one in groups
        if takes(one.gr_gid) and one.gr_name not in never and _NAME.fullmatch(one.gr_name)
    }
    teams = [
        f"group {one.gr_name}:x:{one.gr_gid}:{','.join(name for name in one.gr_mem if name in people)}"
        for one in sorted(found.values(), key=lambda one: (one.gr_gid, one.gr_name))
    ]
    return (*accounts, *teams)


def read(takes: Callable[[int], bool], never: Collection[str] = ()) -> tuple[str, ...]:
    """Return what :func:`export` makes of this machine's users and groups. May be slow where they come by network.

    :raises Transient: they cannot be listed now: not even root is among them.
    """
    users, groups = pwd.getpwall(), grp.getgrall()
    if all(one.pw_uid for one in users) or all(one.gr_gid for one in groups):
        raise Transient("this machine does not tell its users and groups")
    return export(users, groups, takes, never)


def stamp() -> tuple[tuple[int, int, int], ...]:
    """Return what changes whenever a user or group of this machine itself does; of a directory it tells nothing."""
    found = []
    for path in FILES:
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
        except OSError:
            found.append((0, 0, 0))  # being replaced
    return tuple(found)


def _is_plain(name: str, home: str, shell: str) -> bool:
    return all(form.fullmatch(text) for form, text in ((_NAME, name), (_PLACE, home), (_PLACE, shell)))


def _words(text: str) -> str:
    return text if _WORDS.fullmatch(text) else ""
