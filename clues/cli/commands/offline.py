"""Commands that need no daemon: they read the configuration themselves.

Checking a configuration needs all plugins and their models, which would make every other command slow to
start. So these commands live elsewhere and are found by entry point (group ``clues.offline``): a function
that takes the arguments after the command's words and returns the exit code.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import cast

from clues.cli.command import Command, Session
from clues.cli.errors import Failed

GROUP = "clues.offline"
DEFAULT_FILE = "/etc/clues/clues.yaml"

Offline = Callable[[list[str]], int]


def find(name: str) -> Offline:
    """Return the function behind a command that this installation brings.

    :raises Failed: it brings none of this name.
    """
    # Imported here: it takes longer than all of `clues status`.
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise Failed(f"this installation has no {name!r} (entry point group {GROUP}); install clues again")
    return cast(Offline, found.load())


def _config_check(arguments: Namespace, _: Session) -> int:
    return find("config-check")(_file(arguments))


def _slurm_config(arguments: Namespace, _: Session) -> int:
    check = ["--check"] if arguments.check else []
    write = [f"--write={arguments.write}"] if arguments.write else []
    return find("slurm-config")([*check, *write, *_file(arguments)])


def _nfs_exports(arguments: Namespace, _: Session) -> int:
    write = [f"--write={arguments.write}"] if arguments.write else []
    return find("nfs-exports")([*write, f"--slurm-user={arguments.slurm_user}", *_file(arguments)])


def _install(arguments: Namespace, _: Session) -> int:
    flags = [f"--{name}" for name in ("front-end", "package") if getattr(arguments, name.replace("-", "_"))]
    programs = [f"--programs={arguments.programs}"] if arguments.programs else []
    return find("install")([*flags, *programs, *_where(arguments)])


def _uninstall(arguments: Namespace, _: Session) -> int:
    return find("uninstall")(_where(arguments))


def _where(arguments: Namespace) -> list[str]:
    return [*(["--dry-run"] if arguments.dry_run else []), f"--root={arguments.root}"]


def _file(arguments: Namespace) -> list[str]:
    # After "--" a name that begins with a dash is a name.
    return ["--", arguments.file] if arguments.file else []


def _file_argument(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"the configuration ({DEFAULT_FILE})")


def _slurm_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="compare with the running slurmctld instead of printing")
    parser.add_argument("--write", metavar="FOLDER", help="write the files there instead of printing them")
    _file_argument(parser)


def _nfs_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--write", metavar="FOLDER", help="write the files there instead of printing them")
    parser.add_argument("--slurm-user", default="slurm", metavar="NAME", help="the cluster's SlurmUser (slurm)")
    _file_argument(parser)


def _where_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    parser.add_argument("--root", metavar="FOLDER", default="/", help="a front-end's root that is mounted there (/)")


def _install_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--front-end", action="store_true", help="tunnels end here: also the kernel's settings for a central point"
    )
    parser.add_argument(
        "--programs", metavar="FOLDER", help="where the units find the programs (the folder that clues runs from)"
    )
    parser.add_argument(
        "--package", action="store_true", help="only what a distribution's package holds, where it holds it"
    )
    _where_arguments(parser)


COMMANDS: tuple[Command, ...] = (
    Command(
        words=("config", "check"),
        summary="check a configuration: every mistake at once, each with its line",
        run=_config_check,
        arguments=_file_argument,
        about="Nothing is changed, and no daemon is asked. Exits with 1 when there is a mistake.",
        examples=(("clues config check ./clues.yaml && systemctl reload cluesd", "look before you leap"),),
        offline=True,
    ),
    Command(
        words=("slurm-config",),
        summary="print the part of slurm.conf and gres.conf for the pools",
        run=_slurm_config,
        arguments=_slurm_arguments,
        about="With --check nothing is printed but the differences; exits with 1 when there are some.",
        examples=(
            ("clues slurm-config", "what to include in slurm.conf"),
            ("clues slurm-config --check", "is the running slurmctld up to date?"),
        ),
        offline=True,
    ),
    Command(
        words=("nfs-exports",),
        summary="print what the NFS server needs for the shares, or why a folder may not be exported",
        run=_nfs_exports,
        arguments=_nfs_arguments,
        about="One file for exports(5) and one for nfs-ganesha; take the one of your server. A folder that holds the "
        "home of root, of SlurmUser, of a sudoer or of a member of the group clues is refused, with exit code 1: root "
        "on a worker could change it.",
        examples=(
            ("clues nfs-exports", "look first"),
            ("clues nfs-exports --write /etc/exports.d && exportfs -r", "for the kernel's server"),
        ),
        offline=True,
    ),
    Command(
        words=("install",),
        summary="put users, folders, units, a configuration to start from and Slurm's part in place",
        run=_install,
        arguments=_install_arguments,
        about="May be repeated: what is in place stays, and what somebody changed is kept and named. slurm.conf and a "
        "configuration that is there are never changed. Nothing is started.",
        examples=(
            ("clues install --dry-run", "what would it do?"),
            ("clues install --front-end", "on a front-end that sites reach by tunnels"),
        ),
        offline=True,
    ),
    Command(
        words=("uninstall",),
        summary="take away what `clues install` has put, and nothing else",
        run=_uninstall,
        arguments=_where_arguments,
        about="A file that was changed since stays and is named. The ledger, the keys and the users of clues stay.",
        examples=(("clues uninstall --dry-run", "what would go?"),),
        offline=True,
    ),
)
