"""The page: files of ``templates/page``, and the cluster as a table for who has no script."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from fastapi import APIRouter, Request, Response

from clues import templates
from clues.api import overview, privacy, views
from clues.api.watching import Pictures

#: The files of the page, and what they are.
FILES = {
    "page.js": "text/javascript",
    "map.js": "text/javascript",
    "queue.js": "text/javascript",
    "timeline.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_MOST_ROWS = 2000


def make_page(pictures: Pictures, eyes: privacy.Eyes) -> APIRouter:
    """Return the routes of the page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def page(request: Request) -> Response:
        lens = pictures.lens(user=eyes(request))
        status = overview.status(lens, most_nodes=_MOST_ROWS)
        rows = "\n".join(
            f"<tr><th scope=row>{escape(node.name)}</th><td>{escape(node.state)}</td><td>{escape(node.site)}</td>"
            f"<td>{escape(node.offer)}</td><td>{escape(' '.join(node.jobs))}</td></tr>"
            for node in status.nodes
        )
        waiting = "\n".join(
            f"<tr><th scope=row>{escape(job.id)}</th><td>{escape(job.user)}</td><td>{escape(job.why)}</td></tr>"
            for job in views.jobs(lens).jobs
            if job.state == "pending"
        )
        text = templates.read("page/page.html")
        for name, value in {"cluster": escape(status.cluster), "rows": rows, "waiting": waiting}.items():
            text = text.replace(f"<!-- {name} -->", value)
        return Response(text, media_type="text/html; charset=utf-8")

    for name, kind in FILES.items():
        routes.add_api_route(f"/page/{name}", _file(name, kind), methods=["GET"])
    return routes


def _file(name: str, kind: str) -> Callable[[], Response]:
    def read() -> Response:
        return Response(templates.read(f"page/{name}"), media_type=f"{kind}; charset=utf-8")

    return read
