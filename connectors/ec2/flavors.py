"""The instance types of a region, as flavors."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from clues.model import Flavor, Gpu, Resources, make_gpus
from connectors.ec2 import prices
from connectors.ec2.api import Ec2Driver, numbered, text

_PAGE = "100"


def read(driver: Ec2Driver, region: str) -> list[Flavor]:
    """Return all types, with the on-demand prices of libcloud's table."""
    found = []
    for page in driver.pages("DescribeInstanceTypes", {"MaxResults": _PAGE}):
        for item in page.findall("instanceTypeSet/item"):
            name = text(item, "instanceType")
            price = prices.of_table(name, region)
            found.append(Flavor(name, resources(item), price, prices.CURRENCY if price is not None else ""))
    return found


def of(driver: Ec2Driver, names: list[str]) -> dict[str, ET.Element]:
    """Return what EC2 tells of these types; those that the region lacks are left out."""
    filters = {"Filter.1.Name": "instance-type", **numbered("Filter.1.Value", names)}
    pages = driver.pages("DescribeInstanceTypes", {"MaxResults": _PAGE, **filters})
    return {text(item, "instanceType"): item for page in pages for item in page.findall("instanceTypeSet/item")}


def resources(item: ET.Element) -> Resources:
    """Return what an instance type has; GPUs by AWS's names in small letters, as Slurm's types are written."""
    gpus = [
        Gpu(re.sub(r"[^a-z0-9_.-]+", "_", text(one, "name").lower()), int(text(one, "count") or 0))
        for one in item.findall("gpuInfo/gpus/item")
    ]
    return Resources(
        int(text(item, "vCpuInfo/defaultVCpus") or 0), int(text(item, "memoryInfo/sizeInMiB") or 0), make_gpus(gpus)
    )
