"""Glance v2: images by id, and by name, owner and status."""

from __future__ import annotations

from tests.lab.openstack_fake import keystone
from tests.lab.openstack_fake.http import Json, Refusal, Reply, Request, Routes, only
from tests.lab.openstack_fake.state import Image, State

_ROUTES = Routes()
_FILTERS = {"name", "owner", "status", "visibility", "limit", "marker", "sort", "os_hidden", "member_status"}


def answer(state: State, request: Request) -> Reply:
    """Answer a request below ``/image``."""
    found = _ROUTES.find(request.method, request.path.removeprefix("/image"))
    keystone.authenticate(state, request)
    if isinstance(found, int):
        raise _refusal(found, "The resource could not be found.")
    handler, arguments = found
    return handler(state, request, *arguments)


def _refusal(status: int, words: str) -> Refusal:
    return Refusal(
        status, f"<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  {words}<br />\n </body>\n</html>"
    )


def _visible(image: Image, project: str) -> bool:
    return image.owner == project or image.visibility in ("public", "community", "shared")


def _view(image: Image) -> Json:
    return {
        "id": image.id,
        "name": image.name,
        "owner": image.owner,
        "status": image.status,
        "visibility": image.visibility,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "size": 2**30,
        "disk_format": "raw",
        "container_format": "bare",
        "protected": False,
        "tags": [],
    }


@_ROUTES.on("GET", "/v2/images")
def _list(state: State, request: Request) -> Reply:
    only(request.query, _FILTERS, lambda key: _refusal(400, f"unknown filter {key}"))
    found = [one for one in state.images.values() if _visible(one, request.project)]
    wants = request.one("visibility")
    if wants is None:
        found = [one for one in found if one.visibility != "community" or one.owner == request.project]
    elif wants != "all":
        found = [one for one in found if one.visibility == wants]
    for name in () if state.deaf else ("name", "owner", "status"):
        if (value := request.one(name)) is not None:
            found = [one for one in found if getattr(one, name) == value]
    found.sort(key=lambda one: one.id)
    limit = min(int(request.one("limit") or 25), state.page)
    marker = request.one("marker")
    if marker is not None:
        ids = [one.id for one in found]
        if marker not in ids:
            raise _refusal(400, f"Marker {marker} could not be found")
        found = found[ids.index(marker) + 1 :]
    body: Json = {"images": [_view(one) for one in found[:limit]], "schema": "/v2/schemas/images"}
    if len(found) > limit:
        body["next"] = f"/v2/images?limit={limit}&marker={found[limit - 1].id}"
    return Reply(200, body)


@_ROUTES.on("GET", "/v2/images/{}")
def _show(state: State, request: Request, image_id: str) -> Reply:
    image = state.images.get(image_id)
    if image is None or not _visible(image, request.project):
        raise _refusal(404, f"Failed to find image {image_id}")
    return Reply(200, _view(image))
