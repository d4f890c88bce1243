"""Adapter to river: its drift detectors on a stream of errors."""

from __future__ import annotations

from river import drift

__all__ = ["Adwin", "PageHinkley"]


class _Detector:
    def __init__(self, detector: drift.ADWIN | drift.PageHinkley) -> None:
        self._detector = detector

    def update(self, error: float) -> bool:
        self._detector.update(error)
        return bool(self._detector.drift_detected)


class Adwin(_Detector):
    """A window that is as long as its halves have one mean."""

    def __init__(self, **options: float) -> None:
        super().__init__(drift.ADWIN(**options))


class PageHinkley(_Detector):
    """A sum of what is above the mean, which grows when errors do."""

    def __init__(self, **options: float) -> None:
        super().__init__(drift.PageHinkley(**{"mode": "up", **options}))
