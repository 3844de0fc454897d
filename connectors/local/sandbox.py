"""A whole machine room in one process tree: fresh user, network, mount, PID, UTS and IPC namespaces for one program.

The idea: what runs inside is root there and nobody outside. It makes bridges, mounts and VMs, sees neither the
machine's /etc (nor a Slurm that is configured in it) nor its /run, /tmp, /var/log, and leaves nothing behind but
`folder`: when the program ends, or this process does, by whatever means, the kernel takes everything down (`init.py`
tells how).

It needs no privilege where the kernel gives user namespaces to ordinary users. Where it does not, root is asked for
(sudo), with the reason; then the same namespaces are made without a user namespace. Nothing is ever skipped silently.

A fake root cannot setgroups, on which Slurm's daemons insist. They run under a second user namespace, in which the same
user is not root but an account named `clues` (`as_slurm_user`). With *ids* there are more users than one inside, and
root may become each of them, as on a real machine: where root asks for it, or newuidmap and /etc/subuid allow it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from connectors.local import ids as ids_of_root
from connectors.local import init

SLURM_USER = "clues"
SLURM_UID = 1000
VARIABLE = "CLUES_SANDBOX"

NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
SYSCTLS = (
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "user/max_user_namespaces",
)

# Copied from the machine's /etc, as far as they are there; the rest of /etc does not exist inside.
ETC_COPIED = (
    "alternatives ld.so.cache ld.so.conf ld.so.conf.d localtime timezone os-release debian_version mtab protocols "
    "services terminfo inputrc bash.bashrc profile gai.conf ssl/openssl.cnf iproute2 netconfig openmpi "
    "pam.d security/limits.conf security/pam_env.conf"
).split()

# What a user's session says of programs and places that are not inside: another Slurm, proxies, agents, certificates.
DROPPED_PREFIXES = tuple("SLURM SBATCH SALLOC SRUN_ SQUEUE SINFO SACCT SCONTROL SCANCEL MUNGE XDG_".split())
DROPPED = frozenset(
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY NO_PROXY TMPDIR TEMP TMP SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS "
    "NOTIFY_SOCKET LD_PRELOAD SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE".split()
)
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


#: what to do where a sandbox with several users is wanted and cannot be made
CURE = (
    "run it as root, or install newuidmap (Debian package uidmap) and give this user 65536 ids in /etc/subuid and "
    "/etc/subgid"
)


class SandboxRefused(Exception):
    """No sandbox can be made here; the message says what the kernel refused and which setting decides it."""


def as_slurm_user(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` as the account `clues` (uid 1000), which is SlurmUser and the only job user.

    The command becomes the program (same process id). It costs 1 ms.
    """
    return ["unshare", "-U", f"--map-user={SLURM_UID}", f"--map-group={SLURM_UID}", "--", *argv]


def inside() -> Path | None:
    """The folder of the sandbox that this process is in; None if it is in none.

    The variable alone would be believed by mistake: the marker lies in the private /run, which only a sandbox has.
    """
    folder = os.environ.get(VARIABLE)
    marker = Path(init.MARKER)
    if not folder or not marker.is_file() or marker.read_text().strip() != folder:
        return None
    return Path(folder)


def user_ids() -> int:
    """How many user ids there are for this process; in a sandbox without *ids* it is one."""
    return sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines())


