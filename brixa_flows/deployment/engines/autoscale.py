"""How many replicas the CPU use asks for: the formula of Kubernetes' autoscaler."""

from __future__ import annotations

import math
from collections import deque

from brixa_flows.deployment.config import Autoscaling

__all__ = ["CpuAutoscaler"]

_TOLERANCE = 0.1


class CpuAutoscaler:
    """Decides from samples of CPU use.

    ``desired = ceil(replicas * use / target)``, nothing within 10 % of the target, and
    down only to the most that was desired within the scale-down window, so that a short
    lull stops nobody.

    Args:
        limits: What was asked for.
    """

    def __init__(self, limits: Autoscaling) -> None:
        self._limits = limits
        self._wanted: deque[tuple[float, int]] = deque()

    def chose(self, now_seconds: float, replicas: int) -> None:
        """Count a number that a person chose, or that was there, as desired now.

        Args:
            now_seconds: A clock that never goes back.
            replicas: How many.
        """
        self._wanted.append((now_seconds, replicas))

    def decide(self, now_seconds: float, replicas: int, use_percent: float) -> int:
        """How many replicas there should be.

        Args:
            now_seconds: A clock that never goes back.
            replicas: How many there are.
            use_percent: Mean use of the CPU that a replica asked for.
        """
        limits = self._limits
        ratio = use_percent / limits.target_cpu_utilization
        wanted = replicas
        if abs(ratio - 1) > _TOLERANCE:
            wanted = math.ceil(replicas * ratio)
        wanted = max(limits.min_replicas, min(wanted, limits.max_replicas))
        self._wanted.append((now_seconds, wanted))
        oldest = now_seconds - limits.scale_down_window_seconds
        while self._wanted[0][0] < oldest:
            self._wanted.popleft()
        if wanted >= replicas:
            return wanted
        return min(replicas, max(count for _, count in self._wanted))
