"""The part of the registry that looks after itself: what is wrong, and its repair."""

from __future__ import annotations

from brixa_flows.registry.checking import Checker
from brixa_flows.registry.recovery import Recovery, RecoveryAction
from brixa_flows.registry.trusted_catalog import TrustedCatalog

__all__ = ["MaintainedRegistry"]


class MaintainedRegistry(TrustedCatalog):
    """Versions of models, to load, to vouch for, to check and to repair."""

    def check(self) -> list[str]:
        """What people should know: aliases moved by hand in MLflow, damaged records.

        Returns:
            A sentence for each; empty if all is well. Nothing is changed.
        """
        return Checker(self._backends, self._reader).findings()

    def recover(self) -> list[RecoveryAction]:
        """Finish or roll back what crashes interrupted; safe to repeat.

        Returns:
            What was repaired; empty if all is well.
        """
        return Recovery(self._backends, self._reader).run()
