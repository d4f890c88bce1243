"""What every serializer must do, as a suite that plug-in authors run too.

::

    from brixa_flows.testing.serializers import SerializerContract

    class TestMySerializer(SerializerContract):
        @pytest.fixture
        def serializer(self):
            return MySerializer()

        @pytest.fixture
        def model(self):
            return ...              # fitted, small

        @pytest.fixture
        def inputs(self):
            return ...              # one batch that it predicts
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brixa_flows.errors import DeviceUnavailableError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    SaveOptions,
    Serializer,
)
from brixa_flows.serializers.trust import tier_of

__all__ = ["SerializerContract"]


class SerializerContract:
    """Behaviour of a :class:`~brixa_flows.serializers.base.Serializer`.

    A subclass overrides the fixtures ``serializer``, ``model`` and ``inputs``.
    """

    @pytest.fixture
    def serializer(self) -> Serializer:
        """The serializer under test."""
        raise NotImplementedError("override the fixture serializer")

    @pytest.fixture
    def model(self) -> Any:
        """A small model that predicts."""
        raise NotImplementedError("override the fixture model")

    @pytest.fixture
    def inputs(self) -> ModelInputs:
        """One batch for it."""
        raise NotImplementedError("override the fixture inputs")

    def test_a_loaded_model_predicts_the_same(
        self, serializer: Serializer, model: Any, inputs: ModelInputs, tmp_path: Path
    ) -> None:
        """Values, scores and classes are those of the model that was saved."""
        before = serializer.predict(model, inputs)
        saved = serializer.save(model, tmp_path, SaveOptions())
        loaded = serializer.load(tmp_path, saved, LoadOptions())
        after = serializer.predict(loaded, inputs)
        np.testing.assert_array_equal(after.values, before.values)
        assert (after.scores is None) == (before.scores is None)
        if before.scores is not None and after.scores is not None:
            np.testing.assert_array_equal(after.scores, before.scores)
        assert after.classes == before.classes

    def test_a_loaded_model_can_be_saved_again(
        self, serializer: Serializer, model: Any, inputs: ModelInputs, tmp_path: Path
    ) -> None:
        """What comes back is as good as what went in."""
        for name in ("first", "second"):
            directory = tmp_path / name
            directory.mkdir()
            saved = serializer.save(model, directory, SaveOptions())
            model = serializer.load(directory, saved, LoadOptions())
        assert len(serializer.predict(model, inputs).values)

    def test_saving_leaves_the_model_as_it_was(
        self, serializer: Serializer, model: Any, inputs: ModelInputs, tmp_path: Path
    ) -> None:
        """It predicts as before and has no new attributes."""
        names = set(getattr(model, "__dict__", {}))
        before = serializer.predict(model, inputs).values
        serializer.save(model, tmp_path, SaveOptions())
        np.testing.assert_array_equal(serializer.predict(model, inputs).values, before)
        assert set(getattr(model, "__dict__", {})) == names

    def test_it_writes_below_its_entry_only(
        self, serializer: Serializer, model: Any, tmp_path: Path
    ) -> None:
        """The names ``config.json``, ``MLmodel`` and the like belong to the registry."""
        saved = serializer.save(model, tmp_path, SaveOptions())
        assert [each.name for each in tmp_path.iterdir()] == [saved.entry]

    def test_what_it_says_of_its_files_is_json_and_true(
        self, serializer: Serializer, model: Any, tmp_path: Path
    ) -> None:
        """The facts survive the manifest; the tier is the one that will count."""
        saved = serializer.save(model, tmp_path, SaveOptions())
        assert json.loads(json.dumps(saved.config)) == saved.config
        assert saved.tier == tier_of(saved)

    def test_loading_warns_nothing(
        self, serializer: Serializer, model: Any, tmp_path: Path
    ) -> None:
        """Whether it may be loaded was decided, and warned of, before."""
        saved = serializer.save(model, tmp_path, SaveOptions())
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            serializer.load(tmp_path, saved, LoadOptions())

    def test_an_unknown_format_is_refused(
        self, serializer: Serializer, model: Any, tmp_path: Path
    ) -> None:
        """By its name, and nothing is written."""
        with pytest.raises(SerializationError, match="no-such-format"):
            serializer.save(model, tmp_path, SaveOptions(format="no-such-format"))
        assert not list(tmp_path.iterdir())

    def test_an_absent_device_is_refused_with_those_present(
        self, serializer: Serializer, model: Any, tmp_path: Path
    ) -> None:
        """The CPU is everywhere, the hundredth graphics card nowhere."""
        saved = serializer.save(model, tmp_path, SaveOptions())
        with pytest.raises(DeviceUnavailableError, match="present: .*cpu"):
            serializer.load(tmp_path, saved, LoadOptions(device="cuda:99"))
