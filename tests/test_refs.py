"""NAME and NAME@SPEC, and which names there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brixa_flows.errors import InvalidNameError
from brixa_flows.refs import ModelRef, check_deployment_name, check_model_name
from brixa_flows.storage.keys import is_key

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True).filter(
    lambda name: name.lower() != "deployments"
)


@given(names)
def test_a_name_within_the_rules_is_taken_as_it_is(name):
    assert check_model_name(name) == name
    assert check_deployment_name(name) == name
    assert is_key(f"models/{name}/1.0.0_meta.json")


WRONG = [
    "",
    " ",
    ".",
    "..",
    ".hidden",
    "_meta",
    "-dash",
    "a/b",
    "a\\b",
    "a b",
    "a@b",
    "a\n",
    "a\0",
    "größe",
    "a" * 129,
    "../x",
    None,
    7,
    b"a",
]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_beyond_the_rules_is_refused_with_the_rule(name):
    for check in (check_model_name, check_deployment_name):
        with pytest.raises(InvalidNameError, match="1 to 128 letters") as caught:
            check(name)
        assert isinstance(caught.value, ValueError) and caught.value.name == name


@pytest.mark.parametrize("name", ["deployments", "Deployments"])
def test_a_folder_of_the_layout_is_no_model_name_but_a_deployment_name(name):
    with pytest.raises(InvalidNameError, match="storage layout"):
        check_model_name(name)
    assert check_deployment_name(name) == name


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("delays", "delays", None),
        ("delays@1.2.0", "delays", "1.2.0"),
        ("delays@^1.2 || 3.x", "delays", "^1.2 || 3.x"),
        ("delays@production", "delays", "production"),
        ("delays@ latest ", "delays", "latest"),
        ("a.b-c_d@x@y", "a.b-c_d", "x@y"),
    ],
)
def test_a_reference_is_a_name_and_perhaps_a_spec(text, name, spec):
    assert ModelRef.parse(text) == ModelRef(name, spec)


@given(names, st.none() | st.text("0123456789.^~<>=|x *abc", min_size=1))
def test_a_reference_and_its_text_are_the_same_thing(name, spec):
    spec = (spec or "").strip() or None
    ref = ModelRef(name, spec)
    assert ModelRef.parse(str(ref)) == ref


@pytest.mark.parametrize("text", ["", "@", "@1.0.0", "delays@", "delays@  ", "a b@1"])
def test_a_reference_without_name_or_with_an_empty_spec_is_refused(text):
    with pytest.raises(InvalidNameError):
        ModelRef.parse(text)


def test_only_text_is_a_reference():
    with pytest.raises(InvalidNameError):
        ModelRef.parse(None)
