"""Panels as values, and what Grafana wants to read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: Grafana's grid.
WIDTH = 24

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """One expression; ``legend`` in Grafana's own form, ``{{label}}``."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel: a number (``stat``) or lines over time (``timeseries``)."""

    title: str
    queries: Sequence[Query]
    #: what it shows, and what to do where it looks wrong
    help: str
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    stacked: bool = False
    #: amounts from which a number is shown in amber and in red
    amber: float | None = None
    red: float | None = None


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    help: str
    panels: Sequence[Panel] = field(default_factory=tuple)


def as_json(board: Board, links: Sequence[Board]) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it, with links to the others."""
    panels, x, y, height = [], 0, 0, 0
    for number, panel in enumerate(board.panels, 1):
        tall = 4 if panel.kind == "stat" else 8
        if x + panel.width > WIDTH:
            x, y, height = 0, y + height, 0
        panels.append(_panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": tall}))
        x, height = x + panel.width, max(height, tall)
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.help,
        "tags": ["clues"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "link", "title": one.title, "url": f"/d/{one.uid}", "keepTime": True} for one in links],
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    lines = {"drawStyle": "line", "fillOpacity": 25 if panel.stacked else 8, "lineWidth": 1, "showPoints": "never"}
    stacking = {"stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}}
    steps: list[dict[str, Any]] = [{"color": "green" if panel.amber or panel.red else "text", "value": None}]
    steps += [
        {"color": color, "value": value}
        for color, value in (("#eab839", panel.amber), ("red", panel.red))
        if value is not None
    ]
    thresholds = {"mode": "absolute", "steps": steps}
    stat = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto"}
    series = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"]},
        "tooltip": {"mode": "multi"},
    }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "gridPos": place,
        "datasource": _SOURCE,
        "targets": [
            {"refId": chr(65 + index), "datasource": _SOURCE, "expr": query.expression, "legendFormat": query.legend}
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": thresholds,
                "custom": {} if panel.kind == "stat" else lines | stacking,
            },
            "overrides": [],
        },
        "options": stat if panel.kind == "stat" else series,
    }
