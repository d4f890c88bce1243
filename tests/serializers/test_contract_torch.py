"""What every serializer must do, done by each format of torch_cases."""

from __future__ import annotations

import pytest
from torch_cases import CASES

from brixa_flows.testing.serializers import SerializerContract


class TestTorchFormats(SerializerContract):
    @pytest.fixture(params=CASES, ids=str)
    def case(self, request):
        with request.param.in_shards():
            yield request.param

    @pytest.fixture
    def model(self, case):
        return case.model

    @pytest.fixture
    def inputs(self, case):
        return case.inputs

    @pytest.fixture
    def options(self, case):
        return case.save_options

    def test_it_is_in_the_format_of_its_row(self, case, version):
        saved = version.manifest.saved
        assert (saved.serializer, saved.format) == (case.serializer, case.format)

    def test_it_is_in_several_files_where_its_row_says_so(self, case, version):
        files = [each for each in version.paths if each.endswith(".safetensors")]
        assert (len(files) > 1) == bool(case.shard_bytes)
