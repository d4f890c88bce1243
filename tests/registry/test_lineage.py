"""What went into a version, and what it touches."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    UnknownNodeError,
)
from brixa_flows.registry import (
    CodeRef,
    DatasetRef,
    FeatureRef,
    ModelRegistry,
    ParentRef,
    git_state,
    lineage_context,
)
from brixa_flows.storage.local import LocalStorageNode

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

FLIGHTS = DatasetRef(name="flights", digest="sha256:aa", rows=10, uri="file:///f")
CODE = CodeRef(commit="c0ffee")


def test_a_context_tells_every_registration_inside_and_nests(
    registry: ModelRegistry, save: Any
) -> None:
    features = FeatureRef(store="feast", view="trips", version="3")
    with lineage_context(flow_run_id="flow-1", code=CODE, features=[features]):
        with lineage_context(datasets=[FLIGHTS], flow_run_id="flow-2"):
            inner = save("m", datasets=[{"name": "extra"}], run_id="run-1").lineage
        outer = save("m").lineage
    assert [each.name for each in inner.datasets] == ["flights", "extra"]
    assert (inner.flow_run_id, inner.run_id) == ("flow-2", "run-1")
    assert (inner.code, inner.features) == (CODE, (features,))
    assert (outer.flow_run_id, outer.datasets) == ("flow-1", ())
    assert save("m").lineage.flow_run_id is None
    assert "scikit-learn" in inner.environment


def test_a_thread_started_outside_does_not_see_the_context() -> None:
    from brixa_flows.registry.facts.lineage import gather_lineage

    with ThreadPoolExecutor(1) as pool, lineage_context(flow_run_id="flow-1"):
        other = pool.submit(gather_lineage).result()
        assert gather_lineage().flow_run_id == "flow-1"
    assert other.flow_run_id is None


def test_the_graph_answers_what_went_in_and_what_is_touched(
    registry: ModelRegistry, save: Any
) -> None:
    with lineage_context(code=CODE):
        save("base", datasets=[FLIGHTS])
    save("fine", parents=["base@1.0.0"], run_id="run-7")
    registry.transition("fine", "1.0.0", "production", actor="ann", reason="good")
    registry.record_evaluation("fine", "1.0.0", {"dataset_name": "march"})
    registry.storage.create(
        f"{registry.layout.deployment_prefix('web')}/config.json",
        json.dumps({"model_name": "fine", "version": "1.0.0"}).encode(),
    )
    graph = registry.lineage("fine", "1.0.0")
    up = {node.id for node in graph.upstream()}
    assert {"model:base/1.0.0", "dataset:flights@sha256:aa", "code:c0ffee"} <= up
    assert "run:run-7" in up
    down = {node.kind for node in graph.downstream()}
    assert down == {"stage", "evaluation", "deployment"}
    whole = registry.lineage()
    (data,) = whole.find("sha256:aa")
    touched = {node.id for node in whole.downstream(data.id)}
    assert {"model:base/1.0.0", "model:fine/1.0.0", "deployment:web"} <= touched
    (commit,) = whole.find("c0ffee")
    assert "deployment:web" in {node.id for node in whole.downstream(commit.id)}
    assert json.dumps(graph.to_dict())
    with pytest.raises(UnknownNodeError, match="has no 'dataset:none'"):
        whole.downstream("dataset:none")


def test_a_parent_that_is_elsewhere_is_shown_with_its_address(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    uri = "s3://other/models/far/3.0.0"
    far = {"name": "far", "version": "3.0.0", "relation": "distilled", "uri": uri}
    save("far", version="3.0.0")  # another one of that name
    save("m", parents=[far])
    graph = registry.lineage("m", "1.0.0")
    node = graph.node(f"model:far/3.0.0@{uri}")
    assert node.facts == {"state": "unknown", "uri": uri}
    assert (node.id, "distilled") in {
        (edge.source, edge.relation) for edge in graph.edges
    }
    assert "model:far/3.0.0" not in {each.id for each in graph.upstream()}
    card = storage.root / "models" / "m" / "1.0.0" / "README.md"
    assert f"| far 3.0.0 | distilled | {uri} |" in card.read_text()


def test_a_parent_that_nobody_registered_is_refused_before_anything_is_kept(
    registry: ModelRegistry, save: Any
) -> None:
    with pytest.raises(InvalidMetadataError, match=r"far@3.0.0, .*\(its models: none"):
        registry.register_model("m", "t", parents=["far@3.0.0"])
    with lineage_context(parents=[ParentRef(name="m", version="1.0.0")]):
        with pytest.raises(InvalidMetadataError, match="is m@1.0.0, which is not in"):
            registry.register_model("m", "t")  # it would be its own
    assert list(registry.storage.list("models")) == []
    save("base")
    with pytest.raises(InvalidMetadataError, match="its versions: 1.0.0"):
        registry.register_model("m", "t", parents=["base@1.0.0", "base@2.0.0"])
    registry.delete_version("base", "1.0.0", reason="old")
    assert registry.list_models() == ["base"]
    registry.register_model("m", "t", parents=["base@1.0.0"])  # it was there


def test_mermaid_survives_names_with_marks_in_them(
    registry: ModelRegistry, save: Any
) -> None:
    save("m", datasets=[{"name": 'a "b" | <c> #d', "digest": "1"}])
    text = registry.lineage("m", "1.0.0").to_mermaid()
    assert text.startswith("flowchart LR\n")
    assert "a #quot;b#quot; #124; #lt;c> #35;d" in text
    assert registry.lineage("m").to_text().startswith("model m 1.0.0")


def test_lineage_is_sealed_with_the_version(registry: ModelRegistry, save: Any) -> None:
    save("m", datasets=[FLIGHTS])
    key = f"{registry.layout.version_prefix('m', '1.0.0')}/lineage.json"
    sealed = json.loads(registry.storage.read(key)[0])
    assert sealed["datasets"][0]["digest"] == "sha256:aa"
    card = registry.storage.read(key.replace("lineage.json", "README.md"))[0].decode()
    assert "| training | flights | 10 | sha256:aa | file:///f |" in card


def test_git_state_tells_commit_cleanliness_and_origin(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
        done = subprocess.run(
            ["git", *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert git_state(tmp_path) is None
    git("init", "-q")
    assert git_state(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    git("remote", "add", "origin", "https://ann:secret@example.com/r.git")
    found = git_state(tmp_path)
    assert found == CodeRef(
        commit=git("rev-parse", "HEAD"), repository="https://example.com/r.git"
    )
    (tmp_path / "a").write_text("2")
    changed = git_state(tmp_path)
    assert changed is not None
    assert changed.dirty


def test_a_record_names_its_data_in_a_few_words(
    registry: ModelRegistry, save: Any
) -> None:
    version = save("m").version
    dataset = {"name": "held-out", "rows": 20, "columns": {"a": "double"}}
    registry.record_evaluation("m", version, {"dataset": dataset})
    registry.record_drift("m", version, {"start": "2013-03-01", "end": "2013-04-01"})
    registry.record_drift("m", version, {"data_uri": "rows.parquet"})
    text = registry.lineage("m", version).to_text()
    assert "evaluation: 1 on held-out (20 rows)\n" in text
    assert "drift: 1 of 2013-03-01 to 2013-04-01\n" in text
    assert "drift: 2 rows.parquet" in text


class ReadingNode(LocalStorageNode):
    """Remembers what was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.keys: list[str] = []

    def read(self, key: str) -> tuple[bytes, str]:
        self.keys.append(key)
        return super().read(key)


