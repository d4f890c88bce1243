"""Hugging Face models, with a tokenizer of five words and no network."""

from __future__ import annotations

import copy
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    pipeline,
)
from transformers.utils import logging as transformers_logging

from brixa_flows.errors import (
    DatasetError,
    DeviceUnavailableError,
    InsecureSerializationWarning,
    SerializationError,
    UntrustedArtifactError,
)
from brixa_flows.serializers import (
    LoadOptions,
    SaveOptions,
    check_trust,
    detect_framework,
    save_model_files,
)
from brixa_flows.serializers.lost import LostAttributeWarning
from brixa_flows.serializers.transformers import TransformersSerializer
from brixa_flows.testing.fresh_process import shared_process

WORDS = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "good", "bad", "film"])}
TEXTS = ["good film", "bad", "film"]
HUGGING_FACE = TransformersSerializer()


def make_classifier(**changes):
    """DistilBERT in miniature."""
    torch.manual_seed(0)
    labels = changes.pop("labels", ("negative", "positive"))
    config = DistilBertConfig(
        vocab_size=len(WORDS),
        dim=8,
        hidden_dim=16,
        n_layers=1,
        n_heads=2,
        max_position_embeddings=16,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        **changes,
    )
    return DistilBertForSequenceClassification(config)


def make_generator(cls=GPT2LMHeadModel):
    """GPT-2 in miniature; its head and its embedding are tied."""
    config = GPT2Config(
        vocab_size=len(WORDS),
        n_embd=8,
        n_layer=1,
        n_head=2,
        n_positions=16,
        bos_token_id=0,
        eos_token_id=0,
    )
    return cls(config)


@pytest.fixture(scope="module")
def tokenizer():
    """One word, one token."""
    words = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    )


@pytest.fixture(scope="module")
def classifier():
    return make_classifier()


def test_a_fresh_process_predicts_texts_with_no_network(
    tmp_path, save, classifier, tokenizer
):
    assert detect_framework(classifier) == "pytorch"
    manifest = save(classifier, tmp_path / "v", tokenizer=tokenizer)
    assert (manifest.saved.entry, manifest.saved.tier) == ("model", "data")
    assert "model/model.safetensors" in manifest.files
    answer = shared_process("loading").predict(tmp_path / "v", TEXTS, tmp_path)
    ids = torch.tensor([[2, 4], [3, 0], [4, 0]])
    with torch.inference_mode():
        logits = classifier.eval()(ids, attention_mask=(ids != 0).long()).logits
    np.testing.assert_allclose(answer.scores, logits.softmax(-1), rtol=1e-5)


def test_a_classifier_answers_with_its_labels(
    tmp_path, save, load, classifier, tokenizer
):
    save(classifier, tmp_path, tokenizer=tokenizer)
    model = load(tmp_path)
    answer = HUGGING_FACE.predict(model, TEXTS)
    assert answer.classes == ("negative", "positive")
    best = np.asarray(answer.classes)[answer.scores.argmax(axis=1)]
    np.testing.assert_array_equal(answer.values, best)
    np.testing.assert_allclose(answer.scores.sum(axis=1), 1)
    table = pd.DataFrame({"text": TEXTS, "stars": [5, 1, 3]})
    np.testing.assert_array_equal(
        HUGGING_FACE.predict(model, table).scores, answer.scores
    )


def test_tokenizer_and_generation_config_come_back_and_are_saved_again(
    tmp_path, save, load, tokenizer
):
    wanted = GenerationConfig(max_new_tokens=3)
    save(
        make_generator(),
        tmp_path / "first",
        tokenizer=tokenizer,
        generation_config=wanted,
    )
    save(load(tmp_path / "first"), tmp_path / "second")
    model = load(tmp_path / "second")
    assert model.brixa_tokenizer("good film")["input_ids"] == [2, 4]
    assert model.generation_config.max_new_tokens == 3
    assert model.lm_head.weight is model.transformer.wte.weight


def test_it_loads_as_a_pipeline(tmp_path, save, load, classifier, tokenizer):
    save(classifier, tmp_path / "v", tokenizer=tokenizer)
    pipeline = load(tmp_path / "v", as_pipeline=True, device="cpu")
    assert pipeline.task == "text-classification"
    expected = HUGGING_FACE.predict(load(tmp_path / "v"), ["good film"])
    (answer,) = pipeline(["good film"])
    assert answer["label"] == expected.values[0]
    assert answer["score"] == pytest.approx(expected.scores.max(), rel=1e-4)
    save(make_generator(GPT2Model), tmp_path / "bare")
    with pytest.raises(SerializationError, match="no pipeline is known for GPT2Model"):
        load(tmp_path / "bare", as_pipeline=True)
    save(classifier, tmp_path / "alone")
    with pytest.raises(SerializationError, match="pipeline.*Save it with tokenizer="):
        load(tmp_path / "alone", as_pipeline=True)


