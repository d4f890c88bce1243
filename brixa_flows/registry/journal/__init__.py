"""What storage holds of the registry: records that are created once and never changed.

::

    layout      storage keys                       journal    claims, seals, changes, tombstones
    changes     numbered stage changes             numbered   numbered records of a version
    numbers     which versions have an entry       leases     one save at a time
    sealed      our files in a version's folder    stored     read, checked and remembered
    listings    what lies in a folder              measuring  metrics by dataset
    trust_records   who vouched, when and why
    signatures  who signed files                   vouching   which trusted keys speak for them
"""
