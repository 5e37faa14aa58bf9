"""AWS's own samples of CloudFront Functions, unchanged, through TestFunction of a place that is started for it.

    git clone https://github.com/aws-samples/amazon-cloudfront-functions
    .venv/bin/python bench/function_samples.py amazon-cloudfront-functions

Each sample is created with its runtime and key-value store, and tested with the test objects beside it (or one of ours
where it has none) and with what its page says comes of them. Prints what passed; ends with 1 where something did not.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from suites import place

Event = dict[str, Any]
SECRET = "the tide waits for nobody"


@dataclass
class Case:
    name: str
    event: Event
    holds: Callable[[Event], bool]  # of FunctionOutput


@dataclass
class Sample:
    """``keys`` is what its key-value store holds; None where it has no store."""

    code: str
    cases: list[Case]
    keys: dict[str, str] | None = None
    instead: tuple[str, str] | None = None  # the one place that its page says to fill in


def request(uri: str = "/index.html", **more: Any) -> Event:
    headers = {"host": {"value": "www.example.com"}} | more.pop("headers", {})
    made = {"method": "GET", "uri": uri, "querystring": {}, "headers": headers, "cookies": {}} | more
    context = {"eventType": "viewer-request"}
    return {"version": "1.0", "context": context, "viewer": {"ip": "192.0.2.1"}, "request": made}


def token(**claims: Any) -> str:
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).rstrip(b"=")
    return (signed + b"." + signature).decode()


def samples(folder: Path) -> Iterator[Sample]:
    def cases(directory: str, holds: dict[str, Callable[[Event], bool]]) -> list[Case]:
        return [
            Case(f"{directory}/{name}", json.loads((folder / directory / name).read_text()), check)
            for name, check in holds.items()
        ]

    def header(kind: str, name: str) -> Callable[[Event], bool]:
        return lambda made: bool(made[kind]["headers"][name]["value"])

    def uri(wanted: str) -> Callable[[Event], bool]:
        return lambda made: bool(made["request"]["uri"] == wanted)

    def status(code: int) -> Callable[[Event], bool]:
        return lambda made: bool(made["response"]["statusCode"] == code)

    def origin(wanted: str) -> Callable[[Event], bool]:
        return lambda made: bool(made["request"]["headers"]["origin"]["value"] == wanted)

    name = "add-cache-control-header"
    yield Sample(f"{name}/index.js", cases(name, {"test-event.json": header("response", "cache-control")}))
    name, allowed = "add-cors-header", header("response", "access-control-allow-origin")
    files = {f"test-objects/{each}.json": allowed for each in ("cors-header", "no-cors-header")}
    yield Sample(f"{name}/index.js", cases(name, files))
    files = {
        "test-objects/origin-header.json": origin("https://originexample.com"),
        "test-objects/no-origin-header.json": origin("https://www.example.com"),
    }
    yield Sample("add-origin-header/index.js", cases("add-origin-header", files))
    name = "add-security-headers"
    yield Sample(f"{name}/index.js", cases(name, {"test-event.json": header("response", "content-security-policy")}))
    name = "add-true-client-ip-header"
    yield Sample(f"{name}/index.js", cases(name, {"test-event.json": header("request", "true-client-ip")}))
    name, weights = "kvs-conditional-read", {"latest": '{"a_weightage": 1, "a_url": "v1", "b_url": "v2"}'}
    asked = request("/latest/a")
    code = f"{name}/ABUriMappingFunction.js"
    yield Sample(code, [Case(f"{name} (store not filled in)", asked, uri("/latest/a"))], weights)
    yield Sample(code, [Case(f"{name} (store filled in)", asked, uri("/v1/a"))], weights, ("KVS_ID", "STORE"))
    name = "kvs-jwt-verify"
    # the token of valid-jwt.json ran out in May 2024, and is signed with a key that the samples do not say
    refused = ("expired-jwt", "invalid-jwt", "invalid-nbe-jwt", "missing-jwt", "valid-jwt")
    jwt = cases(name, {f"test-objects/{each}.json": status(401) for each in refused})
    for title, good, claims in (
        ("good", True, {"nbf": 1, "exp": time.time() + 3600}),
        ("run out", False, {"nbf": 1, "exp": time.time() - 3600}),
    ):
        event = request(querystring={"jwt": {"value": token(**claims)}, "test": {"value": "a"}})

        def gone(made: Event) -> bool:
            return list(made["request"]["querystring"]) == ["test"]

        jwt.append(Case(f"{name} (a {title} token)", event, gone if good else status(401)))
    yield Sample(f"{name}/verify-jwt.js", jwt, {"jwt.secret": SECRET})
    name = "kvs-key-value-pairs"
    pairs = [Case(f"{name} (found)", request("/old/a"), uri("/new/a")), Case(name, request("/x/a"), uri("/x/a"))]
    yield Sample(f"{name}/{name}.js", pairs, {"old": "new"})
    several = {"value": "2", "multiValue": [{"value": "2"}, {"value": "1"}]}
    event = request(querystring={"b": {"value": "x"}, "a": several})

    def sorted_(made: Event) -> bool:
        return bool(made["request"]["querystring"] == "a=1&a=2&b=x")

    name = "normalize-query-string-parameters"
    yield Sample(f"{name}/normalize-query-string.js", [Case(name, event, sorted_)])
    files = {"test-objects/country-de.json": status(302), "test-objects/country-not-de.json": uri("/index.html")}
    yield Sample("redirect-based-on-country/index.js", cases("redirect-based-on-country", files))
    event = request(headers={"cloudfront-viewer-country": {"value": "JP"}})
    name = "select-origin-based-on-country"
    yield Sample(f"{name}/index.js", [Case(name, event, uri("/index.html"))])
    files = {
        "test-objects/file-name-and-extension.json": lambda made: made["request"]["uri"].count(".") == 1,
        "test-objects/file-name-no-extension.json": uri("/blog/index.html"),
        "test-objects/no-file-name.json": lambda made: made["request"]["uri"].endswith("/index.html"),
    }
    yield Sample("url-rewrite-single-page-apps/index.js", cases("url-rewrite-single-page-apps", files))


def store(api: str, options: dict[str, Any], cloudfront: Any, name: str, keys: dict[str, str]) -> str:
    made = cloudfront.create_key_value_store(Name=name)["KeyValueStore"]
    client = boto3.client("cloudfront-keyvaluestore", config=Config(proxies={"http": api}), **options)
    tag = client.describe_key_value_store(KvsARN=made["ARN"])["ETag"]
    puts = [{"Key": key, "Value": value} for key, value in keys.items()]
    client.update_keys(KvsARN=made["ARN"], IfMatch=tag, Puts=puts)
    return str(made["ARN"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of aws-samples/amazon-cloudfront-functions")
    folder = parser.parse_args().checkout
    passed = total = 0
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls, key, secret = place(stack, data / "place")
        options = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        options["endpoint_url"] = urls["api"]
        cloudfront = boto3.client("cloudfront", **options)
        for number, sample in enumerate(samples(folder)):
            code = (folder / sample.code).read_text()
            config: dict[str, Any] = {"Comment": "", "Runtime": "cloudfront-js-2.0"}
            if sample.keys is not None:
                arn = store(urls["api"], options, cloudfront, f"sample{number}", sample.keys)
                config["KeyValueStoreAssociations"] = {"Quantity": 1, "Items": [{"KeyValueStoreARN": arn}]}
                if sample.instead is not None:
                    code = code.replace(sample.instead[0], arn.rpartition("/")[2])
            made = cloudfront.create_function(Name=f"s{number}", FunctionConfig=config, FunctionCode=code.encode())
            for case in sample.cases:
                event = json.dumps(case.event).encode()
                tested = cloudfront.test_function(Name=f"s{number}", IfMatch=made["ETag"], EventObject=event)
                result = tested["TestResult"]
                good = not result["FunctionErrorMessage"] and case.holds(json.loads(result["FunctionOutput"]))
                passed, total = passed + good, total + 1
                word = "pass" if good else f"FAIL {result['FunctionErrorMessage']} {result['FunctionOutput']}"
                print(f"{word:<5} {case.name} ({result['ComputeUtilization']} %)", flush=True)
    print(f"{passed} of {total}")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
