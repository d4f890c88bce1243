"""VersionConstraint is npm's strict range grammar, and commas mean AND."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from brixa_flows.errors import InvalidConstraintError, InvalidVersionError
from brixa_flows.versioning import ModelVersion, VersionConstraint

# Facts of node-semver: constraint, versions it allows, versions it does not.
ROWS = [
    # exact
    ("1.0.0", "1.0.0 1.0.0+b", "1.0.1 1.0.0-rc.1"),
    ("=1.0.0", "1.0.0", "1.0.1"),
    ("= 1.0.0", "1.0.0", "0.9.9"),
    ("v1.0.0", "1.0.0", "1.1.0"),
    ("=v1.0.0", "1.0.0", "1.1.0"),
    ("1.2.3+asdf", "1.2.3 1.2.3+other", "1.2.4"),
    # anything
    ("", "0.0.0 1.0.0", "1.0.0-rc.1"),
    ("*", "0.0.0 1.2.3", "1.2.3-foo"),
    ("x", "1.2.3", "1.2.3-foo"),
    ("X.x.*", "1.2.3", "1.2.3-foo"),
    ("||", "1.3.4", "1.3.4-a"),
    ("1.2.3 ||", "9.9.9", "9.9.9-a"),
    (">=*", "0.2.4", "0.2.4-a"),
    ("^*", "5.0.0", ""),
    ("~x", "5.0.0", ""),
    # nothing
    (">*", "", "0.0.0 1.0.0 9.9.9"),
    ("<x", "", "0.0.0 0.0.0-0 9.9.9"),
    # comparators
    (">1.0.0", "1.0.1 1.1.0 2.0.0", "1.0.0 0.9.9 1.0.1-rc.1"),
    (">=1.0.0", "1.0.0 1.0.1", "0.1.0 1.0.0-rc.1"),
    (">=  1.0.0", "1.0.0", "0.9.9"),
    ("> =1.0.0", "1.0.0", "0.9.9"),
    ("<2.0.0", "1.9999.9999 0.2.9", "2.0.0 2.0.0-rc.1 1.9.9-rc.1"),
    ("<= 2.0.0", "2.0.0 0.2.9", "2.0.1"),
    ("<\t2.0.0", "0.2.9", "2.2.9"),
    (">=0.1.97", "0.1.97", "0.1.93"),
    # comparators on partial versions
    (">1", "2.0.0", "1.0.0 1.9.9"),
    (">1.2", "1.3.0", "1.2.8 1.2.0"),
    (">=1", "1.0.0", "0.9.9 1.0.0-beta"),
    (">=1.2", "1.2.8", "1.1.1"),
    ("<1", "0.9.9", "1.0.0 1.0.0-beta"),
    ("<1.2", "1.1.1", "1.2.0 1.2.8"),
    ("<=1", "1.9.9", "2.0.0"),
    ("<=1.2", "1.2.99", "1.3.0"),
    ("< 1", "0.9.9", "1.0.0"),
    ("=0.7.x", "0.7.2", "0.8.2 0.6.2 0.7.0-asdf"),
    ("<=0.7.x", "0.7.2 0.6.2", "0.8.0"),
    (">0.7.x", "0.8.0", "0.7.9"),
    # x ranges
    ("1", "1.0.0 1.2.3", "2.0.0 1.0.0-beta"),
    ("2.x.x", "2.1.3", "1.1.3 3.1.3"),
    ("1.2.x", "1.2.3", "1.3.3"),
    ("1.2.x || 2.x", "2.1.3 1.2.3", "3.1.3 1.1.3"),
    ("2.*.*", "2.1.3", "1.1.3"),
    ("2", "2.1.2", "3.1.2"),
    ("2.3", "2.3.1", "2.4.1"),
    # tilde
    ("~0.0.1", "0.0.1 0.0.2", "0.1.0"),
    ("~x", "0.0.9", ""),
    ("~2", "2.0.9 2.1.0", "3.0.0"),
    ("~2.4", "2.4.0 2.4.5", "2.3.9 2.5.0"),
    ("~>3.2.1", "3.2.2", "3.3.2 3.2.0"),
    ("~1", "1.2.3", "2.2.3"),
    ("~>1", "1.2.3", "2.2.3"),
    ("~> 1", "1.2.3", "0.2.3"),
    ("~ 1.0", "1.0.2", "1.1.0"),
    ("~ 1.0.3", "1.0.12", "1.0.2"),
    ("~v0.5.4-pre", "0.5.5 0.5.4 0.5.4-pre", "0.5.5-pre 0.6.0"),
    ("~=0.5.4-pre", "0.5.4", "0.5.4-alpha"),
    ("~1.2.1-rc.1", "1.2.1-rc.2 1.2.9", "1.2.2-rc.1 1.3.0"),
    # caret
    ("^1.2.3", "1.2.3 1.8.1", "1.2.2 2.0.0 1.2.3-beta 2.0.0-alpha"),
    ("^1.2", "1.2.0 1.4.2", "1.1.9 2.0.0"),
    ("^1", "1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-pre"),
    ("^ 1.2.3", "1.4.0", "2.0.0"),
    ("^v1.2.3", "1.4.0", "2.0.0"),
    ("^0.1.2", "0.1.2 0.1.9", "0.2.0 0.1.1"),
    ("^0.1", "0.1.2", "0.2.0 1.0.0"),
    ("^0.0.1", "0.0.1", "0.0.2 0.0.2-alpha"),
    ("^0.0", "0.0.9", "0.1.0"),
    ("^0", "0.9.9", "1.0.0"),
    ("^0.x", "0.9.9", "1.0.0"),
    ("^0.0.x", "0.0.9", "0.1.0"),
    ("^1.x.4", "1.0.0", "2.0.0"),
    ("^1.2.3-rc.1", "1.2.3-rc.1 1.2.3-rc.2 1.2.3 1.9.0", "1.2.3-a 1.3.0-rc.1"),
    ("^0.0.1-alpha", "0.0.1-beta 0.0.1", "0.0.2 0.0.2-beta"),
    ("^1.2.0-alpha", "1.2.0-pre 1.3.0", "1.2.1-pre 2.0.0"),
    ("^1.2.3+build", "1.2.3 1.3.0", "1.2.0"),
    # hyphen
    ("1.0.0 - 2.0.0", "1.2.3 1.0.0 2.0.0", "2.2.3 0.9.9 2.0.0-rc.1"),
    ("1.2 - 2", "1.2.0 2.9.9", "1.1.9 3.0.0"),
    ("1 - 2.3", "1.0.0 2.3.9", "2.4.0"),
    ("1.2.3-a - 1.2.3-b", "1.2.3-a.1 1.2.3-b", "1.2.3 1.2.3-c"),
    ("1.2.3+asdf - 2.4.3+asdf", "1.2.3", "2.4.4"),
    ("* - 2", "0.0.0 2.9.0", "3.0.0"),
    ("1 - x", "1.0.0 99.0.0", "0.9.9"),
    ("v1.0.0 - v2.0.0", "1.5.0", "2.0.1"),
    # sets
    ("0.1.20 || 1.2.4", "1.2.4 0.1.20", "1.2.3"),
    (">=0.2.3 || <0.0.1", "0.0.0 0.2.3", "0.0.1 0.2.2"),
    (">=1.0 <2 || >=3.0.0-rc.1 <4", "1.5.0 3.0.0-rc.2 3.1.0", "2.0.0 3.1.0-rc.1"),
    (">1.0.0 <=1.2.0", "1.2.0", "1.0.0 1.2.1"),
    ("^1.2 ^1", "1.4.2", "1.1.0"),
    (">=1.2.1 1.2.3", "1.2.3", "1.2.4"),
    ("1.2.3 >=1.2.1", "1.2.3", "1.2.2"),
    ("~1.2.1 =1.2.3", "1.2.3", "1.2.4"),
    ("<=1.2.3 <1.2.3-beta", "1.2.3-alpha", "1.2.2-alpha 1.2.3"),
    # ours: commas are AND
    (">=1.2,<2", "1.2.0 1.9.9", "2.0.0 1.1.0"),
    (">= 1.2 , < 2 || 3.x", "1.5.0 3.1.0", "2.0.0"),
    ("1 - 2, <1.5", "1.4.9", "1.5.0"),
    # pre-releases need a comparator of the same set with the same three numbers
    (">1.2.3-alpha.3", "1.2.3-alpha.7 3.4.5", "3.4.5-alpha.9 1.2.3-alpha.3"),
    (">=1.2.3-alpha <1.2.4-beta", "1.2.3-b 1.2.4-alpha", "1.2.4-beta 1.2.5-a"),
    ("1.2.3-rc.1 || 2.x", "1.2.3-rc.1 2.0.0", "2.0.0-rc.1"),
    ("<2.0.0-0", "1.9.9", "1.9.9-rc.1 2.0.0-0"),
]

# With include_prerelease=True.
WIDE_ROWS = [
    ("*", "1.0.0-rc1 0.0.0-0", ""),
    ("^1.0.0", "1.1.0-rc1", "1.0.0-rc1 2.0.0-rc1"),
    ("^1", "1.0.0-rc1", "2.0.0-rc1"),
    ("~1.2", "1.2.0-rc1 1.2.5-rc1", "1.3.0-rc1"),
    ("~1.2.3", "1.2.4-rc1", "1.2.3-rc1"),
    ("1", "1.0.0-rc1 1.5.0-a", "2.0.0-rc1"),
    (">=1", "1.0.0-0", "0.9.9"),
    (">=1.0.0", "1.0.1-a", "1.0.0-rc1"),
    (">1", "2.0.0-0", "1.9.9"),
    ("<2", "1.9.9-a", "2.0.0-rc1 2.0.0"),
    ("<2.0.0", "2.0.0-rc1", "2.0.0"),
    ("<=2", "2.9.9-a", "3.0.0-0"),
    ("1.0.0 - 2.0.0", "1.0.0-rc1 2.0.0-rc1 2.0.0", "2.0.1-0"),
    ("1.0 - 2.0", "1.0.0-0 2.0.9-a", "2.1.0-0"),
    ("x - 1.0.0-beta", "1.0.0-alpha", "1.0.0"),
    ("<x", "", "0.0.0-0 1.0.0"),
]

REFUSED = [
    "latest",
    "production",
    "1.2.3.4",
    "01.2.3",
    "1.2.3-01",
    "1.2.3beta",
    "1.2-beta",
    "^1.2-beta",
    "blerg",
    "-",
    "1 -2",
    "1- 2",
    "1 - 2 - 3",
    ">1 1.2 - 3",
    "^",
    "~>",
    ">",
    "^^1",
    "=>1",
    "><1",
    "==1.2.3",
    "!=1.0",
    ">=1.0<2.0",
    "^>=1",
    "x.1",
    "1.x.2",
    "V1",
    "v 1",
    "1 | 2",
    "1 & 2",
    "1,",
    ",1",
    "1,,2",
    ",",
    "1.2.3+",
    "１.2.3",
    "9007199254740992",
    "^9007199254740991",
    "1" * 2000,
]


@pytest.mark.parametrize(("text", "inside", "outside"), ROWS)
def test_a_constraint_allows_what_npm_allows(text, inside, outside):
    constraint = VersionConstraint.parse(text)
    for version in inside.split():
        assert constraint.allows(version), version
    for version in outside.split():
        assert not constraint.allows(version), version


@pytest.mark.parametrize(("text", "inside", "outside"), WIDE_ROWS)
def test_pre_releases_can_be_let_in(text, inside, outside):
    constraint = VersionConstraint.parse(text)
    for version in inside.split():
        assert constraint.allows(version, include_prerelease=True), version
    for version in outside.split():
        assert not constraint.allows(version, include_prerelease=True), version


@pytest.mark.parametrize("text", REFUSED)
def test_what_npm_refuses_is_refused_in_a_short_sentence(text):
    with pytest.raises(InvalidConstraintError, match="write for example") as caught:
        VersionConstraint.parse(text)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400


def test_only_text_is_a_constraint():
    for wrong in (None, 1, b"1", ["^1"]):
        with pytest.raises(InvalidConstraintError, match="of type"):
            VersionConstraint.parse(wrong)


@given(st.text(alphabet="0123x.*-+^~<>=| ,vab", max_size=24))
def test_any_text_is_either_read_or_refused(text):
    try:
        constraint = VersionConstraint.parse(text)
    except InvalidConstraintError:
        return
    assert VersionConstraint.parse(str(constraint)) == constraint
    assert constraint.allows("1.2.3") in (True, False)


small = st.integers(0, 4)
stable = st.builds(ModelVersion, small, small, small)
any_version = st.builds(
    ModelVersion,
    small,
    small,
    small,
    st.sampled_from([(), (), (0,), ("alpha",), ("rc", 1), ("rc", 2)]),
)


@given(any_version, any_version)
def test_a_caret_never_crosses_the_leftmost_number_that_is_not_zero(base, version):
    allowed = version.satisfies(f"^{base}")
    if base.major:
        same = version.major == base.major
    elif base.minor:
        same = (version.major, version.minor) == (0, base.minor)
    else:
        same = (version.major, version.minor, version.patch) == (0, 0, base.patch)
    if version.is_prerelease:
        same = same and version.identity.core.startswith(
            f"{base.major}.{base.minor}.{base.patch}-"
        )
        same = same and base.is_prerelease
    assert allowed == (same and version >= base)


@given(any_version, any_version)
def test_a_tilde_moves_the_patch_only(base, version):
    if version.satisfies(f"~{base}"):
        assert version >= base
        assert (version.major, version.minor) == (base.major, base.minor)


@given(stable, stable, stable)
def test_a_hyphen_range_is_both_its_comparators(low, high, version):
    assert version.satisfies(f"{low} - {high}") == (low <= version <= high)
    assert version.satisfies(f">={low},<={high}") == (low <= version <= high)


constraints = st.sampled_from([row[0] for row in ROWS])


@given(constraints, constraints, any_version)
def test_two_bars_are_or(one, other, version):
    both = version.satisfies(f"{one} || {other}")
    assert both == (version.satisfies(one) or version.satisfies(other))


@given(constraints, any_version, st.sampled_from(["a", "b.7"]))
def test_build_metadata_makes_no_difference(constraint, version, build):
    built = ModelVersion.parse(f"{version}+{build}")
    assert built.satisfies(constraint) == version.satisfies(constraint)


@given(constraints, any_version)
def test_a_pre_release_needs_to_be_named(constraint, version):
    assume(version.is_prerelease and "-" not in constraint.replace(" - ", " "))
    assert not version.satisfies(constraint)


@given(constraints, stable)
def test_stable_versions_do_not_care_whether_pre_releases_are_in(constraint, version):
    assert version.satisfies(constraint) == version.satisfies(
        constraint, include_prerelease=True
    )


def test_select_sorts_and_reads_texts_and_values():
    chosen = VersionConstraint.parse("^1.2 || >=3.0.0-rc.1 <4").select(
        ["3.0.0", ModelVersion(1, 10, 0), "3.0.0-rc.2", "1.2.0", "2.0.0", "4.0.0-rc.1"]
    )
    assert [str(v) for v in chosen] == ["1.2.0", "1.10.0", "3.0.0-rc.2", "3.0.0"]
    wide = VersionConstraint.parse("<2").select(
        ["1.0.0-rc.1", "2.0.0-rc.1"], include_prerelease=True
    )
    assert wide == [ModelVersion.parse("1.0.0-rc.1")]
    with pytest.raises(InvalidVersionError):
        VersionConstraint.parse("*").select(["one"])


def test_a_constraint_is_a_value():
    one, same = VersionConstraint.parse(" ^1.2   <1.9 "), VersionConstraint("^1.2 <1.9")
    assert one == same and hash(one) == hash(same) and str(one) == "^1.2 <1.9"
    assert VersionConstraint.parse(one) is one
    assert pickle.loads(pickle.dumps(one)).allows("1.3.0")


@given(constraints, st.lists(any_version, unique=True), st.data())
def test_the_highest_is_the_last_of_those_selected(constraint, versions, data):
    refused = data.draw(st.sets(st.sampled_from(versions or [ModelVersion(1, 0, 0)])))
    allowed = [version for version in versions if version not in refused]
    chosen = VersionConstraint.parse(constraint)
    highest = chosen.highest(sorted(versions), lambda version: version not in refused)
    assert highest == (chosen.select(allowed) or [None])[-1]


def test_the_highest_is_found_without_looking_at_all():
    versions = [ModelVersion(major, 0, n) for major in (1, 2) for n in range(500)]
    looked: list[ModelVersion] = []
    VersionConstraint.parse("^1").highest(versions, lambda v: not looked.append(v))
    assert looked == [ModelVersion(1, 0, 499)]
