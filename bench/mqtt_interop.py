"""The Eclipse Paho interoperability suite against our broker: ``python bench/mqtt_interop.py FOLDER``.

FOLDER is ``interoperability`` of a copy of github.com/eclipse/paho.mqtt.testing; nothing is fetched here. The broker is
set up as the suite asks: nobody may subscribe to ``test/nosubscribe``, and a keep-alive is 60 seconds at most. Prints a
line a test, and what an assertion said. The exit status is 0 when the profile ``mqtt`` passes all but EXPECTED.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
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
EXPECTED: Final = {
    "client_test test_dollar_topics": "publishes to $TopicA/B, the server's own; a server may refuse, says the test",
    "client_test5 test_subscribe_failure": "wants 0x80; a refused filter is answered 0x87, which says why (s. 3.9.3)",
}
RUNNER: Final = """
import importlib, json, sys, unittest
name, prefix, port = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
suite = importlib.import_module(name)
suite.host, suite.port, suite.topic_prefix = "127.0.0.1", port, prefix
suite.topics = [prefix + each for each in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")]
suite.wildtopics = [prefix + each for each in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")]
suite.nosubscribe_topics = ("test/nosubscribe",)
results = sys.stdout
sys.stdout = sys.stderr
class Told(unittest.TestResult):
    def tell(self, test, verdict, why=""):
        print(json.dumps([test._testMethodName, verdict, why]), file=results, flush=True)
    def addSuccess(self, test): self.tell(test, "passed")
    def addFailure(self, test, problem): self.tell(test, "failed", str(problem[1]))
    def addError(self, test, problem): self.tell(test, "failed", repr(problem[1]))
unittest.defaultTestLoader.loadTestsFromModule(suite).run(Told())
"""


class Refusing(OpenAccess):
    def subscribe(self, who: Client, filter: str) -> bool:
        return filter != REFUSED


async def serve(folder: Path, profile: str) -> None:
    store = await EmbeddedStore.open(folder)
    broker = Broker(access=Refusing(), streams=store.streams, records=store.records("interop"))
    await broker.start()
    rules = replace(PROFILES["mqtt"], keep_alive=(0, 60)) if profile == "mqtt" else PROFILES["aws"]
    listener = await listen_stream(broker.protocol_factory("interop", profile=rules))
    print(listener.port, flush=True)
    await asyncio.Event().wait()


def run(suites: Path, profile: str) -> dict[str, tuple[str, str]]:
    """Verdict and reason by test."""
    found: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", folder, "--profile", profile]
        broker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert broker.stdout is not None
            port = broker.stdout.readline().strip()
            for name, prefix in SUITES.items():
                tests = [sys.executable, "-c", RUNNER, name, prefix, port]
                done = subprocess.run(
                    tests, cwd=suites, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=900, check=False
                )
                for line in done.stdout.decode().splitlines():
                    test, verdict, why = json.loads(line)
                    found[f"{name} {test}"] = (verdict, why)
        finally:
            broker.kill()
            broker.wait(10)
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("suite", type=Path, nargs="?", help="the folder `interoperability`")
    arguments.add_argument("--profile", choices=sorted(PROFILES), action="append", help="by default both")
    arguments.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve is not None:
        uvloop.run(serve(chosen.serve, chosen.profile[0]))
        return 0
    if chosen.suite is None or not (chosen.suite / "client_test5.py").is_file():
        arguments.error("the folder holds no client_test5.py")
    bad = 0
    for profile in chosen.profile or ["mqtt", "aws"]:
        found = run(chosen.suite, profile)
        passed = sum(verdict == "passed" for verdict, _ in found.values())
        print(f"\n{profile}: {passed} of {len(found)} passed")
        for test, (verdict, why) in sorted(found.items()):
            reason = EXPECTED.get(test, why.splitlines()[0] if why else "") if verdict != "passed" else ""
            print(f"  {test:<50}{verdict:<8}{reason[:150]}", flush=True)
            bad += profile == "mqtt" and verdict != "passed" and test not in EXPECTED
        bad += profile == "mqtt" and not found
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
