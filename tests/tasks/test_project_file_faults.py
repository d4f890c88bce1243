"""A project file that is none is a fault with a sentence, never a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from brixa_flows.errors import OrchestrationError
from brixa_flows.tasks.project_file import check_project_file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("deployments: [", "can't be read: while parsing"),
        ("- a", "no list of deployments"),
        ("deployments: {a: 1}", "no list of deployments"),
        ("deployments: [a]", "the deployment 'a', which is no mapping"),
        ("\x00", "can't be read"),
    ],
)
def test_a_file_that_is_no_project_is_told(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(OrchestrationError, match=words) as caught:
        check_project_file(tmp_path)
    assert "\n" not in str(caught.value)
