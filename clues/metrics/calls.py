"""A connector whose calls are counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from clues.errors import CloudError, error_code
from clues.metrics.meter import Meter
from clues.ports import Connector

#: What of a connector goes to its provider.
OPERATIONS = frozenset(
    {"list_instances", "launch", "terminate", "quota", "prices", "flavors", "credentials_until", "console"}
)


def metered(connector: Connector, site: str, meter: Meter) -> Connector:
    """Return *connector* with the calls of :data:`OPERATIONS` counted; all else is its own."""
    return cast(Connector, _Metered(connector, site, meter))


class _Metered:
    def __init__(self, connector: Connector, site: str, meter: Meter) -> None:
        self._connector, self._site, self._meter = connector, site, meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connector, name)
        return self._counted(name, found) if name in OPERATIONS else found

    def _counted(self, operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            began, outcome = time.monotonic(), "ok"
            try:
                answer = call(*args, **more)
                if operation == "launch":
                    outcome = next((error_code(one.error) for one in answer if one.error is not None), outcome)
                return answer
            except CloudError as error:
                outcome = error_code(error)
                raise
            except BaseException:
                outcome = "unforeseen"
                raise
            finally:
                self._meter.called(self._site, operation, outcome, time.monotonic() - began)

        return counted
