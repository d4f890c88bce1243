"""How a change is measured; each is a plug-in of ``DRIFT_METHODS``, loaded by name."""
