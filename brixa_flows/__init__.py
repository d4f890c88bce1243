"""Brixa Flows: carries a trained model safely to production and watches it there.

The rooms, from the ground up (each may import only what stands above it here):

    errors                     every error we raise, one tree
    versioning                 semantic versions and constraints, pure values
    refs settings plugins      how things are named, configured and found
    events                     names and payloads of the events we emit
    storage                    bytes that are written once and never half
    serializers                model object <-> files, and what may be executed
    tracking                   the one door to MLflow
    drift                      has the data changed, and does it matter
    registry                   versions, stages, lineage: the heart
    prediction                 any dataset through any registered model
    evaluation                 metrics, comparison, gates, reports
    deployment                 a version behind an HTTP endpoint
    pyfunc                     how MLflow loads our version directories
    blocks tasks               thin Prefect shells around the rooms above
    demo cli                   the whole loop on real data; the ``brixa`` command

``from brixa.ai.registry import ModelRegistry`` is the public door.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
