"""The dashboards for Grafana, written as code: `./dev docs` puts them into templates/grafana."""

from tests.lab.grafana.boards import BOARDS, FOLDER, render

__all__ = ["BOARDS", "FOLDER", "render"]
