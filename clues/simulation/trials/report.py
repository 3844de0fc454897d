"""Outcomes side by side: a table, JSON, or one page of HTML that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.plots import plot

#: Colours of lines, by day and by night.
_COLORS = (
    ("#0b6e99", "#56b8e6"),
    ("#c2410c", "#fb923c"),
    ("#15803d", "#4ade80"),
    ("#7c3aed", "#b79cff"),
    ("#b91c1c", "#f87171"),
    ("#525252", "#c4c4c4"),
    ("#a16207", "#eab308"),
    ("#be185d", "#f472b6"),
    ("#0f766e", "#2dd4bf"),
)

_COLUMNS: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
    ("policy", lambda one: one.name),
    ("jobs", lambda one: f"{len(one.waits)}" + (f" (+{one.unfinished} not ended)" if one.unfinished else "")),
    ("mean wait", lambda one: seconds(one.mean_wait)),
    ("median", lambda one: seconds(one.wait_at(0.5))),
    ("95 %", lambda one: seconds(one.wait_at(0.95))),
    ("slowdown", lambda one: f"{one.mean_slowdown:.2f}"),
    ("cost", lambda one: f"{one.total.cost:.2f} {one.currency}"),
    ("node-hours", lambda one: f"{one.total.hours:.1f}"),
    ("wasted", lambda one: f"{one.total.hours - one.total.used_hours:.1f}"),
    ("CPUs used", lambda one: f"{one.total.utilisation:.0%}"),
    ("VMs", lambda one: f"{one.total.vms}"),
)


def seconds(value: float) -> str:
    """Return a time as people read it."""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table, with the shares of pools and sites below it."""
    rows = [[head for head, _ in _COLUMNS], *([show(one) for _, show in _COLUMNS] for one in outcomes)]
    parts = [_aligned(rows)]
    for outcome in outcomes:
        lines = [["", "cost", "node-hours", "wasted", "CPUs used", "VMs"]]
        for kind, shares in (("pool", outcome.pools), ("site", outcome.sites)):
            for name, share in shares.items():
                lines.append(
                    [
                        f"{kind} {name}",
                        f"{share.cost:.2f}",
                        f"{share.hours:.1f}",
                        f"{share.hours - share.used_hours:.1f}",
                        f"{share.utilisation:.0%}",
                        f"{share.vms}",
                    ]
                )
        parts.append(f"{outcome.name}" + (f" ({outcome.remark})" if outcome.remark else "") + "\n" + _aligned(lines))
    return "\n\n".join(parts)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_json(trace: str, jobs: int, outcomes: Sequence[Outcome]) -> str:
    """Return one JSON object."""
    return json.dumps({"trace": trace, "jobs": jobs, "policies": [one.as_json() for one in outcomes]}, indent=2)


_STYLE = """
:root { color-scheme: light dark; --text: #1c1917; --faint: #57534e; --line: #d6d3d1; --even: #f5f5f4; --back: #fff }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--text); background: var(--back) }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } tr:nth-child(even) { background: var(--even) }
th { border-bottom: 2px solid var(--line) } .remark { color: var(--faint); font-size: .9rem; padding-left: 1.2rem }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: var(--faint) } .grid { stroke: var(--line) }
polyline { fill: none; stroke-width: 1.3; stroke-linejoin: round } .own { stroke-width: 2.4 }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: 0; list-style: none }
.legend svg { width: 1.6rem; height: .7rem; margin-right: .4rem }
"""


def _colors() -> str:
    day = "".join(f".c{number} {{ stroke: {color} }} " for number, (color, _) in enumerate(_COLORS))
    night = "".join(f".c{number} {{ stroke: {color} }} " for number, (_, color) in enumerate(_COLORS))
    dark = "--text: #e7e5e4; --faint: #a8a29e; --line: #44403c; --even: #292524; --back: #1c1917"
    return f"{day}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} {night} }}\n"


def page(trace: str, jobs: int, outcomes: Sequence[Outcome]) -> str:
    """Return the page: the table, and plots of cluster size, queue and cost over time."""
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in _COLUMNS)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(show(one))}</td>" for _, show in _COLUMNS) + "</tr>" for one in outcomes
    )
    remarks = "".join(f"<li>{escape(one.name)}: {escape(one.remark)}</li>" for one in outcomes if one.remark)
    # what is tried is drawn bolder than what it is held against
    drawn = [
        (one.name, f"c{i % len(_COLORS)}" + ("" if one.remark else " own"), one.series)
        for i, one in enumerate(outcomes)
        if one.series
    ]
    legend = "".join(
        f'<li><svg viewBox="0 0 16 7"><polyline class="{style}" points="0,3.5 16,3.5"/></svg>{escape(name)}</li>'
        for name, style, _ in drawn
    )
    plots = "".join(
        f"<h2>{escape(title)}</h2>"
        + plot([(name, style, [(p[0], float(p[place])) for p in series]) for name, style, series in drawn], unit)
        for title, place, unit in (
            ("Nodes that are up or coming", 1, "nodes"),
            ("Jobs that wait", 2, "jobs"),
            ("Cost so far", 3, outcomes[0].currency if outcomes else ""),
        )
    )
    title = f"{trace}: {jobs} jobs"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}{_colors()}</style></head><body><h1>{escape(title)}</h1>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        + (f'<ul class="remark">{remarks}</ul>' if remarks else "")
        + f'<ul class="legend">{legend}</ul>{plots}</body></html>\n'
    )
