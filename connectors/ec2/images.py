"""Which AMI an offer's image is: by its id, or by its name among those of one owner."""

from __future__ import annotations

import re
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

from clues.errors import InvalidRequest
from connectors.ec2.api import Ec2Driver, numbered, text

#: An answer is good for so long; the same launch, repeated, has to say the same.
_SECONDS = 900.0
_ID = re.compile(r"ami-[0-9a-f]{8,17}")


@dataclass(frozen=True, slots=True)
class Volume:
    """An EBS volume that comes with an image."""

    device: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """What a launch has to know of an AMI."""

    id: str
    name: str
    architecture: str
    root: str
    volumes: tuple[Volume, ...]
    created: str = ""


class Images:
    """Looks images up, and remembers them for a while. Safe to call from several threads at once."""

    def __init__(self, owner: str, *, newest: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        """:param owner: whose images are meant by name; :param newest: of several the newest is."""
        self._owner, self._newest, self._monotonic = owner, newest, monotonic
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Image]] = {}

    def find(self, driver: Ec2Driver, name: str) -> Image:
        """Return the image that *name* means.

        :raises InvalidRequest: it means none, or several.
        """
        with self._lock:  # all launches of a tick ask for the same one: one call for all
            known = self._known.get(name)
            if known is not None and self._monotonic() - known[0] < _SECONDS:
                return known[1]
            image = self._ask(driver, name)
            self._known[name] = (self._monotonic(), image)
            return image

    def _ask(self, driver: Ec2Driver, name: str) -> Image:
        if _ID.fullmatch(name):
            found = _read(driver.ask("DescribeImages", {"ImageId.1": name}))
            if not found:
                raise InvalidRequest(f"image {name} is not there, or still being made")
            return found[0]
        # in a filter * and ? mean anything
        literal = name if self._newest else re.sub(r"([*?\\])", r"\\\1", name)
        filters = numbered("", {"name": literal, "state": "available"})
        found = []
        for page in driver.pages("DescribeImages", {"Owner.1": self._owner, "MaxResults": "1000", **filters}):
            found += _read(page)
        if not found:
            raise InvalidRequest(f"{self._owner} owns no image {name} in this region that is ready")
        if len(found) > 1 and not self._newest:
            ids = ", ".join(sorted(one.id for one in found)[:5])
            raise InvalidRequest(f"image {name} means {len(found)} images ({ids}): write the id of one of them")
        return max(found, key=lambda one: (one.created, one.id))


def _read(reply: ET.Element) -> list[Image]:
    return [
        Image(
            id=text(item, "imageId"),
            name=text(item, "name"),
            architecture=text(item, "architecture"),
            root=text(item, "rootDeviceName"),
            volumes=tuple(
                Volume(text(one, "deviceName"), int(text(one, "ebs/volumeSize") or 0))
                for one in item.findall("blockDeviceMapping/item")
                if one.find("ebs") is not None
            ),
            created=text(item, "creationDate"),
        )
        for item in reply.findall("imagesSet/item")
        if text(item, "imageState") == "available"
    ]
