"""What the orchestrator is owed: events of state changes, none lost and none twice.

A change of the registry is announced under the id that its own record carries, and a
delivery is marked; so whoever compares the two knows what was never heard of. No
Prefect here: who delivers is given.
"""

from brixa_flows.outbox.heeding import Taken
from brixa_flows.outbox.judgements import (
    concluded_alike,
    evaluated,
    find_record,
    judged_alike,
    judged_performance,
    judged_window,
)
from brixa_flows.outbox.outbox import Outbox
from brixa_flows.outbox.owed import (
    Owed,
    announces,
    deployed,
    owed_by,
    owed_by_record,
    promoted,
    registered,
)
from brixa_flows.outbox.reconciler import Reconciled, Reconciler, Refused, Unheeded
from brixa_flows.outbox.untold import Untold

__all__ = [
    "Outbox",
    "Owed",
    "Reconciled",
    "Reconciler",
    "Refused",
    "Taken",
    "Unheeded",
    "Untold",
    "announces",
    "concluded_alike",
    "deployed",
    "evaluated",
    "find_record",
    "judged_alike",
    "judged_performance",
    "judged_window",
    "owed_by",
    "owed_by_record",
    "promoted",
    "registered",
]