def test_a_pipeline_object_is_told_how_it_becomes_data(tmp_path, classifier, tokenizer):
    made = pipeline("text-classification", model=classifier, tokenizer=tokenizer)
    with pytest.warns(InsecureSerializationWarning, match="save its model with token"):
        save_model_files(made, tmp_path)


def test_an_attribute_that_is_not_saved_is_told(tmp_path, save, load):
    model = make_classifier()
    model.threshold, model.labels_of = 0.7, {"a": 1}
    with pytest.warns(LostAttributeWarning, match="without.*threshold, labels_of"):
        save(model, tmp_path / "v")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LostAttributeWarning)
        loaded = load(tmp_path / "v")
        save(loaded.train().half(), tmp_path / "again")
    assert not hasattr(loaded, "threshold")


def test_an_attribute_of_a_tokenizer_that_is_not_saved_is_told(
    tokenizer, tmp_path, save, load
):
    model, tokenizer = make_classifier(), copy.deepcopy(tokenizer)
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"
    tokenizer.init_kwargs["language"] = "en"
    with warnings.catch_warnings():
        warnings.simplefilter("error", LostAttributeWarning)
        save(model, tmp_path / "kept", tokenizer=tokenizer)
    loaded = load(tmp_path / "kept").brixa_tokenizer
    assert (loaded.padding_side, loaded.init_kwargs["language"]) == ("left", "en")
    tokenizer.stop_words = {"the"}
    with pytest.warns(
        LostAttributeWarning, match="attributes stop_words; keep them in"
    ):
        save(model, tmp_path / "lost", tokenizer=tokenizer)
    assert not hasattr(load(tmp_path / "lost").brixa_tokenizer, "stop_words")


@pytest.mark.parametrize(
    ("changes", "values_ndim", "has_scores"),
    [
        ({"labels": ("price",), "problem_type": "regression"}, 1, False),
        ({"problem_type": "multi_label_classification"}, 2, True),
    ],
)
def test_other_problems_than_one_label_a_text(changes, values_ndim, has_scores):
    answer = HUGGING_FACE.predict(
        make_classifier(**changes), {"input_ids": np.array([[2, 4], [3, 4]])}
    )
    assert answer.values.ndim == values_ndim
    assert (answer.scores is not None) == has_scores


def test_texts_without_a_tokenizer_and_wrong_inputs_are_a_dataset_error(classifier):
    with pytest.raises(DatasetError, match="none was saved with it"):
        HUGGING_FACE.predict(classifier, TEXTS)
    with pytest.raises(DatasetError, match="refused the inputs"):
        HUGGING_FACE.predict(classifier, {"no_such_input": np.ones((1, 2))})


def test_device_and_dtype_are_those_asked_for(tmp_path, save, load, classifier):
    save(classifier, tmp_path)
    assert load(tmp_path, device="cpu", dtype="bfloat16").dtype is torch.bfloat16
    with pytest.raises(DeviceUnavailableError, match="present"):
        load(tmp_path, device="cuda:9")


@pytest.mark.parametrize("name", ["pipeline", "AutoModel", "NoSuchModel"])
def test_only_model_classes_of_transformers_are_loaded(
    name, tmp_path, save, classifier
):
    saved = save(classifier, tmp_path).saved
    with pytest.raises(SerializationError, match=f"'{name}' is no model class"):
        HUGGING_FACE.load(
            tmp_path, replace(saved, config={"class": name}), LoadOptions()
        )


class OwnModel(GPT2LMHeadModel):
    """A class that transformers does not have, built from its config."""


class Scaled(GPT2LMHeadModel):
    """Has an argument that its config does not know."""

    def __init__(self, config, scale=1.0):
        super().__init__(config)
        self.scale = scale


def test_a_class_of_ones_own_is_data_that_the_trust_policy_judges(
    tmp_path, save, load, tokenizer
):
    manifest = save(make_generator(OwnModel), tmp_path, tokenizer=tokenizer)
    saved = manifest.saved
    assert (saved.serializer, saved.tier) == ("transformers", "data")
    assert saved.config["classes"] == [f"{__name__}:OwnModel"]
    with warnings.catch_warnings(), pytest.raises(UntrustedArtifactError):
        check_trust(manifest, recorded_digest=None)
    assert type(load(tmp_path)) is OwnModel
    assert load(tmp_path, as_pipeline=True).task == "text-generation"
    unlisted = replace(saved, config=saved.config | {"classes": []})
    with pytest.raises(SerializationError, match="unlisted class.*OwnModel"):
        HUGGING_FACE.load(tmp_path, unlisted, LoadOptions())
    other = {"class": "subprocess:Popen", "classes": ["subprocess:Popen"]}
    with pytest.raises(SerializationError, match="subprocess:Popen"):
        HUGGING_FACE.load(tmp_path, replace(saved, config=other), LoadOptions())


