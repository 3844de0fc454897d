"""The API's description of itself (OpenAPI 3.1), as it really answers: `/openapi.json`, and committed in the docs.

The framework would describe its own validation errors; ours are problems (RFC 9457), whatever went wrong, and what a
token gives is said once for all.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from clues.api import wire

ABOUT = (
    "Looks at an elastic Slurm cluster and tells it what to do. On the daemon's UNIX sockets the kernel tells who "
    "calls; over TCP, where that is configured, a bearer token does (docs/how-to/open-the-api.md). Every answer says "
    "its `apiVersion`; within `v1` fields are added and none is taken away or given another meaning. Times are ISO "
    "8601 in UTC, ages seconds, memory MiB, money in the cluster's currency. Lists that grow have `next`: give it as "
    "`cursor` to read on. What acts takes an `Idempotency-Key`. Whatever fails is answered by a problem of RFC 9457."
)
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {
    "description": "Why it failed, in words to act upon",
    "content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
}


def describe(app: FastAPI, *, tokens: bool) -> None:
    """Have *app* describe itself so.

    :param tokens: it lets nobody in without one.
    """
    made: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not made:
            made.append(_described(app, tokens))
        return made[0]

    app.openapi = openapi  # type: ignore[method-assign]


def _described(app: FastAPI, tokens: bool) -> dict[str, Any]:
    told = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    for methods in told["paths"].values():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
    schemas = told["components"]["schemas"]
    for one in ("HTTPValidationError", "ValidationError"):
        schemas.pop(one, None)
    problem = TypeAdapter(wire.Problem).json_schema(ref_template=_REFERENCE)
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    if tokens:
        told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        told["security"] = [{"token": []}]
    return told
