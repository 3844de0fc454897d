"""The two commands: what they do is told before it is done, and `--dry-run` ends there."""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from clues.errors import CluesError
from clues.install import manifest
from clues.install.changes import Change, carry_out, to_install, to_uninstall
from clues.install.manifest import InstallError, on
from clues.install.slurm import not_included, slurms_part
from clues.install.wanted import OF_A_PACKAGE, OF_THE_ADMINISTRATOR, configuration, service_files

#: folders that the units do not see (ProtectHome=, PrivateTmp=)
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - it is not used, but refused


def install(argv: list[str]) -> int:
    """``clues install``: idempotent; exit code 1 where nothing could be done."""
    parser = argparse.ArgumentParser(prog="clues install")
    parser.add_argument("--front-end", action="store_true")
    parser.add_argument("--package", action="store_true")
    parser.add_argument("--programs", type=Path)
    arguments = _common(parser).parse_args(argv)
    root: Path = arguments.root
    try:
        _may_change(root, dry_run=arguments.dry_run)
        known = manifest.Manifest() if arguments.package else manifest.read(root)
        # Once a central point, it stays one: a repetition without the option takes no setting away.
        front_end = arguments.front_end or str(OF_THE_ADMINISTRATOR.sysctl) in known.files
        programs = _programs(arguments.programs, check=root == Path("/"))
        homes = OF_A_PACKAGE if arguments.package else OF_THE_ADMINISTRATOR
        wanted = service_files(programs, homes, front_end=front_end)
        if not arguments.package and on(root, OF_A_PACKAGE.units / "cluesd.service").is_file():
            # A distribution's package has put them, and renews them; copies in /etc would hide its next version.
            wanted = [file for file in wanted if file.path == homes.sysctl]
        fragments, advice = ([], []) if arguments.package else slurms_part(root)
        if not arguments.package:
            wanted += [configuration(), *fragments]
        changes = to_install(root, wanted, known, homes.units)
        _tell(changes, arguments.dry_run)
        tools = [] if arguments.package else [*_tools(root, front_end=front_end)]
        for tool in tools:
            print(f"run     {' '.join(tool)}")
        if not arguments.dry_run:
            carry_out(root, changes, known, keep=not arguments.package)
            _run(tools)
    except (CluesError, OSError) as error:
        print(f"clues install: {error}", file=sys.stderr)
        return 1
    if not arguments.package:
        print("\nThen:\n" + "\n".join(f"- {line}" for line in advice))
    return 0


def uninstall(argv: list[str]) -> int:
    """``clues uninstall``: takes away what `clues install` has put, as far as nobody changed it."""
    arguments = _common(argparse.ArgumentParser(prog="clues uninstall")).parse_args(argv)
    root: Path = arguments.root
    try:
        _may_change(root, dry_run=arguments.dry_run)
        known = manifest.read(root)
        if not known.files:
            print("nothing was installed by `clues install`")
            return 0
        if root == Path("/"):
            _stopped(known.files)
        not_included(root, known.files)
        changes = to_uninstall(root, known)
        _tell(changes, arguments.dry_run)
        tools = [["systemctl", "daemon-reload"]] if _booted(root) else []
        if not arguments.dry_run:
            carry_out(root, changes, known)
            _run(tools)
    except (CluesError, OSError) as error:
        print(f"clues uninstall: {error}", file=sys.stderr)
        return 1
    print(
        "\nWhat stays: /var/lib/clues with the ledger and the keys of the cluster (VMs that live are known only there) "
        "and the users of clues, who own it."
    )
    return 0


def _common(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--root", type=Path, default=Path("/"))
    return parser


def _may_change(root: Path, *, dry_run: bool) -> None:
    if not root.is_dir():
        raise InstallError(f"--root: {root} is no folder")
    if root == Path("/") and os.geteuid() != 0 and not dry_run:
        raise InstallError("this changes /etc: run it as root, or with --dry-run to see what it would do")


def _programs(given: Path | None, *, check: bool) -> Path:
    """Return the folder that the units start the programs from.

    :raises InstallError: the services, who are other users and see neither homes nor /tmp, could not run them there.
    """
    folder = (given or Path(sys.prefix) / "bin").absolute()
    if not check:
        return folder
    cure = "install clues where every user can read it: python3 -m venv /opt/clues && /opt/clues/bin/pip install clues"
    if not (folder / "cluesd").is_file():
        raise InstallError(f"there is no {folder / 'cluesd'}; --programs names the folder with the programs, or {cure}")
    resolved = (folder / "python3").resolve() if (folder / "python3").exists() else folder
    for path in (folder, resolved):
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            raise InstallError(f"the services do not see {path} (homes and /tmp are closed to them): {cure}")
        for parent in (path, *path.parents):
            if not parent.stat().st_mode & 0o001:
                raise InstallError(f"the services are other users, and may not look into {parent}: {cure}")
    return folder


def _tools(root: Path, *, front_end: bool) -> Iterator[list[str]]:
    there = [] if root == Path("/") else [f"--root={root}"]
    yield ["systemd-sysusers", *there, str(OF_THE_ADMINISTRATOR.sysusers.name)]
    yield ["systemd-tmpfiles", *there, "--create", str(OF_THE_ADMINISTRATOR.tmpfiles.name)]
    if _has_user(root, "slurm"):
        yield ["systemd-tmpfiles", *there, "--create", str(OF_THE_ADMINISTRATOR.slurm_tmpfiles.name)]
    if root == Path("/") and front_end:
        yield ["sysctl", "-q", "-p", str(OF_THE_ADMINISTRATOR.sysctl)]
    if _booted(root):
        yield ["systemctl", "daemon-reload"]


def _has_user(root: Path, name: str) -> bool:
    if root != Path("/"):
        passwd = root / "etc" / "passwd"
        return passwd.is_file() and any(line.startswith(f"{name}:") for line in passwd.read_text().splitlines())
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _booted(root: Path) -> bool:
    return root == Path("/") and Path("/run/systemd/system").is_dir()


def _run(tools: Sequence[Sequence[str]]) -> None:
    for tool in tools:
        try:
            done = subprocess.run(tool, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise InstallError(f"there is no {tool[0]}, of systemd: install it and run this again") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise InstallError(f"`{' '.join(tool)}` failed: {said}; mend that and run this again")


def _stopped(files: Mapping[str, str]) -> None:
    """See to it that nothing is taken away from under a service that runs."""
    units = [PurePosixPath(name).name for name in files if name.endswith((".service", ".target"))]
    if not _booted(Path("/")) or not units:
        return
    done = subprocess.run(["systemctl", "is-active", *units], capture_output=True, text=True, check=False)
    running = [
        unit for unit, state in zip(units, done.stdout.split(), strict=False) if state not in {"inactive", "failed"}
    ]
    if running:
        raise InstallError(
            f"these run: {' '.join(running)}. End the VMs first if there shall be none (`clues status`), then "
            f"`systemctl disable --now {' '.join(running)}`"
        )


def _tell(changes: Sequence[Change], dry_run: bool) -> None:
    if dry_run:
        print("This would be done:")
    for change in changes:
        why = f"    ({change.why})" if change.why else ""
        print(f"{change.step.value:<8}{change.path}{why}")
