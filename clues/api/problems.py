"""Why a request failed, always in one form: RFC 9457 problem details, with words that a sysadmin can act
upon."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from clues import errors
from clues.api import wire
from clues.api.codec import encode
from clues.api.respond import as_body

#: Where the scope of a request says why it was refused.
WHY = "clues.why"

#: How many unknown names are told, and searched for their nearest relatives (which takes a while each).
_MOST_NAMES = 5


class Answered(Exception):
    """An order that was answered before, with this body, and is answered so again."""

    def __init__(self, body: bytes) -> None:
        super().__init__("answered before")
        self.body = body


class Refusal(Exception):
    """A request that is answered with a problem."""

    def __init__(self, problem: wire.Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse(status: int, title: str, detail: str, unknown: tuple[wire.UnknownName, ...] = ()) -> Refusal:
    """Return a problem to be raised."""
    return Refusal(wire.Problem(title=title, status=status, detail=detail, unknown=unknown))


def refuse_names(
    what: str, names: Iterable[str], known: Collection[str], result: str = "", status: int = 404
) -> Refusal:
    """Return the refusal of unknown *names*, each with the known ones that are written most like it."""
    names = list(names)
    unknown = tuple(
        wire.UnknownName(name, tuple(get_close_matches(name, known, n=3, cutoff=0.7))) for name in names[:_MOST_NAMES]
    )
    told = [f"{one.name} (did you mean {' or '.join(one.nearest)}?)" if one.nearest else one.name for one in unknown]
    more = f" and {len(names) - len(unknown)} more" if len(names) > len(unknown) else ""
    detail = f"{what}: {', '.join(told)}{more}{result}"
    return refuse(status, "Unknown name", detail, unknown)


#: The core's errors as HTTP: status and title by type, the first that fits.
_STATUS: tuple[tuple[type[errors.CluesError], int, str], ...] = (
    (errors.NotFound, 404, "Unknown name"),
    (errors.InvalidRequest, 400, "Not a possible order"),
    (errors.AuthFailed, 403, "Not permitted"),
    (errors.KeyReused, 409, "Key used before"),
    (errors.LedgerError, 503, "The ledger cannot be written"),
    (errors.Transient, 503, "Not now"),
    (errors.CluesError, 500, "It did not work"),
)


def answer(
    problem: wire.Problem, request: HTTPConnection | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Return a problem as the response that it is; *request* is told why, for the audit log."""
    if request is not None:
        request.scope[WHY] = problem.detail or problem.title
    headers = {"Retry-After": "1"} | (headers or {}) if problem.status in (429, 503) else headers
    return Response(encode(problem), problem.status, headers, "application/problem+json")


def install(app: FastAPI) -> None:
    """Make every failure of *app* a problem."""

    @app.exception_handler(Refusal)
    def refused(request: Request, error: Refusal) -> Response:
        return answer(error.problem, request)

    @app.exception_handler(errors.CluesError)
    def failed(request: Request, error: errors.CluesError) -> Response:
        status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
        return answer(wire.Problem(title=title, status=status, detail=str(error)), request)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        told = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:_MOST_NAMES]
        )
        return answer(wire.Problem(title="Malformed request", status=400, detail=told), request)

    @app.exception_handler(HTTPException)
    def no_route(request: Request, error: HTTPException) -> Response:
        detail = f"{error.detail}: {request.method} {request.url.path}"
        return answer(
            wire.Problem(title=str(error.detail), status=error.status_code, detail=detail),
            request,
            _allowed(request) if error.status_code == 405 else dict(error.headers or {}),
        )

    @app.exception_handler(Answered)
    def again(_: Request, error: Answered) -> Response:
        return as_body(error.body)

    # Answered without details; the server raises it again after that, and its traceback is logged.
    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        detail = f"the daemon failed at this request ({type(error).__name__}); its log tells more"
        return answer(wire.Problem(title="Internal error", status=500, detail=detail), request)


def _allowed(request: Request) -> dict[str, str]:
    """Return what may be done at a path, by all routes that it has: the framework tells of the first alone."""
    found = set[str]()
    for path, methods in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.url.path):
            found |= {method.upper() for method in methods}
    return {"Allow": ", ".join(sorted(found))}
