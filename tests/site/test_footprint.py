"""A core loads what a core is, and no more: what takes memory on a small device is not there until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from littoral.aws import models
from littoral.site.services import API_CLASSES

LOADED = """
import sys
import littoral.cli.main, littoral.site.lifecycle, littoral.site.place, littoral.site.core
print(*sys.modules, sep="\\n")
"""


def test_a_core_loads_neither_an_edge_nor_tables_nor_what_botocore_needs_to_ask_aws() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "littoral.core.runtime" in loaded
    for other in (
        "littoral.edge",
        "littoral.tables",
        "littoral.training",
        "littoral.core.region.components",
        "littoral.models",
        "numpy",
        "onnxruntime",
        "botocore.model",
        "urllib3",
    ):
        assert other not in loaded, other
    for other in ("awscrt", "yaml", "prometheus_client", "re2", "quickjs", "rich", "littoral.site.region"):
        assert other not in loaded, other


@pytest.mark.parametrize("service", sorted(API_CLASSES))
def test_the_head_of_a_model_says_what_the_model_says(service: str) -> None:
    assert models.metadata(service) == dict(models.service_model(service).metadata)
