"""How tables do in ScyllaDB's tests of the DynamoDB API, scylladb/scylladb, test/alternator: boto3 and pytest.

    git clone --depth 1 https://github.com/scylladb/scylladb
    .venv/bin/pip install requests
    .venv/bin/python bench/dynamodb_suite.py scylladb [--failed] [--only test_query.py]

The tests are run from a copy, without the harness that starts Scylla; what they ask of it is stood in for: a fixture's
scope, a host, a reason to skip. Tests of what is Scylla's own (CQL, its metrics, its REST API) skip or are left out.
Prints passed, failed and skipped for each file; with ``--failed`` the names of what failed, and why in a line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from suites import place, show

# what only Scylla has, or is seen through CQL: tablets, metrics, vector search, service levels, logs, write isolation
SCYLLAS_OWN = (
    *("audit", "cql_rbac", "cql_schema", "metrics", "scylla", "service_levels", "streams_tablets", "system_tables"),
    *("tablets", "tracing", "vector", "logs", "write_isolation", "health", "expression_caching", "encoding"),
)
STAND_INS = {
    "conftest.py": "def dynamic_scope():\n    return 'session'\n",
    "cqlpy/conftest.py": "import pytest\n\n\n@pytest.fixture(scope='session')\ndef host():\n    return '127.0.0.1'\n",
    "cqlpy/util.py": "config_value_context = None\n",
    "pylib/connect_options.py": "def add_host_option(parser):\n    pass\n",
    "pylib/driver_utils.py": "def safe_driver_shutdown(driver):\n    pass\n",
    "pylib/skip_types.py": (
        "import pytest\n\n\ndef skip_env(reason=''):\n    pytest.skip(reason)\n\n\n"
        "def skip_bug(link='', reason=''):\n    pytest.skip(reason)\n"
    ),
}
# Scylla's users are asked for by CQL, which is not there; then the tests sign with a name that nobody has
PLUGIN = """
import os, sys, types
import boto3

KEYS = {"aws_access_key_id": os.environ["SUITE_KEY"], "aws_secret_access_key": os.environ["SUITE_SECRET"]}


class NoHostAvailable(Exception):
    pass


def no_cluster(*args, **kwargs):
    raise NoHostAvailable


cluster, auth = types.ModuleType("cassandra.cluster"), types.ModuleType("cassandra.auth")
cluster.NoHostAvailable, cluster.Cluster, cluster.ConsistencyLevel = NoHostAvailable, no_cluster, None
auth.PlainTextAuthProvider = lambda **kwargs: None
sys.modules.update({"cassandra": types.ModuleType("cassandra"), "cassandra.cluster": cluster, "cassandra.auth": auth})


def signing(method):
    def made(*args, **kwargs):
        return method(*args, **{**kwargs, **KEYS} if kwargs.get("aws_access_key_id") == "unknownuser" else kwargs)
    return made


for name in ("client", "resource"):
    setattr(boto3, name, signing(getattr(boto3, name)))
    setattr(boto3.Session, name, signing(getattr(boto3.Session, name)))


import test.alternator.util  # before whoever imports its names

test.alternator.util.is_aws = lambda dynamodb: True  # what is Scylla's own skips, and so do its settings


def pytest_configure(config):
    for mark in ("skip_env", "skip_bug"):
        config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(items):
    import pytest
    for item in items:
        if item.get_closest_marker("veryslow") is not None:
            item.add_marker(pytest.mark.skip(reason="very slow"))
        if item.module.__name__.endswith("test_ttl"):  # AWS needs half an hour for what we do in a second
            item.module.is_aws, item.module.scylla_config_read = lambda dynamodb: False, lambda *named: "0.5"
"""


def copied(suite: Path, folder: Path) -> Path:
    """The tests beside what stands in for the harness; the folder to run them in."""
    test = folder / "test"
    shutil.copytree(suite / "test" / "alternator", test / "alternator")
    for name, text in STAND_INS.items():
        (test / name).parent.mkdir(exist_ok=True)
        (test / name).write_text(text)
        (test / name).parent.joinpath("__init__.py").touch()
    (folder / "suiteplugin.py").write_text(PLUGIN)
    return folder


def run(folder: Path, url: str, env: dict[str, str], only: str) -> Path:
    report = folder / "report.xml"
    left_out = {f"test_{name}.py" for name in SCYLLAS_OWN}
    # those of compressed requests last: they leave a client that compresses to all that come after them
    files = sorted(
        (folder / "test/alternator").glob("test_*.py"), key=lambda file: ("compressed" in file.name, file.name)
    )
    tests = [f"test/alternator/{only}"] if only else [str(file) for file in files if file.name not in left_out]
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "suiteplugin", "-p", "no:randomly", "--rootdir", str(folder)]
    argv += ["--url", url.rstrip("/"), f"--junitxml={report}", "--timeout=120", "-c", os.devnull, "--tb=line"]
    subprocess.run([*argv, *tests], cwd=folder, env={**os.environ, **env, "PYTHONPATH": str(folder)}, check=False)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="a checkout of scylladb/scylladb")
    parser.add_argument("--failed", action="store_true", help="name what failed")
    parser.add_argument("--only", default="", metavar="FILE[::TEST]")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls, key, secret = place(stack, folder / "place", kind="region")
        env = {"SUITE_KEY": key, "SUITE_SECRET": secret}
        report = run(copied(given.suite, folder), urls["api"], env, given.only)
        show(report, lambda case: case.file, failed=given.failed)


if __name__ == "__main__":
    main()
