"""Prints a stored report: ``report_process.py FOLDER MODEL VERSION``."""

from __future__ import annotations

import sys

from brixa_flows.evaluation import ModelEvaluator
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

if __name__ == "__main__":
    folder, name, version = sys.argv[1:]
    node = LocalStorageNode(folder)
    registry = ModelRegistry(node, tracking=MemoryTrackingStore())
    print(ModelEvaluator(registry).generate_report(name, version))