def enter(argv: Sequence[str], *, folder: Path, hostname: str = "head", grace: float = 10.0, ids: bool = False) -> int:
    """Run `argv` in a fresh sandbox and return its exit code (128 + n after signal n). Call it from the main thread.

    `folder` is made if needed; all that is written inside stays below it. SIGINT, SIGTERM, SIGHUP and SIGQUIT go to the
    program, which has `grace` seconds to finish in order; a Ctrl-C at the terminal reaches it from there, once. *ids*:
    with 65536 users and groups inside, if that can be had; else it is said why not.
    Raises SandboxRefused.
    """
    folder = folder.resolve()
    prefix = _privilege(ids=ids)
    prepare(folder, hostname)
    lifeline = folder / f"lifeline.{os.getpid()}"
    os.mkfifo(lifeline, 0o600)
    # Both ways, so that opening waits for nobody. Only this process holds the writing end; closing it pulls the plug.
    line = os.open(lifeline, os.O_RDWR | os.O_CLOEXEC)
    keep = [Path.cwd(), Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2]]
    words = ["--folder", str(folder), "--lifeline", str(lifeline), "--hostname", hostname]
    for path in keep:
        words += ["--keep", str(path.resolve())]
    if not _at_terminal():
        words.append("--own-group")
    command = [*prefix, sys.executable, "-S", str(Path(init.__file__).resolve()), *words, "--", *argv]
    watched = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD}
    # Blocked before the child exists, so that none is lost; init.py sets the mask of the program right again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        # start_new_session stays off: with a session of its own the program would lose the terminal.
        child = subprocess.Popen(command, env=environment(folder), close_fds=True)
        return _attend(child, line, watched, grace)
    finally:
        os.close(line)
        lifeline.unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _give_back(folder, prefix)


def _attend(child: subprocess.Popen[bytes], line: int, watched: set[signal.Signals], grace: float) -> int:
    """Wait for the end; pass signals on, and after the grace pull the plug."""
    deadline: float | None = None  # set by the first signal; later ones do not wind the clock up again
    while True:
        code = child.poll()
        if code is not None:
            return code if code >= 0 else 128 - code
        left = 3600.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            print("sandbox: the program did not end in time; pulling the plug", file=sys.stderr)
            os.write(line, bytes([signal.SIGKILL]))
            child.wait()
            return 128 + signal.SIGKILL
        info = signal.sigtimedwait(watched, left)
        if info is None or info.si_signo == signal.SIGCHLD:
            continue
        if deadline is None:
            deadline = time.monotonic() + grace
        from_terminal = info.si_code > 0  # SI_KERNEL: the whole foreground group got it, the program too
        if not from_terminal:
            os.write(line, bytes([info.si_signo]))


