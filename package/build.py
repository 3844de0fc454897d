"""Builds the wheel and, from it, the Debian package: ``python package/build.py [wheel | deb]``.

The package's virtual environment is made at the path where it will be, /opt/clues, inside mount namespaces of its own:
virtual environments hold their path, and this machine's /opt is not touched.  It needs root for that, or a kernel that
gives user namespaces to everybody.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
HERE = ROOT / "package" / "debian"

#: What the wheels' own tests and types weigh, and nobody runs on a front-end.
LEFT_OUT = ("__pycache__", "pip", "pip-*.dist-info", "setuptools", "setuptools-*.dist-info", "_distutils_hack")

#: Where, below /usr/share, files of `templates/` lie.
DOCUMENTS = {
    "man/clues.1": "man/man1/clues.1.gz",
    "completions/clues.bash": "bash-completion/completions/clues",
    "completions/_clues": "zsh/vendor-completions/_clues",
    "completions/clues.fish": "fish/vendor_completions.d/clues.fish",
}

CONTROL = """\
Package: clues
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Section: admin
Priority: optional
Installed-Size: {size}
Depends: python3 (>= {python}~), python3 (<< {next_python}~), libpython3-stdlib, adduser | systemd
Recommends: systemd, openvpn, nftables, iproute2, slurm-client
Description: elastic nodes for a Slurm cluster, across clouds
 cluesd watches the queue of Slurm, starts worker VMs at OpenStack, OpenNebula
 and AWS when jobs wait for nodes, and stops them when they are idle.
 .
 Nothing is started before it is configured: see /etc/clues/clues.yaml.
"""


def build_wheel() -> Path:
    """Build the wheel with what is in this environment, and return it."""
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(ROOT)]
        _run([sys.executable, "-m", *command])
        made = next(Path(folder).glob("*.whl"))
        wheel = DIST / made.name
        shutil.move(made, wheel)
    return wheel


def build_deb(wheel: Path) -> Path:
    """Build the Debian package from the wheel, and return it."""
    version = wheel.name.split("-")[1]
    architecture = _said(["dpkg", "--print-architecture"])
    with tempfile.TemporaryDirectory(prefix="clues-deb-") as folder:
        stage = Path(folder) / "stage"
        (stage / "opt" / "clues").mkdir(parents=True)
        os.chmod(stage, 0o755)  # noqa: PTH101, S103 - the root of the package
        inner = [str(Path(__file__).resolve()), "inside", str(stage), str(wheel)]
        as_root = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        _run([*as_root, sys.executable, *inner])
        _lean(stage / "opt" / "clues")
        _control(stage, version, architecture)
        package = DIST / f"clues_{version}_{architecture}.deb"
        _run(["dpkg-deb", "--build", "--root-owner-group", "-Zxz", "-z3", str(stage), str(package)])
    return package


def fill(stage: Path, wheel: Path) -> None:
    """Fill the stage; run in mount namespaces of its own."""
    place = Path("/opt/clues")
    _own_opt(place)
    _run(["mount", "--bind", str(stage / "opt" / "clues"), str(place)])
    python = "/usr/bin/python3"
    _run([python, "-m", "venv", "--without-pip", "--symlinks", str(place)])
    # Wheels are made here, where the locked build backends are; the environment itself gets nothing but wheels.
    with tempfile.TemporaryDirectory() as wheels:
        made = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--require-hashes", f"--wheel-dir={wheels}"]
        _run([sys.executable, "-m", "pip", *made, "-r", str(ROOT / "lock" / "clues.txt")])
        command = [
            sys.executable,
            "-m",
            "pip",
            f"--python={place / 'bin/python'}",
            "install",
            "--quiet",
            "--no-compile",
        ]
        _run([*command, "--no-deps", "--no-index", *map(str, sorted(Path(wheels).glob("*.whl"))), str(wheel)])
    _run([str(place / "bin/clues"), "install", "--package", f"--root={stage}", f"--programs={place / 'bin'}"])


def _own_opt(place: Path) -> None:
    """Make the folder *place*, seen by this process and its children only, beside what else lies there."""
    if place.is_dir():
        return
    present = [*place.parent.iterdir()]
    with tempfile.TemporaryDirectory() as aside:
        _run(["mount", "--rbind", str(place.parent), aside])
        _run(["mount", "-t", "tmpfs", "tmpfs", str(place.parent)])
        for path in present:
            if path.is_dir():
                path.mkdir()
                _run(["mount", "--rbind", str(Path(aside) / path.name), str(path)])
        _run(["umount", "--lazy", aside])
    place.mkdir()


def _lean(venv: Path) -> None:
    for pattern in LEFT_OUT:
        for path in [*venv.rglob(pattern)]:
            shutil.rmtree(path, ignore_errors=True)


def _control(stage: Path, version: str, architecture: str) -> None:
    """Write what dpkg wants to know, and the configuration to start from, which is the administrator's from then on."""
    example = stage / "etc" / "clues" / "clues.yaml"
    example.parent.mkdir(parents=True)
    shutil.copy(ROOT / "templates" / "clues.yaml", example)
    example.chmod(0o644)
    links = stage / "usr" / "bin"
    links.mkdir(parents=True)
    for name in ("clues", "cluesd", "clues-slurm-hook"):
        (links / name).symlink_to(f"/opt/clues/bin/{name}")
    _documents(stage / "usr" / "share")
    folder = stage / "DEBIAN"
    folder.mkdir()
    size = sum(path.lstat().st_size for path in stage.rglob("*")) // 1024
    python = _said(["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    major, minor = python.split(".")
    text = CONTROL.format(
        version=version,
        architecture=architecture,
        maintainer=maintainer(os.environ),
        size=size,
        python=python,
        next_python=f"{major}.{int(minor) + 1}",
    )
    (folder / "control").write_text(text)
    (folder / "conffiles").write_text("/etc/clues/clues.yaml\n")
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(HERE / name, folder / name)
        (folder / name).chmod(0o755)
    sums = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(stage)}\n"
        for path in sorted(stage.rglob("*"))
        if path.is_file() and not path.is_symlink() and folder not in path.parents
    ]
    (folder / "md5sums").write_text("".join(sums))


def _documents(share: Path) -> None:
    """Put the manual page and what makes shells complete words where Debian's man and shells look for them."""
    for source, place in DOCUMENTS.items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (ROOT / "templates" / source).read_bytes()
        # without a name and a time in it, so that the same page is the same file
        path.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)
        path.chmod(0o644)


def maintainer(environment: Mapping[str, str]) -> str:
    """Return whom Debian's users of the package may write to: who builds it, as Debian's own tools are told."""
    name = environment.get("DEBFULLNAME") or "The clues developers"
    host = socket.getfqdn()
    host = socket.gethostname() if host.startswith("localhost") else host
    address = environment.get("DEBEMAIL") or environment.get("EMAIL") or f"root@{host}"
    return address if "<" in address else f"{name} <{address}>"


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Build what is asked for, both if nothing is."""
    if sys.argv[1:2] == ["inside"]:
        fill(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    os.umask(0o022)
    wheel = build_wheel()
    print(wheel)
    if sys.argv[1:] != ["wheel"]:
        print(build_deb(wheel))


if __name__ == "__main__":
    main()
