"""The number of the artifact format, and what to do when the format changes.

``config.json`` of a version directory carries the protocol it was written with. Reading
a number above :data:`PROTOCOL` is refused with a sentence; every number from 1 up to it
loads for ever, because registries outlive releases. A field that a number does not know
is refused too, so nothing is added on the quiet.

How to bump it
--------------
Bump when the released code would misread or refuse a directory of the new code:

- a field of :class:`~brixa_flows.serializers.manifest.ArtifactManifest` (``saved`` and
  ``files`` included), of the core that the registry keeps in it
  (:class:`~brixa_flows.registry.facts.records.Core`) or of ``lineage.json`` is added, removed
  or changes its meaning,
- what the digest is taken of changes, or
- a serializer gives other files or other ``config`` keys the same format name.

A new format name alone needs no bump: old code refuses it by name. The journal and the
index have numbers of their own, ``JOURNAL_PROTOCOL`` and ``INDEX_PROTOCOL``.

1. Save one model of every format with the released code and keep the directories as
   ``tests/data/protocol-N``, N being the number they carry; they are never written
   again.
2. Raise :data:`PROTOCOL` by one and add a line to the history below.
3. Teach ``read_manifest`` to lift the old number to the new model. The digest is
   of the bytes of ``config.json``: never rewrite an old one.
4. Load the golden directories of every number in a test, and compare predictions.
5. Say it in the change log: which release reads it, and that older ones refuse it.

History
-------
1. Files with size and sha256, the saved facts, environment and core metadata.
"""

from __future__ import annotations

__all__ = ["PROTOCOL"]

PROTOCOL = 1
