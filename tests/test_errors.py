"""Every error says what to do, keeps its facts, and survives the way to a process."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re

import pytest

from brixa_flows import errors
from brixa_flows.errors import BrixaError, some_of

_CLASSES = sorted(
    (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BrixaError)
    ),
    key=lambda kind: kind.__name__,
)
_LONGEST_MESSAGE = 2000


def _facts_for(kind: type[BrixaError], text: str) -> dict[str, object]:
    """Arguments for a constructor: ``text`` for each, a tuple of it for many."""
    facts: dict[str, object] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            many = "Iterable" in str(parameter.annotation)
            facts[name] = (text,) * 20 if many else text
    return facts


def _make(kind: type[BrixaError], text: str = "given") -> BrixaError:
    own_facts = kind.__init__ is not BrixaError.__init__
    return kind(**_facts_for(kind, text), **({} if own_facts else {"extra": 7}))


@pytest.mark.parametrize("kind", _CLASSES)
def test_an_error_survives_pickling_and_copying_with_its_facts(kind):
    error = _make(kind)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error) == error.message
        assert twin.facts == error.facts
        assert all(getattr(twin, name) == fact for name, fact in error.facts.items())


@pytest.mark.parametrize("kind", _CLASSES)
def test_the_facts_of_a_constructor_are_attributes(kind):
    own = kind.__init__ is not BrixaError.__init__
    if kind is errors.ModelNotSavedError:
        expected = {"name", "spec", "available", "hint"}
    elif kind in (errors.ObjectNotFoundError, errors.ObjectExistsError):
        expected = {"key"}
    elif kind is errors.StaleWriteError:
        expected = {"key"}
    else:
        expected = set(_facts_for(kind, "given")) if own else {"extra"}
    assert expected <= set(_make(kind).facts)


@pytest.mark.parametrize("kind", _CLASSES)
def test_a_message_is_one_bounded_line_that_ends_with_the_remedy(kind):
    normal = str(_make(kind))
    assert normal and "\n" not in normal
    huge = str(_make(kind, "x" * 100_000))
    assert len(huge) <= _LONGEST_MESSAGE
    remedy = re.split("given", normal)[-1]
    assert huge.endswith(remedy)


def test_the_tree_in_the_docstring_is_the_real_one():
    drawn: list[tuple[str, str, str | None]] = []
    above: dict[int, str] = {}
    row = re.compile(r"^    ([│├└─ ]*)(\w+(?:Error))(?: +(\w+Error))?(?:  |$)")
    for line in (errors.__doc__ or "").splitlines():
        match = row.match(line)
        if match:
            depth = len(match[1]) // 4
            above[depth] = match[2]
            drawn.append((match[2], above.get(depth - 1, ""), match[3]))
    names = [name for name, _, _ in drawn]
    assert sorted(names) == [kind.__name__ for kind in _CLASSES]
    for name, parent, builtin in drawn[1:]:
        kind = getattr(errors, name)
        bases = [base.__name__ for base in kind.__bases__]
        assert bases == [parent, *([builtin] if builtin else [])], name
        if builtin:
            assert issubclass(kind, getattr(builtins, builtin))


def test_every_error_can_also_be_caught_by_a_builtin_one():
    for kind in _CLASSES:
        if kind is not BrixaError:
            others = [base for base in kind.__mro__ if base.__module__ == "builtins"]
            assert len(set(others) - {Exception, BaseException, object}) >= 1, kind


def test_every_public_error_and_warning_is_listed():
    public = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert public == set(errors.__all__)


def test_a_list_in_a_message_ends_with_how_many_more():
    assert some_of([]) == "none"
    assert some_of(["a", 1]) == "a, 1"
    assert some_of(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


def test_what_a_library_said_in_lines_becomes_one() -> None:
    assert str(BrixaError("refused: no a\n  - b\n\n")) == "refused: no a - b"
