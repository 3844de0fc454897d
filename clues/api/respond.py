"""Answers as HTTP responses: encoded directly, since a validating framework would take longer than everything else."""

from __future__ import annotations

from fastapi import Response

from clues.api.codec import encode


def as_json(value: object) -> Response:
    """Return *value*, one of the wire's dataclasses, as a response."""
    return as_body(encode(value))


def as_body(body: bytes) -> Response:
    """Return what is encoded already as a response."""
    return Response(body, media_type="application/json")
