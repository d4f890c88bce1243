"""Logs models to MLflow as people's training scripts do, one a flavor.

``python logging_script.py TRACKING_URI FLAVOR...`` in a folder of its own; prints
``LOGGED {flavor: [model uri, inputs, predictions]}``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

ROWS = pd.DataFrame(
    {"width": [0.5, -1.0, 2.0, -0.25, 1.5, -2.0], "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
)
LABELS = np.array([1, 0, 1, 0, 1, 0])
SIGNED = infer_signature(ROWS, LABELS)
KEPT = {"pip_requirements": ["numpy"]}

TEXTS = ["good film", "bad film"]
SHOUTING = """
import mlflow

class Shouting(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str], params=None) -> list[str]:
        return [text.upper() for text in model_input]

mlflow.models.set_model(Shouting())
"""
HELPER = "FACTOR = 10\ndef scaled(values, by):\n    return [v * by * FACTOR for v in values]\n"


def sklearn() -> Any:
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog(log_datasets=True)
    return LogisticRegression().fit(ROWS, LABELS).predict(ROWS)


def xgboost() -> Any:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=2).fit(ROWS, LABELS)
    mlflow.xgboost.log_model(model, name="model", signature=SIGNED, **KEPT)
    return model.predict(ROWS)


def lightgbm() -> Any:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=2, min_child_samples=1, verbose=-1)
    model.fit(ROWS, LABELS.astype(float))
    trusted = ["collections.OrderedDict", "lightgbm.basic.Booster"]
    trusted.append("lightgbm.sklearn.LGBMRegressor")
    given = {"skops_trusted_types": trusted, "signature": SIGNED, **KEPT}
    mlflow.lightgbm.log_model(model, name="model", **given)
    return model.predict(ROWS)


def statsmodels() -> Any:
    import statsmodels.api as models

    fitted = models.OLS(LABELS.astype(float), ROWS).fit()
    mlflow.statsmodels.log_model(fitted, name="model", **KEPT)
    return fitted.predict(ROWS)


def onnx() -> Any:
    from onnx import TensorProto, checker, helper

    numbers = TensorProto.DOUBLE
    twice = helper.make_node("Add", ["rows", "rows"], ["twice"])
    graph = helper.make_graph(
        [twice],
        "doubler",
        [helper.make_tensor_value_info("rows", numbers, [None, 2])],
        [helper.make_tensor_value_info("twice", numbers, [None, 2])],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    checker.check_model(model)
    mlflow.onnx.log_model(model, name="model", input_example=ROWS.to_numpy(), **KEPT)
    return 2 * ROWS.to_numpy()


def pytorch() -> Any:
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()).double()
    rows = ROWS.to_numpy()
    answers = net(torch.tensor(rows)).detach().numpy()
    signature = infer_signature(rows, answers)
    given = {"signature": signature, "input_example": rows, **KEPT}
    mlflow.pytorch.log_model(net, name="model", **given)
    return answers


def keras() -> Any:
    import keras

    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    rows = ROWS.to_numpy().astype("float32")
    answers = net.predict(rows, verbose=0)
    signature = infer_signature(rows, answers)
    mlflow.keras.log_model(net, name="model", signature=signature, **KEPT)
    return answers


def transformers() -> Any:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        PreTrainedTokenizerFast,
        pipeline,
    )

    words = {
        word: i for i, word in enumerate(["[PAD]", "[UNK]", "good", "bad", "film"])
    }
    splitting = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    splitting.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=splitting, unk_token="[UNK]", pad_token="[PAD]"
    )
    torch.manual_seed(0)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = BertConfig(vocab_size=len(words), intermediate_size=8, **small)
    # A new model is in training: with dropout it would answer differently each time.
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():  # each text gets a label of its own, by far
        given = tokenizer(TEXTS, return_tensors="pt", return_token_type_ids=False)
        good, bad = model.bert(**given).pooler_output
        apart = (good - bad) / (good - bad).square().sum()
        model.classifier.weight.copy_(torch.stack([apart, -apart]))
        model.classifier.bias.copy_(-model.classifier.weight @ (good + bad) / 2)
    judge = pipeline("text-classification", model=model, tokenizer=tokenizer)
    mlflow.transformers.log_model(judge, name="model", input_example=TEXTS, **KEPT)
    answers = judge(TEXTS)
    assert all(each["score"] > 0.7 for each in answers), answers
    return [each["label"] for each in answers]


def from_code() -> Any:
    """A model whose code is a file, not a pickle."""
    Path("shouting.py").write_text(SHOUTING)
    mlflow.pyfunc.log_model(
        name="model", python_model="shouting.py", input_example=TEXTS, **KEPT
    )
    return [text.upper() for text in TEXTS]


def custom() -> Any:
    class Custom(mlflow.pyfunc.PythonModel):
        """Has code of its own, a file and a setting: only its whole directory will do."""

        def load_context(self, context: Any) -> None:
            self.offset = float(Path(context.artifacts["offset"]).read_text())
            self.by = context.model_config["by"]

        # MLflow would take type hints for a signature.
        def predict(self, context, model_input, params=None):
            from rescaling import scaled

            by = (params or {}).get("by", 0) or self.by
            return [
                self.offset + each for each in scaled(list(model_input["width"]), by)
            ]

    return Custom()


def pyfunc() -> Any:
    Path("rescaling.py").write_text(HELPER)
    Path("offset.txt").write_text("0.5")
    answers = (ROWS["width"] * 30 + 0.5).tolist()
    mlflow.pyfunc.log_model(
        name="model",
        python_model=custom(),
        code_paths=["rescaling.py"],
        artifacts={"offset": "offset.txt"},
        model_config={"by": 3},
        signature=infer_signature(ROWS, answers, params={"by": 0}),
        pip_requirements=["numpy==2.0.0", "mlflow"],
    )
    return answers


def unsigned() -> Any:
    """A model of which nothing is said: no signature, no example."""
    Path("rescaling.py").write_text(HELPER)
    Path("offset.txt").write_text("0.5")
    mlflow.pyfunc.log_model(
        name="model",
        python_model=custom(),
        code_paths=["rescaling.py"],
        artifacts={"offset": "offset.txt"},
        model_config={"by": 3},
        **KEPT,
    )
    return (ROWS["width"] * 30 + 0.5).tolist()


FLAVORS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        sklearn,
        xgboost,
        lightgbm,
        statsmodels,
        onnx,
        pytorch,
        keras,
        transformers,
        from_code,
        pyfunc,
        unsigned,
    )
}


def main() -> None:
    uri, *flavors = sys.argv[1:]
    mlflow.set_tracking_uri(uri)
    place = None if uri.startswith("http") else (Path.cwd() / "runs").as_uri()
    experiment = mlflow.create_experiment("logged", place)
    logged = {}
    for flavor in flavors:
        with mlflow.start_run(experiment_id=experiment) as run:
            answers = np.asarray(FLAVORS[flavor]()).tolist()
        logged[flavor] = [f"runs:/{run.info.run_id}/model", answers]
    print("LOGGED", json.dumps(logged), flush=True)


if __name__ == "__main__":
    # A class of __main__ goes by value, as one of a notebook does.
    main()
