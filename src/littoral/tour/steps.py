"""The steps of the tour, in order. Each says what it does, does it through public interfaces, and checks it."""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from littoral.tour import provision, rhythm
from littoral.tour.findings import Findings, Outage, doubled, gaps, latency, points
from littoral.tour.link import Link
from littoral.tour.monitors import Monitor, Station
from littoral.tour.places import PlaceProcess
from littoral.tour.provision import CORE, WARD, Cloud
from littoral.tour.recordings import Recording
from littoral.tour.report import Curve, write

FREE_PORTS = ("--port", "0", "--edge-port", "0", "--edge-tls-port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")


@dataclass(frozen=True, slots=True)
class Ward:
    """Who lies there, and how it is played. ``shipped`` recordings are known to leave the usual limits."""

    patients: list[Recording]
    speed: float  # times real time
    low: float  # beats a minute
    high: float
    shipped: bool = True


class Tour:
    def __init__(self, console: Console, folder: Path, ward: Ward, findings: Findings, cleanup: ExitStack) -> None:
        self.say = console
        self.folder = folder
        self.ward = ward
        self.patients = ward.patients
        self.speed = ward.speed
        self.findings = findings
        self._cleanup = cleanup
        self.beds = [f"bed{number}" for number in range(1, len(self.patients) + 1)]
        self.outage: Outage | None = None

    # ------------------------------------------------------------------------------------- 1 the places

    def start_cloud(self) -> None:
        self.say.print("[bold]1[/bold]  Starting a region and an edge location")
        self.region = self._start("region", "region")
        self.cloud = Cloud(self.region.urls["api"], *credentials(self.region.folder))
        keys = {"AWS_ACCESS_KEY_ID": self.cloud.access_key, "AWS_SECRET_ACCESS_KEY": self.cloud.secret_key}
        self.edge = self._start("edge", "edge", "--upstream", self.region.urls["api"], env=keys)

    def _start(self, name: str, kind: str, *options: str, env: dict[str, str] | None = None) -> PlaceProcess:
        place = PlaceProcess(name, kind, self.folder / name, [*FREE_PORTS, *options], env or {})
        self._cleanup.callback(place.stop)
        place.wait_ready()
        self.say.print(f"     {name} ready after {place.ready_after:.1f} s: {', '.join(place.urls.values())}")
        return place

    # ------------------------------------------------------------------------------------ 2 provisioning

    def provision(self) -> None:
        self.say.print("[bold]2[/bold]  Provisioning through the public APIs with boto3")
        cloud = self.cloud
        limits = {"Variables": {"LOW": f"{self.ward.low:g}", "HIGH": f"{self.ward.high:g}"}}
        self.vitals_arn = provision.function(
            cloud, "vitals", "python3.11", "index.lambda_handler", Timeout=10, Environment=limits
        )
        rhythm_arn = provision.function(
            cloud,
            "rhythm",
            "python3.11",
            "index.lambda_handler",
            also=provision.model_files(),
            Timeout=10,
            MemorySize=512,
        )
        chart_arn = provision.function(cloud, "chart", "python3.11", "index.lambda_handler", Timeout=30)
        viewer_request = provision.function(cloud, "personalise", "nodejs20.x", "index.handler", Timeout=5)
        origin_response = provision.function(cloud, "security", "nodejs20.x", "index.handler", Timeout=5)
        provision.bucket(cloud, chart_arn)
        provision.pages(cloud, self.beds)
        provision.rule(cloud)
        provision.policies(cloud)
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700)
        self.region_ca = provision.authority(self.region.urls["api"], keys / "region-ca.pem")
        self.core_identity = provision.thing(cloud, CORE, "core", keys, self.region_ca)
        core_ca = keys / "core-ca.pem"
        self.identities = {bed: provision.thing(cloud, bed, "bed", keys, core_ca) for bed in self.beds}
        self.identities["station"] = provision.thing(cloud, "station", "station", keys, core_ca)
        self.control_room_identity = provision.thing(cloud, "control-room", "station", keys, self.region_ca)
        functions = {provision.COMPONENT: self.vitals_arn, provision.WATCH: rhythm_arn}
        self.deployment = provision.deployment(cloud, functions)
        self.distribution, self.domain = provision.distribution(cloud, viewer_request, origin_response)
        self.say.print(f"     {len(self.beds)} beds, 5 functions, bucket, rule, deployment, distribution {self.domain}")

    # ---------------------------------------------------------------------------------------- 3 the core

    def start_core(self) -> None:
        self.say.print("[bold]3[/bold]  Starting the core; it fetches its deployment over the link")
        self.link = self._cleanup.enter_context(Link("127.0.0.1", self.region.port("mqtt-tls")))
        identity = self.core_identity
        self.core = self._start(
            CORE,
            "core",
            *("--upstream", f"mqtts://127.0.0.1:{self.link.port}"),
            *("--certificate", str(identity.certificate)),
            *("--private-key", str(identity.private_key)),
            *("--ca", str(identity.ca)),
        )
        provision.wait_deployed(self.cloud, self.deployment)
        provision.authority(self.core.urls["api"], self.folder / "keys" / "core-ca.pem")
        self.core_cloud = Cloud(self.core.urls["api"], *credentials(self.core.folder))
        self._same_function_everywhere()

    def _same_function_everywhere(self) -> None:
        """The core runs the very bytes of the region, and they give the same answer."""
        stretch = self.patients[0].samples[:1000]
        question = json.dumps({"waveform": stretch, "rate": self.patients[0].rate}).encode()
        answers, digests = [], []
        for cloud in (self.cloud, self.core_cloud):
            client = cloud.client("lambda")
            digests.append(client.get_function_configuration(FunctionName=self.vitals_arn)["CodeSha256"])
            answers.append(client.invoke(FunctionName=self.vitals_arn, Payload=question)["Payload"].read())
        same = answers[0] == answers[1] and digests[0] == digests[1]
        self.findings.check("the same zip answers alike in the region and on the core", same, answers[0].decode())

    # ---------------------------------------------------------------------------------------- 4 the ward

    def replay(self) -> None:
        seconds = max(patient.seconds for patient in self.patients) / self.speed
        self.say.print(f"[bold]4[/bold]  Replaying {len(self.patients)} patients at {self.speed:g}x: {seconds:.0f} s")
        self.station = Station(WARD, self.identities["station"], self.core.port("mqtt-tls"))
        self._cleanup.callback(self.station.close)
        self.control_room = Station(WARD, self.control_room_identity, self.region.port("mqtt-tls"))
        self._cleanup.callback(self.control_room.close)
        self.monitors = [
            Monitor(WARD, self.identities[bed], patient, self.core.port("mqtt-tls"), self.speed)
            for bed, patient in zip(self.beds, self.patients, strict=True)
        ]
        self.produced: list[tuple[float, int]] = []
        for monitor in self.monitors:
            self._cleanup.callback(monitor.stop)
            monitor.start()
        self._watch(seconds)
        self._drain()

    def _watch(self, seconds: float) -> None:
        """Show progress; take the link away for the middle third."""
        began = time.time()
        cut_at, restore_at = began + seconds / 3, began + 2 * seconds / 3
        total = sum(len(patient.samples) for patient in self.patients)
        columns = (TextColumn("     {task.description}"), BarColumn(), MofNCompleteColumn())
        cut_moment = 0.0
        with Progress(*columns, console=self.say, transient=True) as progress:
            bars = {
                what: progress.add_task(what, total=total) for what in ("at the beds", "at the core", "at the region")
            }
            while any(monitor.is_alive() for monitor in self.monitors):
                now = time.time()
                if self.link.up and not cut_moment and now >= cut_at:
                    self.link.cut()
                    cut_moment = time.time()
                    progress.console.print(f"     [red]link cut[/red] at {cut_moment - began:.1f} s")
                elif not self.link.up and now >= restore_at:
                    self._restore(cut_moment)
                    progress.console.print(f"     [green]link restored[/green] at {now - began:.1f} s")
                done = sum(monitor.produced for monitor in self.monitors)
                self.produced.append((now, done))
                progress.update(bars["at the beds"], completed=done)
                progress.update(bars["at the core"], completed=points(list(self.station.heard.aggregates)))
                progress.update(bars["at the region"], completed=points(list(self.control_room.heard.aggregates)))
                self._check_places()
                time.sleep(0.05)
        if not self.link.up:
            self._restore(cut_moment)
        self.produced.append((time.time(), sum(monitor.produced for monitor in self.monitors)))

    def _check_places(self) -> None:
        for place in (self.region, self.edge, self.core):
            place.check_alive()

    def _restore(self, cut_moment: float) -> None:
        self.outage = Outage(cut_moment, time.time())
        self.behind = points(list(self.station.heard.aggregates)) - points(list(self.control_room.heard.aggregates))
        self.backlog = {key(a) for a in self.station.heard.aggregates} - {
            key(a) for a in self.control_room.heard.aggregates
        }
        self.link.restore()

    def _drain(self) -> None:
        """Wait until the station has heard every window, then until the region has it too."""
        produced = sum(monitor.produced for monitor in self.monitors)
        self.station.wait_for(lambda heard: points(heard.aggregates) >= produced, 15)
        self.control_room.wait_for(lambda heard: points(heard.aggregates) >= produced, 30)

    # ------------------------------------------------------------------------------------- 5 the figures

    def compare(self) -> None:
        self.say.print("[bold]5[/bold]  Comparing what was produced with what arrived")
        findings = self.findings
        produced = sum(monitor.produced for monitor in self.monitors)
        recorded = sum(len(patient.samples) for patient in self.patients)
        at_core, at_region = self.station.heard.aggregates, self.control_room.heard.aggregates
        stored = self._stored(len(at_core))
        findings.row("points produced", produced)
        findings.row("points at the core", points(at_core))
        findings.row("points at the region (broker / bucket)", f"{points(at_region)} / {points(stored)}")
        findings.check("every recorded point was acknowledged by the core", produced == recorded, f"{produced}")
        findings.check("the core has every point", points(at_core) == produced, points(at_core))
        findings.check("the bucket has every point, none lost", points(stored) == produced, points(stored))
        findings.check("none doubled at the region", doubled(at_region) == 0, f"{doubled(at_region)} windows twice")
        findings.check("windows follow one another without a gap", not gaps(stored), gaps(stored) or "no gap")
        for monitor in self.monitors:
            findings.check(f"{monitor.bed} replayed to its end", monitor.problem is None, monitor.problem or "yes")
        self._compare_alarms()
        self._compare_rhythm()
        self._compare_drain(at_region)

    def _compare_alarms(self) -> None:
        assert self.outage is not None
        alarms = self.station.heard.alarms
        down = [alarm for alarm in alarms if self.outage.covers(alarm["sent_at"])]
        up = [alarm for alarm in alarms if not self.outage.covers(alarm["sent_at"])]
        self.findings.row("alarms with the link up", latency(up))
        self.findings.row("alarms with the link down", latency(down))
        vitals = [
            v for of_bed in self.station.heard.vitals.values() for v in of_bed if self.outage.covers(v["sent_at"])
        ]
        self.findings.row("vitals with the link down", latency(vitals))
        self.findings.check("local vitals kept coming while the link was down", bool(vitals), f"{len(vitals)} vitals")
        if self.ward.shipped and (self.ward.low, self.ward.high) == (50.0, 100.0):
            self.findings.check("local alarms kept coming while the link was down", bool(down), f"{len(down)} alarms")

    def _compare_rhythm(self) -> None:
        assert self.outage is not None
        heard = self.station.heard
        rhythm.compare(self.findings, heard.rhythm, self.outage)
        if self.ward.shipped and len(self.beds) > rhythm.HELD_OUT:
            rhythm.compare_marks(self.findings, heard.rhythm[self.beds[rhythm.HELD_OUT]])
        rates = {bed: patient.rate for bed, patient in zip(self.beds, self.patients, strict=True)}
        doubtful = rhythm.doubtful(heard.alarms, heard.rhythm, rates, history=10.0)
        self.findings.row("alarms from seconds that the model flagged", doubtful)

    def _compare_drain(self, at_region: list[dict[str, Any]]) -> None:
        assert self.outage is not None
        during = [a for a in at_region if self.outage.start + 0.5 < a["heard_at"] < self.outage.end]
        late = [a["heard_at"] for a in at_region if key(a) in self.backlog]
        self.findings.row("link down", f"{self.outage.end - self.outage.start:.1f} s, {self.behind} points held back")
        self.findings.row("time to drain", f"{max(late) - self.outage.end:.2f} s" if late else "nothing to drain")
        self.findings.check("nothing crossed while the link was cut", not during, f"{len(during)} messages")
        self.findings.check("the spool held windows and drained them", bool(late), f"{len(late)} windows")

    def _stored(self, expected: int) -> list[dict[str, Any]]:
        """The aggregates in the bucket, once as many are there as the core produced (the rule may be a moment late)."""
        s3 = self.cloud.client("s3")
        deadline = time.monotonic() + 15
        while True:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=provision.BUCKET, Prefix="aggregates/")
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
            if len(keys) >= expected or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return [json.loads(s3.get_object(Bucket=provision.BUCKET, Key=k)["Body"].read()) for k in keys]

    # ---------------------------------------------------------------------------------------- 6 the edge

    def browse(self) -> None:
        self.say.print("[bold]6[/bold]  Fetching the ward page through the edge location")
        self._wait_for_charts()
        first, again = self._get("/"), self._get("/")
        own = self._get("/", cookie=f"bed={self.beds[0]}")
        chart = self._get(f"/charts/{self.beds[0]}.svg")
        chart_again = self._get(f"/charts/{self.beds[0]}.svg")
        check = self.findings.check
        check("the first viewer misses, the second hits", cached(first, again), f"{x_cache(first)}, {x_cache(again)}")
        check("a nurse's cookie opens her own bed", b"<h1>Bed bed1</h1>" in own[2], own[2][:80])
        check("the chart is served and cached", b"<polyline" in chart[2] and cached(chart, chart_again), chart[0])
        headers = {name: first[1].get(name) for name in ("Strict-Transport-Security", "X-Content-Type-Options")}
        check("origin-response added the security headers", all(headers.values()), headers)
        hits = [self._get("/") for _ in range(50)]
        answers = [first, again, own, chart, chart_again, *hits]
        count = sum("Hit" in x_cache(answer) for answer in answers)
        self.findings.row("edge cache", f"{count} hits of {len(answers)} requests")
        check(
            "every further request is a hit", all("Hit" in x_cache(answer) for answer in hits), f"{len(hits)} requests"
        )

    def _wait_for_charts(self) -> None:
        s3 = self.cloud.client("s3")
        missing = set(self.beds)
        deadline = time.monotonic() + 15
        while missing and time.monotonic() < deadline:
            listed = s3.list_objects_v2(Bucket=provision.BUCKET, Prefix="charts/").get("Contents", [])
            missing -= {Path(item["Key"]).stem for item in listed}
            time.sleep(0.2)
        self.findings.check("the S3 PUT drew a chart for every bed", not missing, ", ".join(sorted(missing)) or "all")

    def _get(self, path: str, cookie: str | None = None) -> tuple[int, Any, bytes]:
        """Status, headers, body: a browser's GET with the distribution's name as Host."""
        address = urlsplit(self.edge.urls["edge"])
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=20)
        try:
            headers = {"Host": self.domain, **({"Cookie": cookie} if cookie else {})}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    # ------------------------------------------------------------------------------------- 7 the functions

    def count_starts(self) -> None:
        """Cold and warm starts as the places count them, and one of each as a caller feels it."""
        for place in (self.region, self.edge, self.core):
            cold, warm = starts(place.urls["api"])
            self.findings.row(f"function starts, {place.name}", f"{cold} cold, {warm} warm")
        client = self.cloud.client("lambda")
        question = json.dumps({"waveform": self.patients[0].samples[:1000], "rate": self.patients[0].rate})
        name = f"{self.vitals_arn}"
        durations = []
        for _ in range(20):
            began = time.perf_counter()
            answer = client.invoke(FunctionName=name, Payload=question, LogType="Tail")
            durations.append((time.perf_counter() - began) * 1000)
        report = base64.b64decode(answer["LogResult"]).decode()
        self.findings.check(
            "Lambda's REPORT line is in the log tail", "REPORT RequestId" in report, report[-160:].strip()
        )
        self.findings.row("warm invoke through boto3", f"median {sorted(durations)[10]:.1f} ms")
        memory = ", ".join(f"{p.name} {p.memory_mib():.0f} MiB" for p in (self.region, self.edge, self.core))
        self.findings.row("resident memory", memory)

    # --------------------------------------------------------------------------------------- 8 the report

    def report(self, folder: Path) -> None:
        curves = [
            Curve("produced at the beds", self.produced),
            Curve("at the core", self._cumulative(self.station.heard.aggregates)),
            Curve("at the region", self._cumulative(self.control_room.heard.aggregates)),
        ]
        shown = rhythm.HELD_OUT if self.ward.shipped and len(self.beds) > rhythm.HELD_OUT else 0
        marked = rhythm.marks(shown) if self.ward.shipped else []
        pulse = rhythm.plot(self.patients[shown], self.station.heard.rhythm[self.beds[shown]], marked)
        write(folder / "index.html", self.findings, curves, self.outage, pulse)

    def _cumulative(self, aggregates: list[dict[str, Any]]) -> list[tuple[float, int]]:
        """Distinct windows' points over time, from the moment at which the monitors began."""
        total, steps, seen = 0, [(self.produced[0][0], 0)], set()
        for a in sorted(aggregates, key=lambda a: a["heard_at"]):
            if key(a) not in seen:
                seen.add(key(a))
                total += a["points"]
                steps.append((a["heard_at"], total))
        return steps

    def keep(self) -> None:
        """Wait until interrupted, with everything running."""
        self.say.print("\nEverything keeps running; Ctrl-C stops it.")
        for place in (self.region, self.edge, self.core):
            for name, url in place.urls.items():
                self.say.print(f"  {place.name:12} {name:9} {url}")
        self.say.print(f"  ward page: curl -H 'Host: {self.domain}' {self.edge.urls['edge']}/")
        threading.Event().wait()


def key(aggregate: dict[str, Any]) -> tuple[str, int]:
    return aggregate["bed"], aggregate["window"]


def x_cache(answer: tuple[int, Any, bytes]) -> str:
    return str(answer[1].get("X-Cache"))


def cached(first: tuple[int, Any, bytes], again: tuple[int, Any, bytes]) -> bool:
    return (
        first[0] == again[0] == 200
        and x_cache(first) == "Miss from cloudfront"
        and x_cache(again) == "Hit from cloudfront"
    )


def credentials(folder: Path) -> tuple[str, str]:
    """The place's access key, as ``littoral credentials`` shows it."""
    import configparser

    parsed = configparser.ConfigParser()
    parsed.read(folder / "credentials")
    return parsed["default"]["aws_access_key_id"], parsed["default"]["aws_secret_access_key"]


def starts(url: str) -> tuple[int, int]:
    """Cold and warm starts from the place's Prometheus metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = dict(re.findall(r'littoral_function_starts_total\{start="(\w+)"\} (\d+)', text))
    return int(found.get("cold", 0)), int(found.get("warm", 0))
