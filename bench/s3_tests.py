"""How objects do in Ceph's tests of the S3 API, ceph/s3-tests: boto3 and pytest.

    git clone --depth 1 https://github.com/ceph/s3-tests
    .venv/bin/pip install munch isodate httplib2 pytz lxml gevent
    .venv/bin/python bench/s3_tests.py s3-tests [--failed] [--only test_versioning]

Runs what the suite says of S3 and its headers, without what it knows AWS to fail (``fails_on_aws``). A place has one
account and one KMS key: the suite's further users are the first one here, so what is shared between users cannot
pass, and its second key is the first.
Prints passed, failed and skipped by what the test is about; with ``--failed`` the names of what failed, and why.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from suites import Case, place, show

USERS = ("s3 main", "s3 alt", "s3 tenant", "iam", "iam root", "iam alt root")
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
display_name = {name}
user_id = {name}
email = {name}@example.com
api_name = us-east-1
tenant = testx
kms_keyid = arn:aws:kms:us-east-1:000000000000:alias/aws/s3
kms_keyid2 = arn:aws:kms:us-east-1:000000000000:alias/aws/s3
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


def configured(folder: Path, url: str, key: str, secret: str) -> Path:
    where = urlsplit(url)
    users = "".join(USER.format(name=name, key=key, secret=secret) for name in USERS)
    (folder / "s3tests.conf").write_text(CONFIG.format(host=where.hostname, port=where.port) + users)
    return folder / "s3tests.conf"


def run(suite: Path, config: Path, only: str) -> Path:
    report = config.with_name("report.xml")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=line"]
    argv += ["--timeout=60", f"--junitxml={report}", "-m", "not fails_on_aws", *(("-k", only) if only else ())]
    env = {**os.environ, "S3TEST_CONF": str(config), "PYTHONPATH": str(suite), "AWS_MAX_ATTEMPTS": "1"}
    files = [f"s3tests/functional/test_{name}.py" for name in ("s3", "headers")]
    subprocess.run([*argv, *files], cwd=suite, env=env, check=False, stdout=subprocess.DEVNULL)
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
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls, key, secret = place(stack, folder / "place", kind="region")
        report = run(given.suite.resolve(), configured(folder, urls["api"], key, secret), given.only)
        show(report, group_of, failed=given.failed)


if __name__ == "__main__":
    main()
