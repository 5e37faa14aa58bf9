"""The regression tests of the OWASP Core Rule Set against our firewall, in process, and against libmodsecurity.

    bench/crs_tests.py CHECKOUT [--level 4] [--oracle] [--failures] [--only 942]

CHECKOUT is a clone of github.com/coreruleset/coreruleset. Prints the share of request-side tests that pass, by file.
``--oracle`` runs the PyPI package libmodsecurity beside it (Linux x64), where it is installed.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import Source
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request

# As the rule set's own test environment sets them.
LIMITS = {
    "arg_name_length": b"100",
    "arg_length": b"400",
    "max_num_args": b"255",
    "total_arg_length": b"64000",
    "max_file_size": b"64100",
    "combined_file_sizes": b"65535",
    "crs_validate_utf8_encoding": b"1",
}


@dataclass(frozen=True)
class Case:
    name: str
    group: str
    request: Request
    body: bytes
    expected: list[int]
    unexpected: list[int]


def cases(checkout: Path, only: str) -> Iterator[Case]:
    for file in sorted((checkout / "tests/regression/tests").glob(f"REQUEST-{only}*/*.yaml")):
        document = yaml.safe_load(file.read_text())
        for test in (document or {}).get("tests") or ():
            for stage in test["stages"]:
                made = case(f"{document['rule_id']}-{test['test_id']}", file.parent.name, stage)
                if made is not None:
                    yield made


def case(name: str, group: str, stage: dict[str, Any]) -> Case | None:
    """None for a stage that says nothing of rules, or that no HTTP/1.1 listener lets through."""
    log = (stage.get("output") or {}).get("log") or {}
    expected, unexpected = log.get("expect_ids") or [], log.get("no_expect_ids") or []
    if not (expected or unexpected):
        return None
    asked = stage["input"]
    if "encoded_request" in asked:
        return raw_case(name, group, base64.b64decode(asked["encoded_request"]), expected, unexpected)
    headers = [
        (str(key).lower().encode(), str(value).encode("utf-8")) for key, value in (asked.get("headers") or {}).items()
    ]
    body = str(asked.get("data") or "").encode("utf-8")
    names = {key for key, _ in headers}
    if asked.get("autocomplete_headers", True) and body:
        if b"content-type" not in names:
            headers.append((b"content-type", b"application/x-www-form-urlencoded"))
        if b"content-length" not in names:
            headers.append((b"content-length", b"%d" % len(body)))
    target = str(asked.get("uri", "/")).encode("utf-8").decode("latin-1")
    version = str(asked.get("version", "HTTP/1.1")).removeprefix("HTTP/")
    request = Request(
        str(asked.get("method", "GET")), target, Headers(headers), BytesBody(body), Peer("192.0.2.1", 1), version
    )
    return Case(name, group, request, body, expected, unexpected)


def raw_case(name: str, group: str, raw: bytes, expected: list[int], unexpected: list[int]) -> Case | None:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) < 3:
        return None
    headers = [(key.strip().lower(), value.strip()) for key, _, value in (line.partition(b":") for line in lines)]
    version = parts[-1].decode("latin-1").removeprefix("HTTP/")
    target = b" ".join(parts[1:-1]).decode("latin-1")
    request = Request(parts[0].decode(), target, Headers(headers), BytesBody(body), Peer("192.0.2.1", 1), version)
    return Case(name, group, request, body, expected, unexpected)


def ours(checkout: Path, level: int) -> Callable[[Case], set[int]]:
    program = Program(Source.open(checkout), level, 100000, more=LIMITS)

    def run(each: Case) -> set[int]:
        return set(program.judge(View(each.request, time.time(), 0, each.body)).matched)

    return run


def oracle(
    checkout: Path, level: int, threshold: int = 100000, limits: Mapping[str, bytes] = LIMITS
) -> Callable[[Case], set[int]] | None:
    try:
        import libmodsecurity
    except ImportError:
        return None
    engine, rules = libmodsecurity.ModSecurity(), libmodsecurity.RulesSet()
    engine.set_log_callback(lambda *_: None)
    rules.load("SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n" + RECOMMENDED)
    setup = "".join(
        f'SecAction "id:{900000 + number},phase:1,pass,nolog,setvar:tx.{text}"\n'
        for number, text in enumerate(
            (
                *(f"{key}={value.decode()}" for key, value in limits.items()),
                f"blocking_paranoia_level={level}",
                f"detection_paranoia_level={level}",
                "crs_setup_version=4290",
                f"inbound_anomaly_score_threshold={threshold}",
            )
        )
    )
    rules.load(setup)
    for file in sorted((checkout / "rules").glob("REQUEST-9*.conf")):
        rules.load_from_uri(str(file))

    def run(each: Case) -> set[int]:
        transaction = libmodsecurity.Transaction(engine, rules)
        request = each.request
        transaction.process_connection("192.0.2.1", 1, "127.0.0.1", 80)
        transaction.process_uri(request.target, request.method, request.http_version)
        for key, value in request.headers.raw:
            transaction.add_request_header(key.decode("latin-1"), value.decode("latin-1"))
        transaction.process_request_headers()
        if each.body:
            transaction.append_request_body(each.body)
        transaction.process_request_body()
        return {int(message.rule_id) for message in transaction.get_rule_messages()}

    return run


RECOMMENDED = """
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"""


def passes(each: Case, found: set[int]) -> bool:
    return found.issuperset(each.expected) and found.isdisjoint(each.unexpected)


def report(name: str, run: Callable[[Case], set[int]], all_cases: list[Case], failures: bool) -> set[str]:
    good: Counter[str] = Counter()
    total: Counter[str] = Counter()
    failed = set()
    start = time.process_time()
    for each in all_cases:
        found = run(each)
        total[each.group] += 1
        if passes(each, found):
            good[each.group] += 1
        else:
            failed.add(each.name)
            if failures:
                print(f"  {each.name}: expected {each.expected}, not {each.unexpected}; found {sorted(found)}")
    seconds = time.process_time() - start
    for group in sorted(total):
        print(f"{name:14} {group:45} {good[group]:5} of {total[group]:5}")
    share = 100 * good.total() / total.total()
    print(
        f"{name:14} all: {good.total()} of {total.total()} ({share:.2f} %), {1e6 * seconds / total.total():.0f} µs each"
    )
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--level", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--failures", action="store_true")
    options = parser.parse_args()
    all_cases = list(cases(options.checkout, options.only))
    mine = report("littoral", ours(options.checkout, options.level), all_cases, options.failures)
    if options.oracle:
        other = oracle(options.checkout, options.level)
        if other is None:
            print("libmodsecurity is not installed (PyPI, Linux x64 and Python 3.11)")
        else:
            theirs = report("libmodsecurity", other, all_cases, False)
            print(f"failed by us alone: {len(mine - theirs)}, by libmodsecurity alone: {len(theirs - mine)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
