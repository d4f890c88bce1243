"""What every serializer must do, done by those that come by entry points."""

from __future__ import annotations

import pytest
from extension_cases import CASES

from brixa_flows.testing.serializers import SerializerContract


class TestExtensionFormats(SerializerContract):
    @pytest.fixture(params=CASES, ids=str)
    def case(self, request):
        return request.param

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
