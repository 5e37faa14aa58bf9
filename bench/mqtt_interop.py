"""The Eclipse Paho interoperability suite against our broker: ``python bench/mqtt_interop.py FOLDER``.

FOLDER is ``interoperability`` of a copy of github.com/eclipse/paho.mqtt.testing; nothing is fetched here. Each test
runs in a process of its own with a broker of its own, some side by side, and is given up after LONGEST seconds: some
of the suite wait for what a profile rules out without an end. The broker is set up as the suite asks: nobody may
subscribe to ``test/nosubscribe``, and with the profile ``mqtt`` a keep-alive is 60 seconds at most.

Prints a line a test, and why it did not pass. What AWS's limits rule out (AWS_LIMITS) runs once more with those limits
lifted and must pass then. The exit status is 0 when nothing else fails, but for NEVER.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from littoral.net.listen import listen_stream
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import Client, OpenAccess
from littoral.things.broker import PROFILES, Broker

SUITES: Final = {"client_test": "", "client_test5": "client_test5/"}  # module: what its topics begin with
REFUSED: Final = "test/nosubscribe"
LONGEST: Final = 90  # seconds for one test; the longest that passes takes 35
TOGETHER: Final = 6  # they mostly sleep
NEVER: Final = {  # in no profile, and why
    "client_test test_dollar_topics": "publishes to $TopicA/B, the server's own; a server may refuse, says the test",
    "client_test5 test_subscribe_failure": "wants 0x80; a refused filter is answered 0x87, which says why (s. 3.9.3)",
}
AWS_LIMITS: Final = {  # what of AWS's rules rules them out; with these lifted, and no other, they pass
    "client_test testBasic": ["maximum_qos"],
    "client_test test_keepalive": ["keep_alive", "maximum_qos"],
    "client_test test_offline_message_queueing": ["maximum_qos"],
    "client_test test_overlapping_subscriptions": ["maximum_qos"],
    "client_test test_redelivery_on_reconnect": ["maximum_qos"],
    "client_test test_retained_messages": ["maximum_qos", "wildcard_gets_retained"],
    "client_test5 test_basic": ["maximum_qos"],
    "client_test5 test_dollar_topics": ["denied_publish_disconnects"],
    "client_test5 test_flow_control2": ["maximum_qos"],
    "client_test5 test_keepalive": ["keep_alive", "maximum_qos"],
    "client_test5 test_offline_message_queueing": ["maximum_qos"],
    "client_test5 test_overlapping_subscriptions": ["maximum_qos"],
    "client_test5 test_payload_format": ["maximum_qos"],
    "client_test5 test_publication_expiry": ["maximum_qos"],
    "client_test5 test_redelivery_on_reconnect": ["maximum_qos"],
    "client_test5 test_retained_message": ["maximum_qos", "wildcard_gets_retained"],
    "client_test5 test_server_keep_alive": ["keep_alive"],
    "client_test5 test_server_topic_alias": ["maximum_qos"],
    "client_test5 test_subscribe_identifiers": ["subscription_identifiers", "maximum_qos", "hash_matches_parent"],
    "client_test5 test_subscribe_options": ["maximum_qos", "wildcard_gets_retained"],
    "client_test5 test_user_properties": ["maximum_qos"],
    "client_test5 test_will_delay": ["maximum_qos"],
    "client_test5 test_will_message": ["maximum_qos", "keep_alive"],
}
RUNNER: Final = """
import importlib, json, sys, unittest
name, prefix, wanted, port = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
suite = importlib.import_module(name)
suite.host, suite.port, suite.topic_prefix = "127.0.0.1", port, prefix
suite.topics = [prefix + each for each in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")]
suite.wildtopics = [prefix + each for each in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")]
suite.nosubscribe_topics = ("test/nosubscribe",)
results = sys.stdout
sys.stdout = sys.stderr
class Told(unittest.TestResult):
    def tell(self, test, verdict, why=""):
        print(json.dumps([verdict, why]), file=results, flush=True)
    def addSuccess(self, test): self.tell(test, "passed")
    def addFailure(self, test, problem): self.tell(test, "failed", str(problem[1]))
    def addError(self, test, problem): self.tell(test, "failed", repr(problem[1]))
unittest.TestSuite([suite.Test(wanted)]).run(Told())
"""
LISTER: Final = """
import importlib, sys, unittest
print(*unittest.defaultTestLoader.getTestCaseNames(importlib.import_module(sys.argv[1]).Test))
"""


class Refusing(OpenAccess):
    def subscribe(self, who: Client, filter: str) -> bool:
        return filter != REFUSED


async def serve(folder: Path, profile: str, lifted: list[str]) -> None:
    store = await EmbeddedStore.open(folder)
    broker = Broker(access=Refusing(), streams=store.streams, records=store.records("interop"))
    await broker.start()
    asked = replace(PROFILES["mqtt"], keep_alive=(0, 60))
    rules = asked if profile == "mqtt" else replace(PROFILES["aws"], **{name: getattr(asked, name) for name in lifted})
    listener = await listen_stream(broker.protocol_factory("interop", profile=rules))
    print(listener.port, flush=True)
    await asyncio.Event().wait()


@contextmanager
def broker(profile: str, lifted: list[str]) -> Iterator[str]:
    """The port of one in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", folder, "--profile", profile]
        command += [word for name in lifted for word in ("--lift", name)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()
            process.wait(10)


def run(suites: Path, profile: str) -> Iterator[tuple[str, str, str, bool]]:
    """Test, verdict, reason, and whether that was expected."""
    listed = [
        f"{name} {test}"
        for name in SUITES
        for test in subprocess.check_output([sys.executable, "-c", LISTER, name], cwd=suites, text=True).split()
    ]
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield from pool.map(lambda test: judge(suites, profile, test), listed)


def judge(suites: Path, profile: str, test: str) -> tuple[str, str, str, bool]:
    verdict, why = run_one(suites, profile, test, [])
    if verdict == "passed":
        return test, verdict, "", True
    limits = AWS_LIMITS.get(test, []) if profile == "aws" else []
    if limits:
        again, why = run_one(suites, profile, test, limits)
        expected = again == "passed"
        return test, verdict, ", ".join(limits) + ("" if expected else f"; without them {again}, {why}"), expected
    return test, verdict, NEVER.get(test, why), test in NEVER


def run_one(suites: Path, profile: str, test: str, lifted: list[str]) -> tuple[str, str]:
    """Verdict and the first line of what an assertion said."""
    name, method = test.split()
    with broker(profile, lifted) as port:
        command = [sys.executable, "-c", RUNNER, name, SUITES[name], method, port]
        try:
            said = subprocess.run(
                command, cwd=suites, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LONGEST, check=False
            ).stdout
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""  # a thread of the suite may wait on when its test is over
            if not said:
                return "waits", f"no end in {LONGEST} s"
    if not said:
        return "failed", "the test ended without a word"
    verdict, why = json.loads(said.splitlines()[0])
    return verdict, (why.splitlines() or [""])[0][:150]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("suite", type=Path, nargs="?", help="the folder `interoperability`")
    arguments.add_argument("--profile", choices=sorted(PROFILES), action="append", help="by default both")
    arguments.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--lift", action="append", default=[], help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve is not None:
        uvloop.run(serve(chosen.serve, chosen.profile[0], chosen.lift))
        return 0
    if chosen.suite is None or not (chosen.suite / "client_test5.py").is_file():
        arguments.error("the folder holds no client_test5.py")
    bad = 0
    for profile in chosen.profile or ["mqtt", "aws"]:
        passed = ran = 0
        for test, verdict, why, expected in run(chosen.suite, profile):
            ran += 1
            passed += verdict == "passed"
            print(f"  {profile:<6}{test:<48}{verdict:<8}{'' if expected else 'UNEXPECTED '}{why}", flush=True)
            bad += not expected
        print(f"{profile}: {passed} of {ran} passed\n", flush=True)
        bad += not ran
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
