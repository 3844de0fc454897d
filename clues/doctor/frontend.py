"""This machine: the daemon and what it says of itself, the signer and its CA, Slurm's part, the overlay's range."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from clues import __version__, rpc
from clues.api import wire
from clues.bootstrap.boot import trouble_with_hooks
from clues.bootstrap.trust import TrustStore
from clues.cli.client import Client
from clues.cli.errors import CliError, NotPermitted
from clues.cli.output import parse
from clues.config import Hook, Loaded
from clues.errors import CluesError, ConfigError, LrmsError, Transient
from clues.model import Finding, Soundness
from clues.ports import Lrms, PluginContext
from clues.units import show_duration

GOOD, BAD, UNKNOWN = Soundness.GOOD, Soundness.BAD, Soundness.UNKNOWN

#: A CA that ends sooner is told: turning it over takes days.
_CA_AHEAD = timedelta(days=60)

#: So many differences of Slurm's configuration are told one by one.
_MOST = 12

_AS_ROOT = "run `clues doctor` as root, or as a member of the group clues"


def examine_daemon(socket: str) -> Iterator[Finding]:
    """Ask the daemon what it knows: what keeps it from its work, and what it could not look at."""
    client = Client(socket)
    try:
        version = parse(wire.VersionInfo, client.get("version"))
        status = parse(wire.ClusterStatus, client.get("status", [("nodes", 0)]))
    except NotPermitted as error:
        yield Finding("daemon", UNKNOWN, str(error), _AS_ROOT)
        return
    except CliError as error:
        yield Finding("daemon", BAD, str(error), "`systemctl start cluesd`, then `journalctl -u cluesd`")
        return
    if status.state == "standby" and version.version == __version__:
        yield Finding("daemon", GOOD, status.troubles[0])  # who is active, and no trouble
        status = replace(status, troubles=status.troubles[1:])
    elif version.version == __version__:
        yield Finding("daemon", GOOD, f"runs, {status.state}, {status.nodes_up} of {status.nodes_total} nodes up")
    else:
        text = f"runs version {version.version}, and {__version__} is installed"
        yield Finding("daemon", BAD, text, "`systemctl restart cluesd`: VMs and jobs go on meanwhile")
    for trouble in status.troubles:
        yield Finding("daemon", BAD, trouble, "`clues explain` and `clues events` tell more")
    for one in status.observations:
        if one.error and not one.error.startswith("disabled"):
            yield Finding("daemon", BAD, f"{one.source}: {one.error}", f"`clues explain {one.source}`")


def examine_signer(loaded: Loaded) -> Iterator[Finding]:
    """Look whether the signer answers, and whether what it publishes is there and still good."""
    try:
        rpc.call(loaded.places.signer_socket, "status", timeout=5.0)
        yield Finding("signer", GOOD, "answers")
    except CluesError as error:
        denied = isinstance(error.__cause__, PermissionError) or not isinstance(error, Transient)
        if denied:
            yield Finding("signer", UNKNOWN, str(error), _AS_ROOT)
        else:
            cure = "`systemctl start clues-signer`, then `journalctl -u clues-signer`: without it no VM joins"
            yield Finding("signer", BAD, str(error), cure)
    yield from _trust(loaded)


def _trust(loaded: Loaded) -> Iterator[Finding]:
    now = datetime.now(UTC)
    try:
        authorities = x509.load_pem_x509_certificates(TrustStore(loaded.places.trust).bundle().encode())
        ends = min(one.not_valid_after_utc for one in authorities)
    except (Transient, ValueError) as error:
        yield Finding("CA", BAD, str(error), "start clues-signer: it makes the CA at its first start")
        return
    if ends - now > _CA_AHEAD:
        yield Finding("CA", GOOD, f"good until {ends:%Y-%m-%d}")
    else:
        left = f"ends in {show_duration(ends - now)}" if ends > now else "has ended"
        yield Finding("CA", BAD, left, "turn it over: `clues vrouter ca rotate`, see docs/how-to/rotate-the-ca.md")
    path = loaded.places.crl
    if not path.exists():
        return  # none is needed before there is a tunnel
    try:
        due = x509.load_pem_x509_crl(path.read_bytes()).next_update_utc
    except (OSError, ValueError) as error:
        yield Finding("revocations", BAD, f"{path} cannot be read: {error}", "restart clues-signer")
        return
    if due is not None and due <= now:
        text = f"the list has ended {show_duration(now - due)} ago: nobody can connect"
        yield Finding("revocations", BAD, text, "restart clues-signer: it makes a new one at once")
    else:
        yield Finding(
            "revocations", GOOD, f"the list is good until {due:%Y-%m-%d %H:%M} UTC" if due else "there is a list"
        )


def examine_slurm(lrms: Lrms, loaded: Loaded) -> Iterator[Finding]:
    """Compare what the pools need with the running controller."""
    try:
        differences = lrms.check_config(loaded.settings)
    except LrmsError as error:
        yield Finding("slurm", BAD, str(error), "is slurmctld up, and may this user run scontrol? `scontrol ping`")
        return
    cure = "`clues slurm-config` prints what slurm.conf and gres.conf need"
    for text in differences[:_MOST]:
        yield Finding("slurm", BAD, text, cure)
    if len(differences) > _MOST:
        yield Finding("slurm", BAD, f"and {len(differences) - _MOST} more differences", "`clues slurm-config --check`")
    if not differences:
        yield Finding("slurm", GOOD, "slurmctld runs with what the configuration needs")


def examine_rights(lrms: Lrms, state: Path) -> Iterator[Finding]:
    """Look whether the batch system obeys the daemon's user: the owner of its folder, which it makes itself."""
    try:
        uid = state.stat().st_uid
    except OSError as error:
        text = f"as whom cluesd runs is not known: {state}: {error.strerror}"
        yield Finding("rights", UNKNOWN, text, "the daemon makes it at its first start")
        return
    try:
        yield from lrms.examine(uid)
    except LrmsError as error:
        yield Finding("rights", UNKNOWN, str(error), "is slurmctld up, and may this user run scontrol? `scontrol ping`")


