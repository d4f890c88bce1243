"""Classes that are texts of numbers, and labels that a CSV file made numbers of."""

from __future__ import annotations

import numpy as np
import pytest

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.reading import Reading
from brixa_flows.serializers.base import Prediction

CLASSES = tuple(sorted(str(place) for place in range(12)))  # '0' '1' '10' '11' '2' ...


def _right(labels: np.ndarray, classes: tuple[str, ...]) -> Prediction:
    """Answers that are all right, with sure scores."""
    names = [str(label) for label in labels]
    scores = np.array([[float(each == name) for each in classes] for name in names])
    return Prediction(np.array(names, dtype=object), scores, classes)


def test_numbers_are_the_classes_of_that_name_and_not_of_that_place() -> None:
    labels = np.arange(12)
    reading = Reading.of(labels, _right(labels, CLASSES))
    read = reading.read(labels, _right(labels, CLASSES))
    assert (read.truth == read.predicted).all()
    assert any("their texts" in told for told in reading.told)
    few = np.array([1, 2, 1])
    classes = ("1", "2", "3")
    read = Reading.of(few, _right(few, classes)).read(few, _right(few, classes))
    assert (read.truth == read.predicted).all()


def test_numbers_that_name_no_class_are_refused_or_wrong_and_never_places() -> None:
    labels, classes = np.array([1, 2, 1]), ("01", "02", "03")
    scores = np.array([[1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]])
    given = Prediction(np.array(["01", "02", "01"], dtype=object), scores, classes)
    reading = Reading.of(labels, given)
    assert not reading.counted
    try:
        read = reading.read(labels, given)
    except EvaluationError:
        return
    assert (read.truth >= len(classes)).all()  # unknown, which is told


def test_names_that_are_words_still_take_numbers_of_their_place() -> None:
    labels, classes = np.array([0, 1]), ("no", "yes")
    given = Prediction(np.array(["no", "yes"], dtype=object), np.eye(2), classes)
    read = Reading.of(labels, given).read(labels, given)
    assert (read.truth == read.predicted).all()
    with pytest.raises(EvaluationError):
        Reading.of(labels, given).read(np.array([0, 2]), given)