def _with_another_head():
    model = make_classifier()
    model.classifier = torch.nn.Linear(8, 7)
    return model


def _with_the_code_of_a_backbone():
    model = make_classifier()
    model.config.backbone_kwargs = {"trust_remote_code": True}
    return model


def _scaled():
    model = make_generator()
    return Scaled(model.config, scale=3.0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_with_another_head, "weights"),
        (_scaled, "scale"),
        (_with_the_code_of_a_backbone, "code of a repository"),
    ],
    ids=["another head", "an argument lost", "a config that asks for code"],
)
def test_what_class_and_config_do_not_give_back_is_saved_as_a_torch_module(
    make, reason, tmp_path, save, load, tokenizer
):
    model = make()
    with pytest.raises(SerializationError, match=f"tokenizer= can't be.*{reason}"):
        save(model, tmp_path / "attached", tokenizer=tokenizer)
    assert save(model, tmp_path / "v").saved.serializer == "pytorch"
    loaded = load(tmp_path / "v")
    state, again = model.state_dict(), loaded.state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert getattr(loaded, "scale", None) == getattr(model, "scale", None)


def test_a_tokenizer_that_names_a_file_elsewhere_is_not_saved(tmp_path, tokenizer):
    named = copy.deepcopy(tokenizer)
    named.init_kwargs["merges_file"] = "/etc/hostname"
    with pytest.raises(SerializationError, match="can't be saved.*'/etc/hostname'"):
        save_model_files(
            make_classifier(), tmp_path, options=SaveOptions(tokenizer=named)
        )


def test_a_small_model_draws_no_bar_and_leaves_the_setting(tmp_path, save, load, capfd):
    save(make_classifier(), tmp_path)
    load(tmp_path)
    assert "it/s" not in capfd.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()


def test_weights_go_into_shards_of_the_size_asked_for(tmp_path, classifier):
    saved = TransformersSerializer(shard_bytes=2000).save(
        classifier, tmp_path, SaveOptions()
    )
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    loaded = HUGGING_FACE.load(tmp_path, saved, LoadOptions(device="cpu"))
    state, again = classifier.state_dict(), loaded.state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_missing_weights_are_an_error_instead_of_random_numbers(tmp_path, classifier):
    saved = HUGGING_FACE.save(classifier, tmp_path, SaveOptions())
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    del weights["classifier.bias"]
    path.unlink()
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(SerializationError, match="lacks weights.*classifier.bias"):
        HUGGING_FACE.load(tmp_path, saved, LoadOptions())


def test_threads_that_load_at_once_leave_transformers_as_it_was(tmp_path):
    """from_pretrained patches its classes meanwhile, and forgot to undo that."""
    model = make_generator()
    saved = HUGGING_FACE.save(model, tmp_path, SaveOptions())
    with ThreadPoolExecutor(8) as pool:
        loads = [
            pool.submit(HUGGING_FACE.load, tmp_path, saved, LoadOptions())
            for _ in range(16)
        ]
    models = [each.result() for each in loads] + [make_generator()]
    assert all(each.lm_head.weight is each.transformer.wte.weight for each in models)


def test_an_image_processor_comes_back_in_the_pipeline(tmp_path, save, load):
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=8,
        patch_size=4,
    )
    processor = ViTImageProcessor(size={"height": 8, "width": 8})
    save(ViTForImageClassification(config), tmp_path, processor=processor)
    pipeline = load(tmp_path, as_pipeline=True, device="cpu")
    answers = pipeline(Image.new("RGB", (16, 16)))
    assert {answer["label"] for answer in answers} == {"LABEL_0", "LABEL_1"}


# 2026-11: peft 0.21 on transformers 5.23.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_saved_with_its_base_and_told_how_it_becomes_data(
    tmp_path, save, load
):
    base = make_generator()
    model = get_peft_model(
        base, LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    ).eval()
    with pytest.warns(InsecureSerializationWarning, match=r"merge_and_unload\(\)"):
        save_model_files(model, tmp_path)
    save(model, tmp_path / "adapted")
    loaded = load(tmp_path / "adapted", device="cpu")
    assert type(loaded) is type(model)
    ids = torch.tensor([[2, 4]])
    with torch.inference_mode():
        expected = model(ids).logits
        assert torch.equal(loaded(ids).logits, expected)
        merged = model.merge_and_unload()
        manifest = save(merged, tmp_path / "merged")
        assert (manifest.saved.serializer, manifest.saved.tier) == (
            "transformers",
            "data",
        )
        again = load(tmp_path / "merged", device="cpu")
        torch.testing.assert_close(again(ids).logits, expected)
