"""How an edge location does in the public suite for HTTP caches, http-tests/cache-tests.

    git clone https://github.com/http-tests/cache-tests && (cd cache-tests && npm install)
    .venv/bin/python bench/cache_tests.py cache-tests [--failed]

The suite's own server is the origin and its own client the viewer; between them is ``littoral up`` with one
distribution: no TTL but what the origin states, and every header and query string that the tests vary on in the key.
Prints passed and all of the required, optimal and informative tests; with ``--failed`` the names of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3

from suites import place

ERRORS = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)  # not kept longer than the origin says
NAME = "cache.test"  # a distribution's names are domain names
LOOKUP = f"""
const dns = require('dns'), usual = dns.lookup
dns.lookup = (name, ...rest) => usual(name === '{NAME}' ? '127.0.0.1' : name, ...rest)
"""
KINDS = """
import tests from './tests/index.mjs'
import { determineTestResult, resultTypes } from './test-engine/lib/results.mjs'
import { readFileSync } from 'fs'
const results = JSON.parse(readFileSync(0))
const named = Object.fromEntries(Object.entries(resultTypes).map(([name, value]) => [value, name]))
const rows = tests.flatMap((suite) => suite.tests.map((test) => {
  const found = determineTestResult(tests, test.id, results)
  const word = Object.entries(resultTypes).find(([, value]) => value === found)[0]
  return [suite.id, test.id, test.kind || 'required', word, test.name, results[test.id]]
}))
console.log(JSON.stringify(rows))
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def origin(suite: Path, stack: ExitStack, folder: Path) -> int:
    port = free_port()
    env = {**os.environ, "npm_config_protocol": "http", "npm_config_port": str(port)}
    env["npm_config_pidfile"] = str(folder / "pid")
    argv = ["node", "test-engine/server/server.mjs"]
    server = stack.enter_context(subprocess.Popen(argv, cwd=suite, env=env, stdout=subprocess.PIPE))
    stack.callback(server.terminate)
    assert server.stdout is not None
    server.stdout.readline()
    return port


def distribution(api: str, key: str, secret: str, origin_port: int) -> None:
    options: dict[str, Any] = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    cloudfront = boto3.client("cloudfront", endpoint_url=api, region_name="us-east-1", **options)
    policy = cloudfront.create_cache_policy(
        CachePolicyConfig={
            "Name": "as-the-origin-says",
            "MinTTL": 0,
            "DefaultTTL": 0,
            "MaxTTL": 31536000,
            "ParametersInCacheKeyAndForwardedToOrigin": {
                "EnableAcceptEncodingGzip": False,
                "HeadersConfig": {"HeaderBehavior": "none"},
                "CookiesConfig": {"CookieBehavior": "none"},
                "QueryStringsConfig": {"QueryStringBehavior": "all"},
            },
        }
    )["CachePolicy"]["Id"]
    forwarded = cloudfront.create_origin_request_policy(
        OriginRequestPolicyConfig={
            "Name": "everything",
            "HeadersConfig": {"HeaderBehavior": "allViewer"},
            "CookiesConfig": {"CookieBehavior": "all"},
            "QueryStringsConfig": {"QueryStringBehavior": "all"},
        }
    )["OriginRequestPolicy"]["Id"]
    methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": "cache-tests",
            "Comment": "",
            "Enabled": True,
            "Aliases": {"Quantity": 1, "Items": [NAME]},
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "suite",
                        "DomainName": "127.0.0.1",
                        "CustomOriginConfig": {
                            "HTTPPort": origin_port,
                            "HTTPSPort": 443,
                            "OriginProtocolPolicy": "http-only",
                        },
                    }
                ],
            },
            "CustomErrorResponses": {
                "Quantity": len(ERRORS),
                "Items": [{"ErrorCode": code, "ErrorCachingMinTTL": 0} for code in ERRORS],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "suite",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": policy,
                "OriginRequestPolicyId": forwarded,
                "AllowedMethods": {
                    "Quantity": 7,
                    "Items": methods,
                    "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
                },
            },
        }
    )["Distribution"]
    while cloudfront.get_distribution(Id=made["Id"])["Distribution"]["Status"] != "Deployed":
        time.sleep(0.1)


def run(suite: Path, base: str, only: str) -> list[list[Any]]:
    env = {**os.environ, "npm_config_base": base, "npm_package_config_id": only}
    with tempfile.NamedTemporaryFile("w", suffix=".cjs") as lookup:
        lookup.write(LOOKUP)
        lookup.flush()
        argv = ["node", "--no-warnings", "--require", lookup.name, "test-engine/cli.mjs"]
        done = subprocess.run(argv, cwd=suite, env=env, capture_output=True, text=True, check=True)
    if only:
        print(done.stdout)
        return []
    argv = ["node", "--no-warnings", "--input-type=module", "-e", KINDS]
    rows = subprocess.run(argv, cwd=suite, input=done.stdout, capture_output=True, text=True, check=True).stdout
    found: list[list[Any]] = json.loads(rows)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="a checkout of http-tests/cache-tests with its packages")
    parser.add_argument("--failed", action="store_true", help="name what did not pass")
    parser.add_argument("--only", default="", metavar="ID", help="run one test and show its messages")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin_port = origin(given.suite, stack, folder)
        urls, key, secret = place(stack, folder / "place")
        distribution(urls["api"], key, secret, origin_port)
        rows = run(given.suite, urls["edge"].replace("127.0.0.1", NAME).rstrip("/"), given.only)
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for group, name, kind, word, title, result in rows:
        total[kind] += 1
        passed[kind] += word in {"pass", "yes"}
        if given.failed and word not in {"pass", "yes"} and kind != "check":
            print(f"{kind:<9} {word:<16} {group}: {name}: {title}: {result if result is not True else ''}")
    for kind in total:
        print(f"{kind}: {passed[kind]} of {total[kind]}")


if __name__ == "__main__":
    main()