def test_the_lives_of_unrelated_versions_are_not_read(
    registry: ModelRegistry, save: Any, tracking: Any, storage: LocalStorageNode
) -> None:
    for name, parents in (("base", []), ("fine", ["base@1.0.0"]), ("other", [])):
        save(name, parents=parents)
        registry.record_evaluation(name, "1.0.0", {"dataset_name": "march"})
    node = ReadingNode(storage.root)
    graph = ModelRegistry(node, tracking=tracking).lineage("base", "1.0.0")
    judged = {each.id for each in graph.downstream() if each.kind == "evaluation"}
    assert judged == {"evaluation:base/1.0.0/1", "evaluation:fine/1.0.0/1"}
    assert not [key for key in node.keys if "other/_journal/evaluations" in key]


@pytest.mark.parametrize("damage", ["{", "[]", '{"datasets": 3}'])
def test_a_damaged_lineage_is_named_and_hides_no_other(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode, damage: str
) -> None:
    save("good", datasets=[FLIGHTS])
    save("bad", datasets=[FLIGHTS])
    file = storage.root / "models" / "bad" / "1.0.0" / "lineage.json"
    file.chmod(0o644)
    file.write_text(damage)
    with pytest.raises(
        DamagedArtifactError, match=r"bad 1.0.0: the file 'models/bad/1.0.0/lineage"
    ):
        registry.get_metadata("bad")
    graph = registry.lineage("good", "1.0.0")
    assert "dataset:flights@sha256:aa" in {each.id for each in graph.upstream()}
    assert registry.lineage().node("model:bad/1.0.0").facts["state"] == "quarantined"
