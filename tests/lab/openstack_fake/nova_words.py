"""Errors in nova's form."""

from __future__ import annotations

from tests.lab.openstack_fake.http import Refusal

_NAMES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 413: "overLimit"}


def refusal(status: int, message: str) -> Refusal:
    """Return an error as nova words it."""
    return Refusal(status, {_NAMES.get(status, "computeFault"): {"code": status, "message": message}})


def not_found(message: str) -> Refusal:
    """Return a 404."""
    return refusal(404, message)


def forbidden(action: str) -> Refusal:
    """Return the 403 of a policy."""
    return refusal(403, f"Policy doesn't allow {action} to be performed.")


def quota(what: str, wanted: int, used: int, limit: int) -> Refusal:
    """Return the 403 of a quota."""
    return refusal(403, f"Quota exceeded for {what}: Requested {wanted}, but already used {used} of {limit} {what}")
