"""Texts by length and words, images and embeddings by summaries of each row."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pyarrow as pa
import pytest

from brixa_flows.drift import DriftDetector, DriftProfile
from brixa_flows.errors import DriftError

_WORDS = np.array([f"word{number}" for number in range(2000)])
_SHARES = 1 / np.arange(1, 2001)
_SHARES /= _SHARES.sum()


def texts(rng: np.random.Generator, rows: int, length: float = 10) -> list[str]:
    sizes = rng.poisson(length, rows) + 3
    words = rng.choice(_WORDS, sizes.sum(), p=_SHARES)
    return [" ".join(part) for part in np.split(words, np.cumsum(sizes)[:-1])]


@pytest.mark.parametrize("rows", [(300, 300), (4000, 300), (500, 2000)])
def test_texts_of_one_population_are_seldom_called(rows):
    called = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        sides = [{"text": texts(rng, size)} for size in rows]
        called += DriftDetector().detect(*sides).status != "ok"
    assert called <= 2


def test_longer_texts_other_words_and_unknown_words_are_told_apart():
    rng = np.random.default_rng(0)
    reference = DriftProfile.build({"text": texts(rng, 3000)})
    assert reference.columns["text"].kind == "text"

    def drifted(window):
        report = DriftDetector().detect(reference, {"text": window})
        checks = report.columns["text"].checks
        return {check.check for check in checks if check.status == "drift"}

    longer = drifted(texts(rng, 1000, length=14))
    assert {"characters", "words"} <= longer
    assert "new_words" not in longer
    other = [text.replace("word1 ", "word2 ") for text in texts(rng, 1000)]
    assert drifted(other) == {"vocabulary"}
    foreign = [text.replace("word", "mot") for text in texts(rng, 1000)]
    assert {"vocabulary", "new_words"} <= drifted(foreign)
    sentence = DriftDetector().detect(reference, {"text": foreign}).sentence
    assert "text" in sentence


def test_what_repeats_is_a_category_and_a_window_follows_its_reference():
    rng = np.random.default_rng(0)
    many = ["the united states of america", "the french republic"] * 200
    assert DriftProfile.build({"x": many}).columns["x"].kind == "category"
    reference = DriftProfile.build({"x": texts(rng, 400)})
    same = DriftProfile.build({"x": ["one word"] * 400}, like=reference)
    assert same.columns["x"].kind == "text"
    report = DriftDetector().detect(
        reference, {"x": pa.array(many).dictionary_encode()}
    )
    assert report.columns["x"].kind == "text"


def test_a_person_may_say_that_numbers_are_codes_and_strings_are_texts():
    data = {"zip": [10115, 20095, 10115] * 100, "note": ["ok", "bad"] * 150}
    profile = DriftProfile.build(data, kinds={"zip": "category", "note": "text"})
    assert profile.columns["zip"].categories == {"10115": 200, "20095": 100}
    assert profile.columns["note"].categories == {"ok": 150, "bad": 150}
    later = {"zip": [10115.0, 20095.0, None] * 100, "note": ["ok", "bad"] * 150}
    report = DriftDetector().detect(profile, later)
    assert "new_categories" not in {
        check.check for check in report.columns["zip"].checks if check.status == "drift"
    }
    with pytest.raises(DriftError, match="'zip' holds int64.*no text"):
        DriftProfile.build(data, kinds={"zip": "text"})
    with pytest.raises(DriftError, match="said to be 'numeric'"):
        DriftProfile.build(data, kinds={"zip": "numeric"})


def test_words_count_once_a_text_without_case_and_punctuation():
    column = DriftProfile.build(
        {"x": ["Good, good; GOOD!", "not good", None, ""]}, kinds={"x": "text"}
    ).columns["x"]
    assert column.categories == {"good": 2, "not": 1}
    assert column.missing == 1
    assert column.parts["words"].mean == pytest.approx(5 / 3)
    assert column.parts["characters"].mean == pytest.approx(25 / 3)


@pytest.mark.parametrize("form", ["array", "objects", "lists", "fixed shape"])
def test_rows_of_images_are_summed_up_as_numpy_does(form):
    images = np.random.default_rng(0).random((300, 4, 5))
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images))
    forms = {
        "array": {"image": images},
        "objects": {"image": list(images)},
        "lists": pa.table({"image": pa.array(images.tolist())}),
        "fixed shape": pa.table({"image": tensor}),
    }
    column = DriftProfile.build(forms[form]).columns["image"]
    assert column.kind == "tensor"
    rows = images.reshape(300, -1)
    for part, values in {
        "mean": rows.mean(axis=1),
        "deviation": rows.std(axis=1),
        "minimum": rows.min(axis=1),
        "maximum": rows.max(axis=1),
        "size": np.full(300, 20),
        "not_finite": np.zeros(300),
    }.items():
        assert column.parts[part].mean == pytest.approx(values.mean()), part
        assert column.parts[part].minimum == pytest.approx(values.min()), part


def test_darker_images_and_broken_numbers_are_found():
    rng = np.random.default_rng(0)
    reference = {"image": rng.random((500, 8, 8))}
    quiet = DriftDetector().detect(reference, {"image": rng.random((400, 8, 8))})
    assert quiet.status == "ok"
    dark = DriftDetector().detect(reference, {"image": rng.random((400, 8, 8)) * 0.8})
    assert "mean: mean 0.5" in dark.columns["image"].sentence
    broken = rng.random((400, 8, 8))
    broken[:100, 0, 0] = np.nan
    report = DriftDetector().detect(reference, {"image": broken})
    assert "not finite" in report.columns["image"].sentence


def test_weeks_of_texts_are_judged_against_the_weeks_of_the_reference(tmp_path):
    rng = np.random.default_rng(0)
    data = {
        "at": np.datetime64("2026-01-01")
        + np.arange(1400) // 20 * np.timedelta64(1, "D"),
        "text": texts(rng, 1400),
    }
    profile = DriftProfile.build(data, window_column="at", window="7D")
    profile.save(tmp_path / "p.parquet")
    loaded = DriftProfile.load(tmp_path / "p.parquet")
    assert loaded.spread == profile.spread
    assert len(loaded.spread.effects["text: words"]["wasserstein"]) == 10
    window = {"text": texts(rng, 210)}
    report = DriftDetector().detect(loaded, window, kind="week")
    words = [c for c in report.columns["text"].checks if c.check == "words"]
    assert words[0].window_p_value is not None
    assert report.status == "ok"


def test_parts_of_texts_with_more_words_than_are_kept_are_judged_like_the_whole():
    rng = np.random.default_rng(0)
    words = np.array("one two three four five six seven".split())
    texts = [
        f"{' '.join(words[rng.integers(0, 7, 4)])} w{place}" for place in range(21_000)
    ]
    before = DriftProfile.build({"x": texts})
    rows = rng.permutation(len(texts))
    whole = DriftProfile.build({"x": [texts[row] for row in rows]}, like=before)
    parts = [
        DriftProfile.build({"x": [texts[row] for row in some]}, like=before)
        for some in np.array_split(rows, 7)
    ]
    summed = functools.reduce(operator.add, parts)
    assert len(summed.columns["x"].categories) > len(whole.columns["x"].categories)
    detector = DriftDetector()
    report = detector.detect(before, summed)
    assert report == detector.detect(before, whole)
    assert not report.drifted
