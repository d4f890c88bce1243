"""Changes: first the journal, then what the tracking backend shows of it.

::

    registering takes a number         saving      all of a model under it, or nothing
    changing    stages, aliases, tombstones        describing  what is said of a version
    trusting    a person's word, signatures        recording   run, version and seal
    mirroring   what MLflow shows of a version     projecting  stages and aliases there
    index       the summary of all models
"""
