"""Real tests run inside the sandbox, in a pytest process of their own; outside they fail, they are never skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.local.sandbox import inside
from tests.lab.frontend import FrontEnd

COMMAND = "python -m connectors.local.sandbox -- python -m pytest tests/real"


#: Files that mostly wait: they begin first, so that the others fit beside them.
LONG_WAITS = ("test_withstand_cut.py", "test_crash_points.py", "test_as_simulated.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; the order is else that of the files."""
    items.sort(key=lambda item: item.path.name not in LONG_WAITS)


@pytest.fixture(scope="session", autouse=True)
def sandbox() -> Path:
    """The sandbox's folder."""
    folder = inside()
    if folder is None:
        pytest.fail(f"real tests run inside the sandbox only: ./dev test real, or: {COMMAND}", pytrace=False)
    return folder


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    """A front-end, in a folder with a blank in its name: six nodes of two CPUs and two pretended GPUs, at two sites."""
    nodes = (
        "NodeName=c[1-6] CPUs=2 RealMemory=1000 Gres=gpu:2 Feature=cpu,cesnet,upv State=CLOUD NodeAddr=10.77.255.254\n"
        "PartitionName=main Nodes=ALL Default=YES State=UP\n"
    )
    gres = "NodeName=c[1-6] Name=gpu File=/dev/null\nNodeName=c[1-6] Name=gpu File=/dev/zero\n"
    with FrontEnd(tmp_path / "front end", nodes_conf=nodes, gres_conf=gres) as front:
        yield front
