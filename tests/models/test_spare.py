"""A region keeps a process ready for the next model only once it has one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.models import nets


def workers() -> int:
    """Models' processes that this one has begun."""
    found = 0
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline")
            found += command.exists() and b"models.runtime.worker" in command.read_bytes()
    return found


def test_no_process_is_kept_where_there_is_no_model(s3: Any, sagemaker: Any) -> None:
    s3.put_object(Bucket="models", Key="ward.onnx", Body=nets.linear())
    assert workers() == 0
    container = {"Image": "onnx", "ModelDataUrl": "s3://models/ward.onnx"}
    sagemaker.create_model(ModelName="ward", PrimaryContainer=container)
    deadline = time.monotonic() + 30
    while workers() != 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
