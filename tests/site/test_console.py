"""The console page: in real Chromium beside a running place; what it computes, in Node.js; and who gets it."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.site.console import PATH, console
from tests.site.conftest import Running, needs

SCRIPT = Path(console.__code__.co_filename).with_name("page.js")


def test_a_browser_shows_connections_refusals_and_a_plot(place: Running, tmp_path: Path) -> None:
    chromium = needs("chromium")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bed3", protocol=mqtt.MQTTv5)
    done: queue.Queue[Any] = queue.Queue()
    client.on_subscribe = client.on_message = lambda *_: done.put(True)
    client.on_connect = lambda *_: client.subscribe("t", 1)
    client.connect("127.0.0.1", place.port("mqtt"))
    client.loop_start()
    done.get(timeout=60)
    for _ in range(10):
        client.publish("t", b"{}", 1)
    for _ in range(10):
        done.get(timeout=60)
    shown = subprocess.run(
        [
            chromium,
            *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=9000",
            "--dump-dom",
            place.api + PATH,
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    client.disconnect()
    client.loop_stop()
    assert "<dt>connections</dt><dd>1</dd>" in shown.stdout, shown.stdout + shown.stderr[-2000:]
    assert "<dt>messages in</dt><dd>10</dd>" in shown.stdout and "<dt>messages out</dt><dd>10</dd>" in shown.stdout
    lines = re.findall(r'<polyline id="(?:in|out)" points="([^"]*)"', shown.stdout)
    assert [len(line.split()) >= 2 for line in lines] == [True, True], lines


def test_what_the_page_computes() -> None:
    node = needs("node")
    checks = """
    const text = '# HELP x y\\nx_total{a="b \\\\"c\\\\"",d="e"} 3.0\\ny 7\\nz 1e+06\\n';
    console.log(JSON.stringify([
      parse(text), value(parse(text), 'z'), value([], 'z'), rate(4, 10, 2), rate(10, 4, 2),
      points([0, 5], 5), rows(parse(text), 'x_total', 'd', 'a'),
    ]));"""
    done = subprocess.run(
        [node, "-"], input=SCRIPT.read_text() + checks, capture_output=True, text=True, timeout=60, check=True
    )
    samples, large, none, grown, anew, line, rows = json.loads(done.stdout)
    assert samples[:2] == [
        {"name": "x_total", "labels": {"a": 'b "c"', "d": "e"}, "value": 3},
        {"name": "y", "labels": {}, "value": 7},
    ]
    assert (large, none, grown, anew) == (1_000_000, 0, 3, 2)
    assert [point.split(",")[1] for point in line.split()] == ["156", "4"] and line.split()[1].startswith("600,")
    assert rows == [["e", 'b "c"', "3"]]


def test_it_is_read_only_and_loads_nothing_from_elsewhere(place: Running) -> None:
    with urllib.request.urlopen(place.api + PATH, timeout=10) as answer:
        policy, page = answer.headers["content-security-policy"], answer.read().decode()
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == [f"{PATH}/page.css", f"{PATH}/page.js"]
    for method, path in (("POST", PATH), ("GET", f"{PATH}/__init__.py"), ("GET", f"{PATH}/../../metrics")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(place.api + path, method=method), timeout=10)
        assert refused.value.code == 404


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.9", 403), ("", 403)])
def test_it_is_for_browsers_on_this_machine(host: str, status: int) -> None:
    request = Request("GET", PATH, Headers(), BytesBody(), Peer(host, 50_000))
    assert console(request).status == status
