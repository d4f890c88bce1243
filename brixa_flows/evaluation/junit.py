"""JUnit XML, which every CI shows beside its tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.etree import ElementTree

__all__ = ["junit_suite"]

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_suite(
    name: str,
    cases: Sequence[tuple[str, str, bool]],
    *,
    properties: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    at: datetime | None = None,
) -> str:
    """One suite.

    Args:
        name: Of the suite, and the class of its cases.
        cases: Name, sentence, and whether it passed.
        properties: Facts of the suite.
        notes: What a reader must know.
        at: When it was found.
    """
    failures = sum(not passed for _, _, passed in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
    moment = {"timestamp": f"{at:%Y-%m-%dT%H:%M:%S}"} if at else {}
    suite = ElementTree.Element("testsuite", {"name": _plain(name), **counts, **moment})
    if properties:
        listed = ElementTree.SubElement(suite, "properties")
        for key, fact in properties.items():
            about = {"name": _plain(key), "value": _plain(fact)}
            ElementTree.SubElement(listed, "property", about)
    for title, sentence, passed in cases:
        about = {"classname": _plain(name), "name": _plain(title)}
        case = ElementTree.SubElement(suite, "testcase", about)
        if passed:
            ElementTree.SubElement(case, "system-out").text = _plain(sentence)
        else:
            ElementTree.SubElement(case, "failure", message=_plain(sentence))
    if notes:
        ElementTree.SubElement(suite, "system-err").text = _plain("\n".join(notes))
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _plain(text: str) -> str:
    """Without the characters that XML can't hold."""
    return _NOT_IN_XML.sub("?", text)