def _at_terminal() -> bool:
    """Whether this process is in the foreground of a terminal, so that Ctrl-C goes to its whole group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _privilege(*, ids: bool = False) -> list[str]:
    """The words that make the namespaces: without privilege if that works, else as root. Raises SandboxRefused."""
    if ids:
        several = _several_users()
        refusal = _try(several)
        if refusal is None:
            return several
        print(f"sandbox: one user only inside: {refusal}; to have more, {CURE}", file=sys.stderr)
    rootless = ["unshare", "--user", "--map-root-user", *NAMESPACES, "--"]
    refusal = _try(rootless)
    if refusal is None:
        return rootless
    settings = _settings()
    if os.geteuid() == 0:
        # Real root may make the others without a user namespace; Slurm's own (`as_slurm_user`) is still needed.
        privileged = ["unshare", *NAMESPACES, "--"]
        again = _try(privileged)
        if again is None:
            return privileged
        raise SandboxRefused(f"no namespaces, even as root: {again} ({settings})")
    if shutil.which("sudo") is None:
        raise SandboxRefused(
            f"this user gets no user namespaces: {refusal} ({settings}); allow them, install sudo, or run this as root"
        )
    why = f"this user gets no user namespaces: {refusal} ({settings})"
    print(f"sandbox: {why}; trying as root, by sudo", file=sys.stderr)
    return ["sudo", "--preserve-env", "--", "env", f"PATH={_path()}", "unshare", *NAMESPACES, "--"]


def _several_users() -> list[str]:
    """The words that make the namespaces with a range of users in them."""
    if os.geteuid() == 0:
        return [sys.executable, "-S", str(Path(ids_of_root.__file__).resolve()), "unshare", *NAMESPACES, "--"]
    return ["unshare", "--user", "--map-root-user", "--map-auto", *NAMESPACES, "--"]


def _try(prefix: list[str]) -> str | None:
    """Make such a sandbox for a moment, with Slurm's user namespace in it; None if it works, else what was said."""
    try:
        done = subprocess.run([*prefix, *as_slurm_user(["true"])], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        return "there is no unshare command (Debian package util-linux)"
    return None if done.returncode == 0 else done.stderr.strip() or f"unshare ended with {done.returncode}"


def _settings() -> str:
    """The kernel settings that decide about user namespaces, as far as this kernel has them."""
    found = []
    for name in SYSCTLS:
        with contextlib.suppress(OSError):  # a setting that this kernel does not have decides nothing
            found.append(f"{name.replace('/', '.')}={Path('/proc/sys', name).read_text().strip()}")
    return ", ".join(found) or f"none of {', '.join(name.replace('/', '.') for name in SYSCTLS)} is there"


def _give_back(folder: Path, prefix: list[str]) -> None:
    """After a run as root by sudo, the folder belongs to its user again."""
    if prefix[0] != "sudo":
        return
    owner = f"{os.getuid()}:{os.getgid()}"
    done = subprocess.run(["sudo", "--non-interactive", "--", "chown", "-R", "-h", owner, "--", str(folder)])
    if done.returncode:
        print(f"sandbox: {folder} still belongs to root", file=sys.stderr)


def prepare(folder: Path, hostname: str) -> None:
    """Make the directories that cover the machine's own, and the private /etc. Logs of an earlier run stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for _, below in init.COVERED:
        if below:
            (folder / below).mkdir(parents=True, exist_ok=True)
    for below in ("tmp", "var/tmp"):
        (folder / below).chmod(0o1777)
    for home in ("home/root", f"home/{SLURM_USER}"):
        (folder / home).mkdir(parents=True, exist_ok=True)
    etc = folder / "etc"
    shutil.rmtree(etc)  # of an earlier run: programs may have been installed since
    for name in ETC_COPIED:
        source, target = Path("/etc", name), etc / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True)
        elif os.path.lexists(source):
            shutil.copy2(source, target, follow_symlinks=False)
    for name, text in etc_files(folder, hostname).items():
        (etc / name).write_text(text)


def etc_files(folder: Path, hostname: str) -> dict[str, str]:
    """The files of /etc that say who and where one is: three accounts, one host, no network source of names."""
    return {
        "passwd": f"root:x:0:0:root:{folder}/home/root:/bin/sh\n"
        f"{SLURM_USER}:x:{SLURM_UID}:{SLURM_UID}:SlurmUser and job user:{folder}/home/{SLURM_USER}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\n{SLURM_USER}:x:{SLURM_UID}:\nnogroup:x:65534:\n",
        "hosts": f"127.0.0.1 localhost\n::1 localhost\n10.77.0.1 {hostname}\n",
        "hostname": f"{hostname}\n",
        "resolv.conf": "# no name server: everything that has a name is in hosts\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nnetworks: files\n"
        "protocols: files\nservices: files\n",
    }


def environment(folder: Path) -> dict[str, str]:
    """This process's environment without what leads out of the sandbox, and with what leads into it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(DROPPED_PREFIXES) and name.upper() not in DROPPED
    }
    home = folder / "home" / "root"
    return {**kept, VARIABLE: str(folder), "PATH": _path(), "HOME": str(home), "USER": "root", "LOGNAME": "root"}


def _path() -> str:
    """PATH, with the directories where Slurm's daemons and `ip` are, which an ordinary user's may lack."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*filter(None, own), *SYSTEM_PATH]))


def main() -> NoReturn:
    """`python -m connectors.local.sandbox [--folder F] -- COMMAND...`; without a folder, a temporary one."""
    parser = argparse.ArgumentParser(prog="python -m connectors.local.sandbox", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where all that is written goes (default: removed afterwards)")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds to end in order after a signal (10)")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the program to run inside, after --")
    parser.add_argument("--ids", action="store_true", help="with several users inside, where that can be had")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clues-", ignore_cleanup_errors=True)))
        try:
            code = enter(options.command, folder=folder, grace=options.grace, ids=options.ids)
        except SandboxRefused as refused:
            parser.exit(69, f"sandbox: {refused}\n")  # EX_UNAVAILABLE
    sys.exit(code)


if __name__ == "__main__":
    main()
