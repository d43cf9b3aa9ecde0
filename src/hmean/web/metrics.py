"""Metrics of the service, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST


class ServiceMetrics:
    """Counters, histograms and gauges of one service.

    Attributes:
        answers: number of answers, by path and status.
        stages: seconds of a served image, by stage.
        batches: images of a batch.
        polygons: number of text polygons found.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.answers = Counter("hmean_requests", "Answers", ["path", "status"], registry=self._registry)
        self.stages = Histogram("hmean_seconds", "Seconds of a served image", ["stage"], registry=self._registry)
        self.batches = Histogram(
            "hmean_batch", "Images of a batch", buckets=[1, 2, 4, 8, 16, 32, 64], registry=self._registry
        )
        self.polygons = Counter("hmean_words", "Text polygons found", registry=self._registry)

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read whenever somebody asks for the metrics."""
        Gauge(name, help_text, registry=self._registry).set_function(value)

    def served(self, seconds: Mapping[str, float], polygons: int) -> None:
        """Count a served image."""
        for stage, value in seconds.items():
            self.stages.labels(stage).observe(value)
        self.polygons.inc(polygons)

    def text(self) -> bytes:
        """All values now."""
        return generate_latest(self._registry)
