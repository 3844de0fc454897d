"""A family of gauges from rows, in one line."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily


def gauge(
    name: str, help_text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    """Return a family with one sample for each row of label values and amount."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, amount in rows:
        family.add_metric(values, amount)
    return family


def single(name: str, help_text: str, amount: float) -> GaugeMetricFamily:
    """Return a family of one sample without labels."""
    return GaugeMetricFamily(name, help_text, value=amount)
