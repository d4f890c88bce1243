"""When a canary goes on: what it must have stood, decided from what was observed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from brixa_flows.deployment.status import CanaryStatus
from brixa_flows.deployment.values import Value

__all__ = ["CanaryGate", "CanaryVerdict"]


class CanaryVerdict(Value):
    """What became of a canary.

    Attributes:
        decision: ``promote``, ``abort``, or ``wait`` for more requests.
        reasons: Why, in sentences.
    """

    decision: Literal["promote", "abort", "wait"]
    reasons: tuple[str, ...]


class CanaryGate(Value):
    """What a canary must have stood. A shadow is judged by rows that both predicted."""

    min_requests: int = Field(
        200, ge=1, description="Requests (rows of a shadow) before it may go on."
    )
    max_error_share: float = Field(
        0.0, ge=0, le=1, description="Share of them that may fail by our fault."
    )
    max_time_ratio: float | None = Field(
        None,
        gt=0,
        description="Its p99 by that of the deployment; for a shadow, its time to "
        "predict by that of the version served.",
    )
    min_agreement: float | None = Field(
        None, ge=0, le=1, description="Share of rows with the same answer (shadow)."
    )

    def judge(self, canary: CanaryStatus) -> CanaryVerdict:
        """Decide; one fault too many is enough before all requests came."""
        asked, failed = canary.requests, canary.errors
        if canary.shadow:
            asked, failed = (
                canary.compared_rows + canary.failed_rows,
                canary.failed_rows,
            )
        against = tuple(self._against(canary, max(asked, self.min_requests), failed))
        if against:
            return CanaryVerdict(decision="abort", reasons=against)
        what = "rows" if canary.shadow else "requests"
        told = f"{canary.version} stood {asked} {what}, {failed} failed"
        if asked < self.min_requests:
            told += f"; {self.min_requests} are asked for"
            return CanaryVerdict(decision="wait", reasons=(told,))
        slow = tuple(self._too_slow_or_other(canary))
        if slow:
            return CanaryVerdict(decision="abort", reasons=slow)
        return CanaryVerdict(decision="promote", reasons=(told,))

    def _against(self, canary: CanaryStatus, asked: int, failed: int) -> Iterator[str]:
        if failed > self.max_error_share * asked:
            yield (
                f"{failed} failed at {canary.version}, more than the allowed share of "
                f"{self.max_error_share:g}"
            )

    def _too_slow_or_other(self, canary: CanaryStatus) -> Iterator[str]:
        ratio = canary.time_ratio
        if not canary.shadow and canary.p99_ms and canary.main_p99_ms:
            ratio = canary.p99_ms / canary.main_p99_ms
        longest = self.max_time_ratio
        if ratio is not None and longest is not None and ratio > longest:
            yield (
                f"{canary.version} takes {ratio:.2f} times as long, more than the "
                f"allowed {longest:g}"
            )
        lowest, found = self.min_agreement, canary.agreement
        if lowest is not None and (found is None or found < lowest):
            told = "no row was compared" if found is None else f"it is {found:.4f}"
            yield f"at least {lowest:g} of the answers must agree, and {told}"
