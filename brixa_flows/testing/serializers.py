"""What every serializer must do, as a suite that plug-in authors run too.

::

    from brixa_flows.testing.serializers import SerializerContract

    class TestMySerializer(SerializerContract):
        @pytest.fixture
        def model(self):
            return ...              # fitted, small, of a class that can be imported

        @pytest.fixture
        def inputs(self):
            return ...              # one batch; None for tensors that predict nothing

        @pytest.fixture(params=["mine", "other"])
        def options(self, request):  # only if there is more than one format
            return SaveOptions(format=request.param)

The plug-in must be installed (its entry point found), as the suite takes every step that
a registry takes: detection, save, manifest, verification, trust, load. The fresh
process is started once for all suites of a session and has the import path of the tests,
so a model's class may live in a test module, not in ``__main__`` or in a function.
Where results differ between processes in the last digits, raise ``rtol``.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brixa_flows import disks
from brixa_flows.errors import (
    DamagedArtifactError,
    DeviceUnavailableError,
    SerializationError,
    UntrustedArtifactError,
)
from brixa_flows.serializers import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SaveOptions,
    Serializer,
    check_trust,
    detect_framework,
    hashing,
    held,
    load_model_files,
    save_model_files,
    serializer_named,
    tier_of,
    verify_manifest,
)
from brixa_flows.testing.fresh_process import answer_of, shared_process
from brixa_flows.testing.saved_version import SavedVersion

__all__ = ["SavedVersion", "SerializerContract", "assert_same_prediction"]

_THREADS = 4
_ATTACHMENTS = ("tokenizer", "processor", "generation_config")


class SerializerContract:
    """Behaviour of a :class:`~brixa_flows.serializers.base.Serializer`.

    A subclass overrides the fixtures ``model`` and ``inputs``, and ``options`` for other
    formats than the default one (with ``params``, every test runs for each).

    Attributes:
        rtol: Relative tolerance of predictions by another process.
        cpu: The options that mean the CPU.
    """

    rtol: float = 1e-6
    cpu = LoadOptions(device="cpu")

    @pytest.fixture
    def model(self) -> Any:
        """A small model that predicts."""
        raise NotImplementedError("override the fixture model")

    @pytest.fixture
    def inputs(self) -> ModelInputs:
        """One batch for it."""
        raise NotImplementedError("override the fixture inputs")

    @pytest.fixture
    def options(self) -> SaveOptions:
        """How it is saved."""
        return SaveOptions()

    @pytest.fixture(autouse=True)
    def elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Path]:
        """An empty working directory, which must be empty after each test."""
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        monkeypatch.chdir(folder)
        yield folder
        assert not os.listdir(folder), "the serializer wrote into the working directory"

    @pytest.fixture
    def version(
        self, model: Any, options: SaveOptions, tmp_path: Path, elsewhere: Path
    ) -> SavedVersion:
        """The saved model."""
        return SavedVersion.of(model, tmp_path / "version", options)

    @pytest.fixture
    def serializer(self, version: SavedVersion) -> Serializer:
        """The serializer that saved it."""
        return serializer_named(version.manifest.saved.serializer)

    def test_a_fresh_process_predicts_the_same(
        self,
        version: SavedVersion,
        serializer: Serializer,
        model: Any,
        inputs: ModelInputs,
        tmp_path: Path,
    ) -> None:
        """Values, scores and classes are those of the model that was saved."""
        fresh = shared_process("loading")
        answer = fresh.predict(version.directory, inputs, tmp_path)
        assert_same_prediction(answer, answer_of(serializer, model, inputs), self.rtol)

    def test_a_loaded_model_can_be_saved_again(
        self,
        version: SavedVersion,
        serializer: Serializer,
        model: Any,
        options: SaveOptions,
        inputs: ModelInputs,
        tmp_path: Path,
    ) -> None:
        """What comes back is as good as what went in."""
        again = SavedVersion.of(version.load(self.cpu), tmp_path / "again", options)
        assert again.manifest.saved.format == version.manifest.saved.format
        answer = answer_of(serializer, again.load(self.cpu), inputs)
        assert_same_prediction(answer, answer_of(serializer, model, inputs), self.rtol)

    def test_saving_leaves_the_model_as_it_was(
        self,
        model: Any,
        inputs: ModelInputs,
        options: SaveOptions,
        tmp_path: Path,
    ) -> None:
        """Device, dtype, mode, attributes and predictions."""
        before = _looks(model)
        version = SavedVersion.of(model, tmp_path / "version", options)
        assert _looks(model) == before
        serializer = serializer_named(version.manifest.saved.serializer)
        first = answer_of(serializer, model, inputs)
        SavedVersion.of(model, tmp_path / "again", options)
        assert_same_prediction(answer_of(serializer, model, inputs), first, rtol=0)

    def test_it_writes_below_its_entry_only(self, version: SavedVersion) -> None:
        """The names ``config.json``, ``MLmodel`` and the like belong to the registry."""
        names = {each.name for each in version.directory.iterdir()}
        assert names == {"config.json", version.manifest.saved.entry}

    def test_what_it_says_of_its_files_is_json_and_true(
        self, version: SavedVersion
    ) -> None:
        """The facts survive the manifest; the tier is the one that will count."""
        saved = version.manifest.saved
        assert json.loads(json.dumps(saved.config)) == saved.config
        assert saved.tier == tier_of(saved)

    def test_code_is_warned_of_on_save_and_on_load_and_data_never(
        self, version: SavedVersion
    ) -> None:
        """The warning names the file; without a recorded digest code is refused."""
        manifest = version.manifest
        is_code = tier_of(manifest.saved) == "code"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_trust(manifest, recorded_digest=manifest.digest)
        told = [version.warned, tuple(str(each.message) for each in caught)]
        assert [len(each) for each in told] == [is_code, is_code]
        assert all(manifest.saved.entry in text for texts in told for text in texts)
        if is_code:
            with pytest.raises(UntrustedArtifactError):
                check_trust(manifest, recorded_digest=None)

    def test_loading_warns_nothing_and_changes_no_file(
        self, version: SavedVersion
    ) -> None:
        """Whether it may be loaded was decided, and warned of, before."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            load_model_files(version.directory, version.manifest, self.cpu)
        verify_manifest(version.directory, version.manifest)

    def test_every_file_is_in_the_manifest(self, version: SavedVersion) -> None:
        """With its size and digest."""
        assert sorted(version.manifest.files) == version.paths
        for path, record in version.manifest.files.items():
            assert (version.directory / path).stat().st_size == record.size_bytes

    def test_a_tampered_file_is_refused_before_it_is_read(
        self,
        version: SavedVersion,
        serializer: Serializer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One flipped bit in any file, one byte less, one file more or less."""

        def must_not_be_called(*_: Any) -> None:
            raise AssertionError("a tampered file reached its parser")

        monkeypatch.setattr(type(serializer), "load", must_not_be_called)
        for path in version.paths:
            file = version.directory / path
            content = file.read_bytes()
            flipped = content[:-1] + bytes([content[-1] ^ 1]) if content else b"1"
            for tampered in (flipped, content + b"\0", content[: len(content) // 2]):
                if tampered != content:
                    file.write_bytes(tampered)
                    self._refused(version, path)
            file.unlink()
            self._refused(version, path)
            file.write_bytes(content)
        added = version.directory / "sitecustomize.py"
        added.write_bytes(b"")
        self._refused(version, added.name)

    def _refused(self, version: SavedVersion, path: str) -> None:
        with pytest.raises(DamagedArtifactError) as caught:
            version.load()
        assert path in str(caught.value)

    def test_a_file_that_is_swapped_after_its_check_is_refused_before_it_is_read(
        self,
        version: SavedVersion,
        serializer: Serializer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """By who can write the directory while it is loaded."""

        def must_not_be_called(*_: Any) -> None:
            raise AssertionError("a swapped file reached its parser")

        monkeypatch.setattr(type(serializer), "load", must_not_be_called)
        verify_manifest(version.directory, version.manifest)
        for path in version.paths:
            file = version.directory / path
            content = file.read_bytes()
            file.write_bytes(
                bytes([*content[:-1], content[-1] ^ 1] if content else b"1")
            )
            with pytest.raises(DamagedArtifactError) as caught:
                load_model_files(version.directory, version.manifest, self.cpu)
            assert path in str(caught.value)
            file.write_bytes(content)

    @pytest.mark.parametrize("times_are_true", [True, False])
    def test_large_files_are_read_as_small_ones_are(
        self,
        version: SavedVersion,
        serializer: Serializer,
        model: Any,
        inputs: ModelInputs,
        times_are_true: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As links to what was hashed, or from copies where these can't be checked."""
        monkeypatch.setattr(held, "COPIED_UP_TO_BYTES", 0)
        monkeypatch.setattr(hashing, "_LARGE_BYTES", 0)
        monkeypatch.setattr(disks, "SETTLED_AFTER_NANOSECONDS", 0)
        monkeypatch.setattr(hashing, "times_are_true", lambda _: times_are_true)
        loaded = version.load(self.cpu)
        expected = answer_of(serializer, model, inputs)
        assert_same_prediction(
            answer_of(serializer, loaded, inputs), expected, self.rtol
        )

    def test_an_unknown_format_is_refused(
        self, model: Any, options: SaveOptions, tmp_path: Path
    ) -> None:
        """By its name, and nothing is written."""
        wrong = replace(options, format="no-such-format")
        with pytest.raises(SerializationError, match="no-such-format"):
            save_model_files(model, tmp_path / "elsewhere", None, wrong)

    def test_an_attachment_that_has_no_use_is_refused_by_its_name(
        self, model: Any, options: SaveOptions, serializer: Serializer, tmp_path: Path
    ) -> None:
        """Tokenizers and the like are not lost in silence."""
        if getattr(serializer, "makes_pipelines", False):
            pytest.skip("it has a use for tokenizers")
        for name in _ATTACHMENTS:
            wrong = replace(options)
            object.__setattr__(wrong, name, object())
            with pytest.raises(SerializationError, match=f"{name}="):
                save_model_files(model, tmp_path / "elsewhere", None, wrong)

    def test_load_options_that_have_no_meaning_are_refused_by_their_name(
        self, version: SavedVersion, serializer: Serializer
    ) -> None:
        """A dtype that is none, a pipeline of what has none."""
        with pytest.raises(SerializationError, match="dtype='no-such-dtype'"):
            version.load(LoadOptions(dtype="no-such-dtype"))
        if not getattr(serializer, "makes_pipelines", False):
            with pytest.raises(SerializationError, match="as_pipeline"):
                version.load(LoadOptions(as_pipeline=True))

    def test_an_absent_device_is_refused_with_those_present(
        self, version: SavedVersion
    ) -> None:
        """The CPU is everywhere, the hundredth graphics card nowhere."""
        assert version.load(self.cpu) is not None
        with pytest.raises(DeviceUnavailableError, match="present: .*cpu"):
            version.load(LoadOptions(device="cuda:99"))

    def test_threads_can_load_at_once(
        self,
        version: SavedVersion,
        serializer: Serializer,
        model: Any,
        inputs: ModelInputs,
    ) -> None:
        """A serializer has no state of its own."""

        def load(_: int) -> Prediction:
            loaded = load_model_files(version.directory, version.manifest, self.cpu)
            return answer_of(serializer, loaded, inputs)

        expected = answer_of(serializer, model, inputs)
        with ThreadPoolExecutor(_THREADS) as pool:
            for answer in pool.map(load, range(_THREADS)):
                assert_same_prediction(answer, expected, self.rtol)

    def test_nothing_is_imported_to_detect_it(
        self, model: Any, serializer: Serializer
    ) -> None:
        """In a process that has a look-alike of the model, and not its library."""
        detected, modules = shared_process("detecting").detect(model)
        assert detected == detect_framework(model) == serializer.framework
        sample = next(iter(model.values())) if isinstance(model, dict) else model
        library = {each.__module__.partition(".")[0] for each in type(sample).__mro__}
        assert not (library - {"__main__", "abc", "builtins", "collections"}) & {
            *modules
        }


def assert_same_prediction(
    actual: Prediction, expected: Prediction, rtol: float
) -> None:
    """Compare values, scores and classes.

    Raises:
        AssertionError: If they differ by more than ``rtol``.
    """
    _assert_close(actual.values, expected.values, rtol)
    assert (actual.scores is None) == (expected.scores is None)
    if actual.scores is not None:
        _assert_close(actual.scores, expected.scores, rtol)
    assert actual.classes == expected.classes


def _assert_close(actual: Any, expected: Any, rtol: float) -> None:
    if rtol and np.asarray(expected).dtype.kind in "fc":
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(actual, expected)


def _looks(model: Any) -> dict[str, Any]:
    """What of a model a person would see changed: names, modes, devices, dtypes."""
    looks: dict[str, Any] = {"attributes": sorted(getattr(model, "__dict__", {}))}
    for name, module in getattr(model, "named_modules", dict)() or ():
        looks[f"module {name}"] = (module.training, sorted(vars(module)))
    for name, tensor in getattr(model, "named_parameters", dict)() or ():
        facts = (tensor.device, tensor.dtype, tensor.requires_grad, tensor.grad is None)
        looks[f"parameter {name}"] = facts
    for weight in getattr(model, "variables", ()):
        looks[f"variable {weight.name}"] = (weight.trainable, str(weight.dtype))
    for name in ("built", "compiled", "trainable"):
        looks[name] = getattr(model, name, None)
    if isinstance(model, dict):
        for key, tensor in model.items():
            looks[key] = (tensor.device, tensor.dtype, tensor.requires_grad)
    return looks
