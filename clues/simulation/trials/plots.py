"""Lines over time as SVG, drawn by hand: a page of them needs no library and no network.

Colours are classes of the page (``c0``, ``c1``, ...), so that it can be read in the dark, too; which line is whose
stands once above all plots.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 30, 24, 30

Line = tuple[str, str, Sequence[tuple[float, float]]]


def plot(lines: Sequence[Line], unit: str) -> str:
    """Return one plot.

    :param lines: name, class, and points as (seconds, value).
    """
    longest = max((points[-1][0] for _, _, points in lines if points), default=0.0) or 1.0
    highest = max((value for _, _, points in lines for _, value in points), default=0.0) or 1.0
    top = nice(highest)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(unit)} over time">']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share * top, top)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{share * top:g}", "end"))
    days = longest / 86400
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        told = f"{share * days:.1f} d" if days >= 2 else f"{share * days * 24:.1f} h"
        parts.append(_text(_LEFT + share * (WIDTH - _LEFT - _RIGHT), HEIGHT - 8, told, "middle"))
    for name, style, points in lines:
        path = " ".join(f"{_x(at, longest):.1f},{_y(value, top):.1f}" for at, value in points)
        parts.append(f'<polyline class="{escape(style)}" points="{path}"><title>{escape(name)}</title></polyline>')
    parts.append(_text(4, 14, unit, "start"))
    return "".join(parts) + "</svg>"


def nice(value: float) -> float:
    """Return the next number above *value* that is easily read on an axis."""
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * step for step in (1, 2, 2.5, 4, 5, 8, 10) if size * step >= value)


def _x(at: float, longest: float) -> float:
    return _LEFT + at / longest * (WIDTH - _LEFT - _RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
