"""Renders `docs/reference/claim-states.md` from the lifecycle table, so that the two cannot differ."""

from __future__ import annotations

from pathlib import Path

from clues.lifecycle import MOVES, STAYS

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "claim-states.md"

HEAD = """# The states of a claim

<!-- Generated from clues/lifecycle.py by `./dev docs`: change that file, not this one. -->

A *claim* is one attempt to back a node (or a site's router) with a VM. It is committed to the ledger before the
provider is asked for anything, and closed only when the provider itself says that the VM is gone. `clues explain NODE`
shows where a node's claim is; `clues events --about NODE` tells how it got there.
"""


def render_states() -> str:
    """Return the page: a diagram, the states, and the moves between them."""
    return "\n".join([HEAD, *_diagram(), "", *_states(), "", *_moves(), ""])


def _diagram() -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> planned"]
    lines += [f"    {move.source} --> {move.target}: {move.by}" for move in MOVES]
    return [*lines, "    gone --> [*]", "```"]


def _states() -> list[str]:
    rows = ["## States", "", "| state | meaning | effect while it lasts | deadline | then |", "|---|---|---|---|---|"]
    return rows + [
        f"| {one.state} | {one.meaning} | {one.effect} | {one.deadline} | {one.then or ''} |" for one in STAYS
    ]


def _moves() -> list[str]:
    rows = [
        "## Moves",
        "",
        "Any other move is refused by the ledger.",
        "",
        "| from | to | made by | when |",
        "|---|---|---|---|",
    ]
    return rows + [f"| {one.source} | {one.target} | {one.by} | {one.when} |" for one in MOVES]
