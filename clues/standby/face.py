"""What a front-end that stands by answers: its state to who asks for it, and to all else who is active."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI, Response

from clues import __version__
from clues.api import problems, wire
from clues.api.guard import Guard
from clues.api.respond import as_json

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def make_face(cluster: Callable[[], str], who_acts: Callable[[], str], troubles: Callable[[], list[str]]) -> FastAPI:
    """Return the API of a front-end that stands by.

    :param who_acts: in one sentence, who is active.
    """
    app = FastAPI(title="clues", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Guard)
    problems.install(app)

    @app.get("/v1/status", response_model=wire.ClusterStatus)
    def status() -> Response:
        return as_json(
            wire.ClusterStatus(
                cluster=cluster(),
                state="standby",
                at=datetime.now(UTC).isoformat(),
                troubles=(who_acts(), *troubles()),
            )
        )

    @app.get("/v1/version", response_model=wire.VersionInfo)
    def version() -> Response:
        return as_json(wire.VersionInfo(__version__, cluster()))

    @app.api_route("/{path:path}", methods=_METHODS)
    def refused() -> Response:
        raise problems.refuse(503, "This front-end stands by", f"{who_acts()}: do it there")

    return app
