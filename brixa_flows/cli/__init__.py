"""The ``brixa`` command: a peer of the Prefect tasks, on the same domain.

Data goes to standard output (as JSON with ``--json``), the rest to standard error.
Exit codes: 0 done, 1 failed, 2 usage, 3 a gate said no.
"""

from brixa_flows.cli.main import main

__all__ = ["main"]
