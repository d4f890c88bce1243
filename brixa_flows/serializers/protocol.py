"""The number of the artifact format, and what to do when the format changes.

``config.json`` of a version directory carries the protocol it was written with. Reading
a number above :data:`PROTOCOL` is refused with a sentence; every number from 1 up to it
loads for ever, because registries outlive releases.

How to bump it
--------------
Bump when a file written by the new code would be misread or refused by the released
code: a field of :class:`~brixa_flows.serializers.manifest.ArtifactManifest` is added,
removed or changes its meaning, what the digest is taken of changes, or a serializer
gives other files or other ``config`` keys the same format name. A new format
name alone needs no bump: old code refuses it by name.

1. Save one model of every format with the released code and add the directories to the
   golden files of ``tests/serializers``; they are never written again.
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
