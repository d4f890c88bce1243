"""ModelVersion is SemVer 2.0.0, read, ordered, bumped and carried by pydantic."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from brixa_flows.errors import InvalidVersionError
from brixa_flows.versioning import ModelVersion
from brixa_flows.versioning.version import LARGEST_NUMBER, LONGEST_TEXT

numbers = st.integers(0, LARGEST_NUMBER) | st.integers(0, 3)
words = st.from_regex(r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,4}", fullmatch=True)
versions = st.builds(
    ModelVersion,
    numbers,
    numbers,
    numbers,
    st.lists(st.integers(0, 99) | words, max_size=4).map(tuple),
    st.lists(st.from_regex("[0-9A-Za-z-]{1,5}", fullmatch=True), max_size=3).map(tuple),
)

# semver.org, item 11, with the neighbours that its text names.
PRECEDENCE = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
]


def test_the_precedence_chain_of_the_specification_holds():
    parsed = [ModelVersion.parse(text) for text in PRECEDENCE]
    for lower, higher in itertools.combinations(parsed, 2):
        assert lower < higher and higher > lower
        assert lower <= higher and higher >= lower
        assert lower != higher


def test_numbers_come_before_words_and_words_go_by_ascii():
    ordered = ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-A", "1.0.0-a"]
    assert [str(v) for v in sorted(map(ModelVersion.parse, ordered[::-1]))] == ordered


@given(versions)
def test_text_and_value_are_the_same_thing(version):
    again = ModelVersion.parse(str(version))
    assert again == version
    assert str(again) == str(version)
    assert (again.prerelease, again.build) == (version.prerelease, version.build)


@given(versions, versions, versions)
def test_the_order_is_total(a, b, c):
    assert (a < b) + (a == b) + (a > b) == 1
    assert (a <= b) == (a < b or a == b) and (a >= b) == (b <= a)
    if a <= b and b <= c:
        assert a <= c
    if a == b:
        assert hash(a) == hash(b)


@given(st.lists(versions, max_size=8))
def test_sorting_is_the_order_of_the_specification(some):
    def key(version):
        """Item 11 once more, written down independently."""
        identifiers = [
            (0, f"{part:020}") if isinstance(part, int) else (1, part)
            for part in version.prerelease
        ]
        tail = (0, identifiers) if identifiers else (1, [])
        return version.major, version.minor, version.patch, tail

    assert list(map(key, sorted(some))) == sorted(map(key, some))


def test_build_metadata_is_no_identity_but_is_kept():
    a, b = ModelVersion.parse("1.0.0+a"), ModelVersion.parse("1.0.0+b")
    assert a == b and hash(a) == hash(b) and len({a, b}) == 1
    assert not a < b and not a > b
    assert str(a) == "1.0.0+a" and a.core == b.core == "1.0.0"
    assert str(a.identity) == "1.0.0"
    assert ModelVersion.parse("1.0.0").identity == a


def test_a_version_is_no_text_and_no_tuple():
    assert ModelVersion(1, 0, 0) != "1.0.0"
    with pytest.raises(TypeError):
        assert ModelVersion(1, 0, 0) < (1, 0, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("1", "1 numbers instead of three"),
        ("1.2", "2 numbers instead of three"),
        ("1.2.3.4", "4 numbers instead of three"),
        ("01.2.3", "leading zero"),
        ("1.02.3", "leading zero"),
        ("v1.2.3", "leave the leading 'v' out"),
        ("=1.2.3", "leave the leading '=' out"),
        (" 1.2.3", "white space"),
        ("1.2.3\n", "white space"),
        ("latest", "begin with a number"),
        ("-1.2.3", "begin with a number"),
        ("1.2.3-", "pre-release"),
        ("1.2.3-01", "pre-release"),
        ("1.2.3-a..b", "pre-release"),
        ("1.2.3+", "build"),
        ("1.2.3+a_b", "build"),
        ("1.2.3+a+b", "build"),
        ("1.2.3-é", "pre-release"),
        ("١.٢.٣", "begin with a number"),
        ("1.2.3/../../x", "pre-release"),
        (f"{LARGEST_NUMBER + 1}.0.0", "major number is over"),
        ("1.0.0-" + "a" * LONGEST_TEXT, "characters"),
        ("9" * 100_000, "characters"),
        (None, "NoneType"),
        (1.2, "float"),
        (b"1.2.3", "bytes"),
    ],
)
def test_a_wrong_version_text_says_what_is_wrong(text, reason):
    with pytest.raises(InvalidVersionError, match=reason) as caught:
        ModelVersion.parse(text)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "parts",
    [
        (-1, 0, 0),
        (True, 0, 0),
        ("1", 0, 0),
        (1, 0, 0, ("",)),
        (1, 0, 0, ("01",)),
        (1, 0, 0, ("a.b",)),
        (1, 0, 0, (-1.5,)),
        (1, 0, 0, (True,)),
        (1, 0, 0, (), ("a b",)),
        (1, 0, 0, (), (1,)),
        (1, 0, 0, ("a" * LONGEST_TEXT,)),
    ],
)
def test_wrong_parts_are_refused(parts):
    with pytest.raises(InvalidVersionError):
        ModelVersion(*parts)


@pytest.mark.parametrize(
    ("text", "major", "minor", "patch", "prerelease"),
    [
        ("1.2.3", "2.0.0", "1.3.0", "1.2.4", "1.2.4-0"),
        ("0.0.0", "1.0.0", "0.1.0", "0.0.1", "0.0.1-0"),
        ("1.2.3+b.5", "2.0.0", "1.3.0", "1.2.4", "1.2.4-0"),
        ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0", "2.0.0-rc.2"),
        ("1.3.0-rc.1", "2.0.0", "1.3.0", "1.3.0", "1.3.0-rc.2"),
        ("1.2.4-rc", "2.0.0", "1.3.0", "1.2.4", "1.2.4-rc.0"),
        ("1.2.4-1.rc.3.x", "2.0.0", "1.3.0", "1.2.4", "1.2.4-1.rc.4.x"),
    ],
)
def test_a_bump_counts_as_npm_does(text, major, minor, patch, prerelease):
    version = ModelVersion.parse(text)
    assert str(version.bump("major")) == major
    assert str(version.bump("minor")) == minor
    assert str(version.bump("patch")) == patch
    assert str(version.bump("prerelease")) == prerelease


@given(
    versions.filter(lambda v: max(v.major, v.minor, v.patch) < LARGEST_NUMBER),
    st.sampled_from(["major", "minor", "patch"]),
)
def test_a_bump_goes_up_to_a_stable_version_without_build(version, kind):
    bumped = version.bump(kind)
    assert bumped > version
    assert not bumped.is_prerelease and not bumped.build


def test_a_bump_has_a_known_kind_and_an_end():
    with pytest.raises(ValueError, match="major, minor, patch, prerelease"):
        ModelVersion(1, 0, 0).bump("huge")
    with pytest.raises(InvalidVersionError, match="over"):
        ModelVersion(1, LARGEST_NUMBER, 0).bump("minor")


def test_a_version_says_whether_it_satisfies_a_constraint():
    assert ModelVersion.parse("1.4.0").satisfies("^1.2")
    assert not ModelVersion.parse("1.4.0-rc.1").satisfies("^1.2")
    assert ModelVersion.parse("1.4.0-rc.1").satisfies("^1.2", include_prerelease=True)


def test_a_version_never_changes_and_survives_copying_and_pickling():
    version = ModelVersion.parse("1.2.3-rc.1+b")
    with pytest.raises(AttributeError, match="never changes"):
        version.major = 2
    with pytest.raises(AttributeError, match="never changes"):
        del version.major
    for twin in (pickle.loads(pickle.dumps(version)), copy.deepcopy(version)):
        assert twin == version and str(twin) == str(version)
    assert repr(version) == "ModelVersion('1.2.3-rc.1+b')"


class Holder(BaseModel):
    """A model with a version in it."""

    version: ModelVersion
    counts: dict[ModelVersion, int] = {}


@given(versions)
def test_pydantic_reads_text_and_writes_text(version):
    holder = Holder(version=str(version), counts={version: 1})
    assert holder.model_dump()["version"] is holder.version
    assert holder.model_dump(mode="json")["version"] == str(version)
    again = Holder.model_validate_json(holder.model_dump_json())
    assert str(again.version) == str(version) and again.counts == {version: 1}


def test_pydantic_refuses_what_is_no_version_and_calls_it_a_string():
    with pytest.raises(ValidationError, match="2 numbers instead of three"):
        Holder(version="1.2")
    with pytest.raises(ValidationError):
        Holder(version=1)
    schema = Holder.model_json_schema()
    assert schema["properties"]["version"]["type"] == "string"
