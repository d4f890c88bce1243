"""Adapter to pyarrow: texts as lengths and as the words that are in them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from brixa_flows.drift.radix import Floats

__all__ = ["count_words", "reads_like_text"]

_LOOKED_AT = 1_000
_FEWEST_WORDS = 3.0
_LEAST_DISTINCT = 0.5
# What comes later in a text is not read for its words; its length is that of all.
_CHARACTERS = 4_000
_WORD_CHARACTERS = 40
_ROWS_AT_ONCE = 16_384


def reads_like_text(array: pa.Array) -> bool:
    """Whether strings are written rather than chosen: they seldom repeat, have words."""
    some = array.drop_null().slice(0, _LOOKED_AT)
    if not len(some):
        return False
    distinct = pc.count_distinct(some).as_py() / len(some)
    if distinct < _LEAST_DISTINCT:
        return False
    head = pc.utf8_slice_codeunits(some, 0, _CHARACTERS)
    words = pc.list_value_length(pc.utf8_split_whitespace(head))
    return bool(pc.mean(words).as_py() >= _FEWEST_WORDS)


def count_words(array: pa.Array) -> tuple[dict[str, int], dict[str, Floats]]:
    """Rows by word, and how long each text is.

    Returns:
        In how many texts each word occurs (lower case, without punctuation), and
        ``characters`` and ``words`` of each text that is not missing.
    """
    rows: Counter[str] = Counter()
    lengths, words = [], []
    texts = array.drop_null()
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        part = texts.slice(start, _ROWS_AT_ONCE)
        lengths.append(pc.utf8_length(part).to_numpy(zero_copy_only=False))
        split = _split(part)
        found = pc.list_value_length(split).to_numpy(zero_copy_only=False)
        # The split of nothing is one empty word.
        blank = pc.equal(pc.list_element(split, 0), "").to_numpy(zero_copy_only=False)
        words.append(np.where(blank, 0, found))
        rows.update(_rows_by_word(split))
    rows.pop("", None)
    return dict(rows), {"characters": _joined(lengths), "words": _joined(words)}


def _split(texts: pa.Array) -> pa.Array:
    head = pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, _CHARACTERS))
    plain = pc.replace_substring_regex(head, r"[^\pL\pN\']+", " ")
    return pc.utf8_split_whitespace(pc.utf8_trim_whitespace(plain))


def _rows_by_word(split: pa.Array) -> dict[str, int]:
    """A word that a text says twice counts once: only rows are independent."""
    flat = pc.list_flatten(split)
    if not len(flat):
        return {}
    owners = pc.list_parent_indices(split).to_numpy(zero_copy_only=False)
    encoded = pc.utf8_slice_codeunits(flat, 0, _WORD_CHARACTERS).dictionary_encode()
    known = len(encoded.dictionary)
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = np.unique(owners.astype(np.int64) * known + codes)
    counts = np.bincount(pairs % known, minlength=known)
    return dict(zip(encoded.dictionary.to_pylist(), counts.tolist(), strict=True))


def _joined(parts: list[Floats]) -> Floats:
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)
