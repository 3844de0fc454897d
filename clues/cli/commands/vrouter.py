"""``clues vrouter``: the private network that joins the sites, and what a sysadmin may order there."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire_vrouter as wire
from clues.api.codec import printable
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.commands.status import add_watch
from clues.cli.output import View
from clues.cli.tables import Column, Style, table
from clues.cli.watch import watch

HUB_COLUMNS: tuple[Column[wire.HubView], ...] = (
    Column("CENTRAL POINT", lambda hub: hub.name, essential=True),
    Column("STATE", lambda hub: hub.state or words.NOTHING, essential=True),
    Column("SEEN", lambda hub: words.age(hub.age_seconds)),
    Column("TUNNELS", lambda hub: str(hub.tunnels), right=True),
    Column("CERTIFICATE", lambda hub: words.left(hub.certificate_left_seconds)),
    Column("CRL", lambda hub: words.left(hub.crl_left_seconds)),
    Column("INVENTORY", lambda hub: str(hub.revision), right=True),
    Column("TROUBLE", lambda hub: hub.trouble or words.NOTHING, least=12, essential=True),
)

TUNNEL_COLUMNS: tuple[Column[wire.TunnelView], ...] = (
    Column("TUNNEL", lambda one: one.node, essential=True),
    Column("STATE", lambda one: one.state, essential=True),
    Column("SITE", lambda one: one.site or words.NOTHING),
    Column("REAL ADDRESS", lambda one: one.real or words.NOTHING),
    Column("ADDRESS", lambda one: one.address or words.NOTHING),
    Column("SINCE", lambda one: words.age(one.age_seconds)),
    Column("IN", lambda one: words.size(one.received), right=True),
    Column("OUT", lambda one: words.size(one.sent), right=True),
    Column("CERTIFICATE", lambda one: words.left(one.certificate_left_seconds)),
    Column("WAY", lambda one: _way(one), least=8),
    Column("WORKERS", lambda one: str(one.workers) if one.kind == "router" else words.NOTHING, right=True, wide=True),
    Column("CLAIM", lambda one: one.claim or words.NOTHING, wide=True),
    Column("REASON", lambda one: one.reason or words.NOTHING, wide=True, least=12),
)

SHORTCUT_COLUMNS: tuple[Column[wire.ShortcutView], ...] = (
    Column("SHORTCUT", lambda one: " - ".join(one.nodes), essential=True),
    Column("STATE", lambda one: one.state, essential=True),
    Column("SINCE", lambda one: words.age(one.age_seconds)),
    Column("IN", lambda one: words.size(one.received), right=True),
    Column("OUT", lambda one: words.size(one.sent), right=True),
)

CA_COLUMNS: tuple[Column[wire.CaGenerationView], ...] = (
    Column("CA", lambda one: one.name, essential=True),
    Column("STATE", lambda one: one.state, essential=True),
    Column("SINCE", lambda one: words.local_time(one.since)),
    Column("GOOD FOR", lambda one: words.left(one.left_seconds)),
    Column("CERTIFICATES", lambda one: str(one.certificates), right=True, essential=True),
)


def _way(one: wire.TunnelView) -> str:
    """Return by which ways its traffic leaves: the central point, and the shortcuts that are up."""
    ways = [one.hub] if one.hub else []
    return ", ".join([*ways, *(f"shortcut to {node}" for node in one.shortcuts)]) or words.NOTHING


def lines(status: wire.VrouterStatus, style: Style) -> list[str]:
    """Return the screen."""
    shown = [style.cut(f"trouble   {printable(one)}") for one in status.troubles]
    if status.error and not status.troubles:
        shown.append(style.cut(f"seen   {words.age(status.age_seconds)} ago: {printable(status.error)}"))
    if not status.sites and not status.hubs and not status.tunnels:
        return [*shown, "no site is joined by a tunnel: all of them share the front-end's network (attach: local)"]
    blocks = [
        table(status.hubs, HUB_COLUMNS, style) if status.hubs else [],
        table(status.tunnels, TUNNEL_COLUMNS, style) if status.tunnels else [_no_tunnel(status)],
        table(status.shortcuts, SHORTCUT_COLUMNS, style) if status.shortcuts else [],
    ]
    for block in blocks:
        if block:
            shown += ["", *block] if shown else block
    return shown


def _no_tunnel(status: wire.VrouterStatus) -> str:
    return f"no tunnel: there is no VM at {', '.join(status.sites)} now" if status.sites else "no tunnel"


STATUS = View(wire.VrouterStatus, lines, lambda status: [tunnel.node for tunnel in status.tunnels])

EVICTED = View(
    wire.Evicted,
    lambda answer, style: [
        style.cut(printable(f"{answer.node} ({answer.claim}) is out of the cluster; its VM will be ended"))
    ],
    lambda answer: [answer.claim],
)

CA_STATUS = View(
    wire.CaView,
    lambda answer, style: [
        *table(answer.generations, CA_COLUMNS, style),
        "",
        style.cut(
            f"CRL    {answer.revoked} certificates revoked, good for {words.left(answer.crl_left_seconds)}; "
            "renewed each day"
        ),
        style.cut(f"next   {printable(answer.next) or words.NOTHING}"),
    ],
    lambda answer: [one.name for one in answer.generations],
)

CA_ROTATED = View(
    wire.CaRotated,
    lambda answer, style: [
        style.cut(f"done   {printable(answer.done)}"),
        style.cut(f"next   {printable(answer.next) or words.NOTHING}"),
    ],
    lambda answer: [answer.done],
)


def _status(arguments: Namespace, session: Session) -> int:
    if arguments.watch is not None:
        return watch(session, "vrouter", (), STATUS, arguments.watch)
    session.output.show(session.client.get("vrouter"), STATUS)
    return 0


def _evict(arguments: Namespace, session: Session) -> int:
    session.output.show(session.client.post("vrouter/evict", {"name": arguments.name}), EVICTED)
    return 0


def _ca_status(_: Namespace, session: Session) -> int:
    session.output.show(session.client.get("vrouter/ca"), CA_STATUS)
    return 0


def _ca_rotate(_: Namespace, session: Session) -> int:
    session.output.show(session.client.post("vrouter/ca/rotate"), CA_ROTATED)
    return 0


def _evict_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="CLAIM|NODE", help="launch key of its claim, a node, or router-SITE")


COMMANDS: tuple[Command, ...] = (
    Command(
        words=("vrouter", "status"),
        summary="show the private network: central points, tunnels, shortcuts",
        run=_status,
        arguments=add_watch,
        about="IN is what came from there, OUT what went there, as the central point counts them since the tunnel is "
        "up. CERTIFICATE and CRL say for how long they are good; both are renewed long before. A central point that "
        "tells nothing leaves its tunnels `unknown`, not down.",
        examples=(
            ("clues vrouter status", "one look"),
            ("clues vrouter status -o wide", "with the claims, whose names the certificates carry"),
            ("clues vrouter status -o json | jq '.tunnels[] | select(.state == \"down\")'", "those that are down"),
        ),
    ),
    Command(
        words=("vrouter", "evict"),
        summary="put a VM out of the cluster at once",
        run=_evict,
        arguments=_evict_arguments,
        about="Its certificate is revoked, its tunnel cut, its packets dropped, and it cannot come back; then its VM "
        "is ended. Jobs there are lost. For a VM that is not to be trusted any more; to stop one in peace, see "
        "`clues drain`.",
        examples=(
            ("clues vrouter evict cpu-007", "a worker"),
            ("clues vrouter evict router-upv", "a router; the next one is started if the site still has workers"),
        ),
    ),
    Command(
        words=("vrouter", "ca", "status"),
        summary="show the keys of the cluster's CA and the revocation list",
        run=_ca_status,
        about="The daemon asks clues-signer, which alone holds the keys.",
        examples=(("clues vrouter ca status", "which key signs, which are trusted, what a rotation does next"),),
    ),
    Command(
        words=("vrouter", "ca", "rotate"),
        summary="take the next step to a new CA",
        run=_ca_rotate,
        about="A rotation has three steps, so that no tunnel drops: a new key is added and trusted, then it signs, "
        "then the old one is dropped. Each call takes one and says what comes next. A step that would shut out a "
        "member is refused.",
        examples=(("clues vrouter ca rotate", "the next step"),),
    ),
)
