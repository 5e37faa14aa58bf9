"""The scrub of a place at work: `littoral objects scrub`, the metrics, and what a client sees."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from .conftest import Running


def scrub(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "littoral", "objects", "scrub", "--now", "--data-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_flipped_bit_is_told_of_and_not_given_out(start: Callable[..., Running], tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    s3 = place.client("s3")
    s3.create_bucket(Bucket="scrubbed")
    data = os.urandom(2_000_000)
    s3.put_object(Bucket="scrubbed", Key="large", Body=data)
    assert scrub(folder).returncode == 0
    assert s3.get_object(Bucket="scrubbed", Key="large")["Body"].read() == data
    (file,) = (folder / "store" / "blobs" / "objects").iterdir()
    with file.open("r+b") as blob:
        blob.seek(1_500_000)
        blob.write(bytes([data[1_500_000] ^ 1]))
    told = scrub(folder)
    assert (told.returncode, told.stderr.count("damaged: ")) == (1, 1)
    with pytest.raises(ClientError, match="stored bytes of the object are damaged") as refused:
        s3.get_object(Bucket="scrubbed", Key="large")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    with urllib.request.urlopen(f"{place.api}/metrics", timeout=10) as answer:
        assert "littoral_objects_scrub_damaged 1.0" in answer.read().decode()
    s3.put_object(Bucket="scrubbed", Key="large", Body=data)
    assert scrub(folder).returncode == 0
