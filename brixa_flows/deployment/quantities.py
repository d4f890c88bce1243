"""Amounts of CPU and memory as Kubernetes writes them: ``500m``, ``1.5``, ``2Gi``."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["cpu_cores", "memory_bytes"]

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,2}))?"
_CPU = re.compile(_NUMBER + r"(m?)")
_MEMORY = re.compile(_NUMBER + r"(m|[kMGTPE]|[KMGTPE]i|)")
_DECIMAL_PREFIXES = "kMGTPE"
_BINARY_PREFIXES = "KMGTPE"


def cpu_cores(quantity: str) -> float:
    """Number of cores in a CPU quantity.

    Args:
        quantity: Such as ``"1"``, ``"0.5"`` or ``"500m"``.

    Raises:
        ValueError: If it is none, or not at least one thousandth of a core.
    """
    match = _CPU.fullmatch(quantity.strip())
    if match is None:
        raise ValueError(
            f"{quantity[:40]!r} is no amount of CPU; write cores such as '1' or '0.5', "
            "or thousandths such as '500m'"
        )
    amount = _number(match) / (1000 if match[3] else 1)
    if amount < Decimal("0.001"):
        raise ValueError(f"{quantity[:40]!r} is too little CPU; ask for at least '1m'")
    return float(amount)


def memory_bytes(quantity: str) -> int:
    """Number of bytes in a memory quantity.

    Args:
        quantity: Such as ``"2Gi"``, ``"512M"`` or ``"1000000000"``.

    Raises:
        ValueError: If it is none, or less than a byte.
    """
    match = _MEMORY.fullmatch(quantity.strip())
    if match is None:
        raise ValueError(
            f"{quantity[:40]!r} is no amount of memory; write bytes, or a number with "
            "k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (powers of 1024)"
        )
    size_bytes = int(_number(match) * _factor(match[3]))
    if size_bytes < 1:
        raise ValueError(f"{quantity[:40]!r} is less than one byte of memory")
    return size_bytes


def _number(match: re.Match[str]) -> Decimal:
    return Decimal(match[1]) * Decimal(10) ** int(match[2] or 0)


def _factor(suffix: str) -> Decimal:
    if not suffix:
        return Decimal(1)
    if suffix == "m":
        return Decimal("0.001")
    if suffix.endswith("i"):
        return Decimal(1024) ** (_BINARY_PREFIXES.index(suffix[0]) + 1)
    return Decimal(1000) ** (_DECIMAL_PREFIXES.index(suffix) + 1)
