"""The Open Inference Protocol with KServe's own client, in a process of its own: `make test` brings it into .peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.models import nets
from tests.models.clients import registered
from tests.support.served import Served

FOLDER = Path(__file__).parents[2] / ".peers" / "kserve"
# kserve/__init__.py loads all of its client of Kubernetes, and that one's: the inference client needs none of it.
KSERVE = """
import asyncio, json, sys, types
from importlib.util import find_spec

package = types.ModuleType("kserve")
package.__path__ = list(find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = package
import httpx
import numpy as np
from kserve.inference_client import InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import InferInput, InferRequest

url, key, secret, name = sys.argv[1:]


async def main():
    told = {}
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, auth=httpx.BasicAuth(key, secret)))
    told["live"] = [await client.is_server_live(url), await client.is_server_ready(url)]
    told["ready"] = await client.is_model_ready(url, name)
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    for binary in (False, True):
        given = InferInput("x", [2, 4], "FP32")
        given.set_data_from_numpy(rows, binary_data=binary)
        asked = InferRequest(name, [given], request_id="r-7")
        answer = await client.infer(url, asked, model_name=name)
        told.setdefault("answers", []).append([answer.id, answer.model_name, answer.outputs[0].as_numpy().tolist()])
    bad = InferInput("x", [2, 3], "FP32")
    bad.set_data_from_numpy(np.zeros((2, 3), np.float32), binary_data=False)
    stranger = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    for who, where, what in ((client, name, bad), (client, "nobody", given), (stranger, name, given)):
        try:
            await who.infer(url, InferRequest(where, [what]), model_name=where)
        except httpx.HTTPStatusError as problem:
            told.setdefault("refused", []).append([problem.response.status_code, str(problem)])
    for each in (client, stranger):
        await each.close()
    print(json.dumps(told))


asyncio.run(main())
"""


def test_kserve_s_client(place: Served, s3: Any, sagemaker: Any) -> None:
    if not FOLDER.is_dir():
        pytest.skip("KServe's client is not installed: make .peers/kserve/.ready")
    name = f"m-{uuid.uuid4().hex[:8]}"
    registered(s3, sagemaker, name, nets.linear(3.0))
    command = [sys.executable, "-c", KSERVE, place.url, place.access_key, place.secret_key, name]
    env = {**os.environ, "PYTHONPATH": str(FOLDER)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["live"] == [True, True] and told["ready"]
    expected = [[each * 3 + 1 for each in row] for row in ([0, 1, 2, 3], [4, 5, 6, 7])]
    assert told["answers"] == [["r-7", name, expected]] * 2
    assert [each[0] for each in told["refused"]] == [400, 404, 401] and "shape" in told["refused"][0][1]
