"""The AWS CLI with its defaults, and curl with presigned URLs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.objects.conftest import S3Place


def aws(place: S3Place, *words: str, check: bool = True, config: Path | None = None) -> str:
    program = Path(sys.executable).with_name("aws")
    env = {**os.environ, **place.served.env}
    if config is not None:
        env["AWS_CONFIG_FILE"] = str(config)
    done = subprocess.run([program, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == check, done.stderr
    return done.stdout if check else done.stderr


def test_the_cli_sends_an_empty_file_and_another_on_one_connection(place: S3Place, bucket: str, tmp_path: Path) -> None:
    """It awaits 100 (Continue) for an empty body, too, and takes what comes next for more of an answer without one."""
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  max_concurrent_requests = 1\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, text in (("a", ""), ("b", "small"), ("c", ""), ("d", "more")):
        (tree / name).write_text(text)
    aws(place, "s3", "cp", str(tree), f"s3://{bucket}/", "--recursive", "--no-progress", config=config)
    held = {name: place.client().get_object(Bucket=bucket, Key=name)["Body"].read() for name in "abcd"}
    assert held == {"a": b"", "b": b"small", "c": b"", "d": b"more"}


def test_the_cli_copies_syncs_lists_and_removes(place: S3Place, bucket: str, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "sub").mkdir(parents=True)
    (source / "small ü.txt").write_text("small")
    (source / "sub" / "large.bin").write_bytes(os.urandom(9 * 1024 * 1024 + 5))
    aws(place, "s3", "sync", str(source), f"s3://{bucket}/in", "--no-progress")
    listed = aws(place, "s3", "ls", f"s3://{bucket}/in/")
    assert "PRE sub/" in listed
    assert "small ü.txt" in listed
    aws(place, "s3", "cp", f"s3://{bucket}/in/sub/large.bin", f"s3://{bucket}/in/sub/copy.bin", "--no-progress")
    aws(place, "s3", "sync", f"s3://{bucket}/in", str(back), "--no-progress")
    for name in ("large.bin", "copy.bin"):
        assert (back / "sub" / name).read_bytes() == (source / "sub" / "large.bin").read_bytes()
    assert (back / "small ü.txt").read_text() == "small"
    head = json.loads(
        aws(
            place, "s3api", "head-object", "--bucket", bucket, "--key", "in/sub/large.bin", "--checksum-mode", "ENABLED"
        )
    )
    assert any(name.startswith("ChecksumCRC") for name in head)
    assert "BucketNotEmpty" in aws(place, "s3", "rb", f"s3://{bucket}", check=False)
    aws(place, "s3", "rm", f"s3://{bucket}", "--recursive", "--quiet")
    aws(place, "s3", "rb", f"s3://{bucket}")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_curl_with_presigned_urls(place: S3Place, bucket: str, tmp_path: Path, version: str) -> None:
    """ "s3", version 2, is what boto3 takes for us-east-1 unless it is told otherwise."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    data = os.urandom(100_000)
    (tmp_path / "body").write_bytes(data)
    signing: Any = place.client(signature_version=version)
    key = {"Bucket": bucket, "Key": "a b/c"}
    put = signing.generate_presigned_url("put_object", Params=key)
    get = signing.generate_presigned_url("get_object", Params=key)

    def run(*words: str) -> bytes:
        return subprocess.run([curl, "-sS", *words], capture_output=True, check=True, timeout=30).stdout

    run("--fail", "-T", str(tmp_path / "body"), put)
    assert run("--fail", get) == data
    assert run("--fail", "-r", "10-19", get) == data[10:20]
    status = ("-o", os.devnull, "-w", "%{http_code} %{size_download}")
    etag = place.client().head_object(**key)["ETag"]
    assert run(*status, "-H", f"If-None-Match: {etag}", get) == b"304 0"
    assert run(*status, "-r", "100000-", get).startswith(b"416 ")
    assert b"<Code>SignatureDoesNotMatch</Code>" in run(get + "0")
    copied = run("-X", "PUT", "-H", f"x-amz-copy-source: {bucket}/a b/c", put)
    assert b"AccessDenied" in copied or b"SignatureDoesNotMatch" in copied  # a header that was not signed
    if version == "s3":
        assert b"Request has expired" in run(signing.generate_presigned_url("get_object", Params=key, ExpiresIn=-1))
    missing = signing.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "none"})
    assert b"<Code>NoSuchKey</Code>" in run(missing)
    chunked = run("-H", "Transfer-Encoding: chunked", "-T", str(tmp_path / "body"), put)
    assert b"<Code>MissingContentLength</Code>" in chunked