def examine_overlay(plugin: Any, loaded: Loaded, cluster: str) -> Iterator[Finding]:
    """Have the overlay look whether its ranges clash with each other or with a route of this machine."""
    context = PluginContext(cluster, loaded.settings.cluster, loaded.state, places=loaded.places)
    try:
        plugin.build(loaded.overlay[1], context, loaded.settings)
    except ConfigError as error:
        cure = "take another range in clues.yaml; `ip route` shows which are in use here"
        for text in str(error).splitlines():
            yield Finding("overlay", BAD, text, cure)
        return
    network = loaded.overlay_network or "no range of its own"
    yield Finding("overlay", GOOD, f"{loaded.overlay[0]}, {network}: clashes with no route of this machine")


def cluster_id(state: Path) -> str:
    """Return the cluster's UUID; empty before the daemon's first start, or where it cannot be read."""
    try:
        return (state / "cluster-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def examine_hooks(hooks: Sequence[Hook]) -> Iterator[Finding]:
    """Look whether the site's programs could be handed to a worker. Without them no worker gets in."""
    troubles = trouble_with_hooks(hooks)
    for text in troubles:
        yield Finding("hooks", BAD, text, "see to the file: until then no worker gets in that needs it")
    if hooks and not troubles:
        yield Finding("hooks", GOOD, f"{', '.join(hook.name for hook in hooks)}: can be read here")


def examine_state(state: Path) -> Iterator[Finding]:
    """Look whether the daemon's folder has room: without a committed intent nothing is done."""
    try:
        space = os.statvfs(state)
    except OSError as error:
        yield Finding("state", UNKNOWN, f"{state}: {error.strerror}", "the daemon makes it at its first start")
        return
    free = space.f_bavail * space.f_frsize >> 20
    if free < 100:
        yield Finding("state", BAD, f"{state} has {free} MiB left", "make room: a full disk stops everything")
    else:
        yield Finding(
            "state", GOOD, f"{state} has {free >> 10} GiB left" if free >= 1024 else f"{state} has {free} MiB left"
        )
