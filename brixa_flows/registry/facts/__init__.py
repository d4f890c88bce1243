"""What can be said of versions, as values and rules. Pure: nothing here reads or writes.

::

    metadata    what is known about a version      records    what the journal writes down
    stages      transition table, lifecycle        standing   where all versions of a model are
    resolving   from a request to one version      timeline   how it stood at a moment
    schemas     check and infer                    schema_changes   the bump they ask for
    diffing     what differs, in words             graph      lineage, questions both ways
    inputs      what a person may hand in          damage     what a damaged record means
    lineage     what went in                       card       the README.md of a version
    reference   rows and profile of the training   repairs    what was repaired
"""
