"""No question is half understood: a parameter of the query that a route does not have is refused, not passed over.

``?limt=5`` or ``?abuot=gpu-01`` would else be answered with something else than what was meant.
"""

from __future__ import annotations

import re

from fastapi import Request

from clues.api.problems import refuse_names
from clues.api.wire import VERSION

#: How a route says that a name may have slashes; the description does not.
_CONVERTER = re.compile(r":\w+}")


def known_parameters(request: Request) -> None:
    """Refuse a request that has parameters which its route does not describe.

    :raises clues.api.problems.Refusal: with each such parameter, and those that it may have been meant for.
    """
    if not request.query_params:
        return
    path = _CONVERTER.sub("}", getattr(request.scope.get("route"), "path", ""))  # as its own router has it
    paths = request.app.openapi()["paths"]
    told = (paths.get(f"/{VERSION}{path}") or paths.get(path) or {}).get(request.method.lower())
    if told is None:
        return  # a route that is not described: the page
    known = [one["name"] for one in told.get("parameters", ()) if one["in"] == "query"]
    strange = [name for name in request.query_params if name not in known]
    if strange:
        raise refuse_names("no such parameter here", strange, known, status=400)
