"""Texts: words that became more or less common, and words never seen before."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, bdtrc, ndtr

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.column import MAX_WORDS, ColumnKind, ColumnProfile
from brixa_flows.drift.methods.categorical import (
    log_chance_alone,
    new_categories,
    sizes_of_both,
)
from brixa_flows.drift.radix import Floats, Integers

__all__ = ["NewWords", "WordShareChange"]

# Among thousands of words the far tails decide, where the z test needs many texts.
_SMALLEST_EXPECTED = 50
_TEXTS: tuple[ColumnKind, ...] = ("text",)


class WordShareChange:
    """The largest change of the share of texts that have a word in them.

    The p-value is that of two proportions for the word with the least likely change,
    times the number of words (Bonferroni), because texts are independent and words in
    one text are not. Rare words are tested by how the texts that have them are split.
    """

    name = "word_share_change"
    check = "vocabulary"
    kinds = _TEXTS
    threshold: float | None = 0.05

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        if not reference.values or not current.values:
            return None
        words = sorted(set(_frequent(reference)) | set(_frequent(current)) | {""})
        hits = np.array(
            [
                [side.categories.get(word, 0) for word in words]
                for side in (reference, current)
            ]
        )
        rows = np.array([reference.values, current.values])
        before, after = hits / rows[:, None]
        changes = np.abs(after - before)
        p_value = min(float(_p_values(hits, rows).min()) * len(words), 1.0)
        most = int(np.argmax(changes))
        detail = f"{words[most]!r}: {before[most]:.1%} to {after[most]:.1%}"
        return Measurement(float(changes[most]), p_value, detail)


class NewWords:
    """How much more of the words than expected the reference never had.

    What chance leaves to the current texts alone is expected and subtracted, and where
    the reference kept its most frequent words only, so is the share of its others. The
    words of one text come together, so the test counts texts, not words.
    """

    name = "new_word_share"
    check = "new_words"
    kinds = _TEXTS
    threshold: float | None = 0.05

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        before, after = _spoken(reference), _spoken(current)
        if not before or not after:
            return None
        new = new_categories(reference, current)
        share = (sum(new.values()) + current.other) / after
        expected = _expected(reference, current, (before, after))
        effect = max(share - expected, 0.0)
        texts = min(reference.values, current.values)
        pooled = min(max((share + expected) / 2, 1e-12), 1 - 1e-12)
        error = np.sqrt(2 * pooled * (1 - pooled) / texts)
        detail = ", ".join(repr(word) for word in list(new)[:5])
        return Measurement(effect, float(2 * ndtr(-effect / error)), detail)


def _p_values(hits: Integers, rows: Integers) -> Floats:
    """Of two proportions, two-sided, of shape (n_words,)."""
    total = hits.sum(axis=0)
    pooled = total / rows.sum()
    errors = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-300) * np.sum(1 / rows))
    p_values: Floats = 2 * ndtr(
        -np.abs(np.diff(hits / rows[:, None], axis=0)[0]) / errors
    )
    rare = pooled * rows.min() < _SMALLEST_EXPECTED
    now, of_all, share = hits[1, rare], total[rare], rows[1] / rows.sum()
    low = bdtr(now, of_all, share)
    high = np.where(now > 0, bdtrc(np.maximum(now - 1, 0), of_all, share), 1.0)
    p_values[rare] = np.minimum(2 * np.minimum(low, high), 1.0)
    return p_values


def _frequent(column: ColumnProfile) -> list[str]:
    """Words that five texts have at least: fewer tell nothing of a share."""
    return [word for word, rows in column.categories.items() if rows >= 5]


def _spoken(column: ColumnProfile) -> int:
    return sum(column.categories.values()) + column.other


def _expected(
    reference: ColumnProfile, current: ColumnProfile, spoken: tuple[int, int]
) -> float:
    """The share of words outside the reference's that one population has."""
    if len(reference.categories) >= MAX_WORDS:
        return reference.other / spoken[0]
    both, often = sizes_of_both(reference, current)
    chance = np.exp(log_chance_alone(both, *spoken))
    return float(np.sum(often * both * chance)) / spoken[1]
