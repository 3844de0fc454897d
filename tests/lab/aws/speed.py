"""Where moto's own way would cost a test minutes.

moto (5.2.5) finds the tags of a thing by looking through all tags of all things, so that a listing of n instances costs
n² (23 s for 1,060). Here each thing's own are looked up; the answer is the same.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix


def look_tags_up() -> None:
    """Put that in moto's place, for the life of the process."""

    def get_tags(self: Any) -> list[dict[str, str]]:
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "") if self.id else ""
        tags = self.ec2_backend.tags.get(self.id, {})
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in tags.items()
        ]

    TaggedEC2Resource.get_tags = get_tags  # type: ignore[method-assign]
