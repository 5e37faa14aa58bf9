"""`littoral keys`: a key that may use S3 as a bucket's policy grants, and nothing else of a running place."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from .conftest import Running

Start = Callable[..., Running]


def littoral(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "littoral", *words, "--data-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def refused(place: Running, service: str, operation: str, **arguments: str) -> str:
    with pytest.raises(ClientError) as problem:
        getattr(place.client(service), operation)(**arguments)
    return str(problem.value.response["Error"]["Code"])


def test_a_key_is_made_used_and_taken_away(start: Start, tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    assert littoral(folder, "keys", "list").stdout == "there are no further keys yet: littoral keys create\n"
    printed = littoral(folder, "keys", "create", "--user", "camera7")
    assert printed.returncode == 0, printed.stderr
    made = configparser.ConfigParser()
    made.read_string(printed.stdout)
    limited = replace(
        place, access_key=made["camera7"]["aws_access_key_id"], secret_key=made["camera7"]["aws_secret_access_key"]
    )
    assert f"{limited.access_key}  user camera7" in littoral(folder, "keys", "list").stdout
    place.client("s3").create_bucket(Bucket="pictures")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": limited.client("sts").get_caller_identity()["Arn"]},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::pictures/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    place.client("s3").put_bucket_policy(Bucket="pictures", Policy=policy)
    limited.client("s3").put_object(Bucket="pictures", Key="1.jpg", Body=b"x")
    assert refused(limited, "s3", "get_object", Bucket="pictures", Key="1.jpg") == "AccessDenied"
    assert refused(limited, "lambda", "list_functions") == "AccessDeniedException"
    assert refused(limited, "iot", "list_things") == "AccessDeniedException"
    assert refused(limited, "dynamodb", "list_tables") == "AccessDeniedException"
    (folder / "credentials").rename(folder / "own")
    (folder / "credentials").write_text(printed.stdout.replace("[camera7]", "[default]"))
    assert "403" in littoral(folder, "keys", "list").stderr  # a user makes no keys
    (folder / "own").rename(folder / "credentials")
    place.process.stop()
    place = start("place")  # keys outlive the process
    limited = replace(limited, process=place.process)
    limited.client("s3").put_object(Bucket="pictures", Key="2.jpg", Body=b"x")
    assert littoral(folder, "keys", "delete", limited.access_key).returncode == 0
    assert refused(limited, "s3", "list_buckets") == "InvalidAccessKeyId"
    gone = littoral(folder, "keys", "delete", limited.access_key)
    assert (gone.returncode, "there is no key" in gone.stderr) == (1, True)
    assert littoral(folder, "keys", "create", "--of-account", "12").returncode == 1
    own = littoral(folder, "keys", "delete", place.access_key)
    assert (own.returncode, "there is no key" in own.stderr) == (1, True)
    assert place.client("s3").list_buckets()["Buckets"]  # the place's own key is none that can be taken away
