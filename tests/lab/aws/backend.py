"""moto's own objects, for what AWS would do or show and moto does not."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends

REGION = "eu-west-1"
#: the account that moto takes everybody for
_ACCOUNT = "123456789012"


def backend(region: str = REGION) -> Any:
    """Return what moto keeps for EC2 in a region."""
    return ec2_backends[_ACCOUNT][region]
