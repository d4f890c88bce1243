"""What looks after a registry: finds what is wrong, finishes, rebuilds, cleans up.

::

    checking    storage against MLflow, changes nothing    recovery   after a crash
    obstacles   folders where a file should be
    rebuilding  MLflow's state from storage alone          garbage    bytes nobody needs
"""
