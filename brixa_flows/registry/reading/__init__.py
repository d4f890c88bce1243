"""Answers, each fact from its authority: the journal, or the tracking backend.

::

    backends    the places that all parts work with    reader     puts the facts together
    tracked_facts   what MLflow says of versions       opening    verified, trusted, handed on
    searching   MLflow's grammar over versions         dependencies   what a version needs
    in_use      who needs a version                    tracing    builds the lineage graph
    feed        what is new in the journal             adoptions  what a logged model became
    shown_alone     numbers that storage lost
"""
