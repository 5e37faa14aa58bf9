"""An edge location: pulls its desired state from the region, keeps it on disk, serves by it, and says so.

The way of one change:
1. The long poll returns a newer revision (or the location has just started and reads the one on its disk).
2. Function versions that its triggers name and that are not here are fetched and installed; viewers' certificates too.
3. Distributions are compiled to plans; invalidations newer than the last applied one drop what they name.
4. The plans are put to use, the state is stored, the region is told. Only then is it "Deployed" here.
5. Versions that were fetched and that nothing names any more are removed.

With the region away the location goes on with what it has; it asks again with a growing pause.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from littoral.aws.sign import sign
from littoral.edge import answer
from littoral.edge.cffunctions.state import FUNCTIONS, STORES, digest, script_from, store_from
from littoral.edge.ddos.watch import Watch
from littoral.edge.feed import PREFIX
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import Plan, compile_plan
from littoral.edge.tier import RAW
from littoral.edge.upstream import Credentials
from littoral.edge.viewercertificates import ViewerCertificates
from littoral.edge.waf.deploy import Deployment
from littoral.edge.waf.guard import Firewall
from littoral.edge.waf.uplink import Uplink
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.store.sealed import KEY_BYTES, CannotOpen, Seal

log = logging.getLogger("littoral.edge")

WAIT = 20.0  # seconds of one long poll
FIRST_WORD = 3.0  # seconds that a start waits for the region before it goes on by what is on disk
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
MAX_STATE = 64 * 1024 * 1024
MAX_CODE = 300 * 1024 * 1024
VERSION = re.compile(r":function:(?P<name>[^:]+):(?P<version>\d+)$")


class Functions(Protocol):
    """Where function versions are installed: ``littoral.functions.Functions``."""

    def installed(self, name: str, version: str) -> str | None: ...

    async def install(self, name: str, version: str, config: Mapping[str, Any], archive: bytes) -> None: ...

    async def uninstall(self, name: str, version: str) -> bool: ...


class Refused(Exception):
    """The region answered, and not as hoped."""


@dataclass(slots=True)
class Region:
    """The region above, by its API's address."""

    url: str
    credentials: Credentials
    client: HttpClient
    region: str = "us-east-1"

    async def ask(
        self, method: str, path: str, *, service: str = "littoral", body: bytes = b"", wait: float = 15.0
    ) -> bytes:
        """A signed request. Raises Refused, RequestFailed, BodyError."""
        url = path if path.startswith("http") else self.url.rstrip("/") + path
        headers = Headers([])
        if body:
            headers.set("content-type", "application/json")
        if not path.startswith("http"):
            sign(
                method,
                url,
                headers,
                access_key=self.credentials.id,
                secret=self.credentials.secret,
                service=service,
                region=self.region,
                now=time.time(),
                payload=body,
            )
        response = await self.client.request(method, url, headers=headers, body=body or None, read_timeout=wait)
        async with response:
            data = await response.body.read(MAX_CODE)
        if response.status != 200:
            raise Refused(f"{method} {path.partition('?')[0]}: {response.status} {data[:200].decode(errors='replace')}")
        return data


class Contents:
    """Code of CloudFront functions and items of key-value stores, fetched by digest and kept."""

    def __init__(self, region: Region, records: Records) -> None:
        self._region = region
        self._kept = Documents(records, "content/")

    async def load(self, state: Mapping[str, Any], pipeline: Pipeline) -> None:
        """Put to use what the state names; fetch what is not here."""
        scripts = {arn: script_from(await self._get(each)) for arn, each in state.get(FUNCTIONS, {}).items()}
        stores = {name: store_from(await self._get(each)) for name, each in state.get(STORES, {}).items()}
        pipeline.functions.use(scripts, stores)

    async def clean(self, state: Mapping[str, Any]) -> None:
        """Forget what the state does not name."""
        named = {*state.get(FUNCTIONS, {}).values(), *state.get(STORES, {}).values()}
        for key, _ in await self._kept.scan():
            if key not in named:
                await self._kept.delete(key)

    async def _get(self, wanted: str) -> bytes:
        kept = await self._kept.get(wanted)
        if kept is not None:
            return str(kept["content"]).encode()
        content = await self._region.ask("GET", f"{PREFIX}content?digest={wanted}", wait=60.0)
        if digest(content) != wanted:
            raise Refused("the content does not have the digest that it was asked for by")
        await self._kept.put(wanted, {"content": content.decode()})
        return content


class EdgeLocation:
    """Open with ``start``; its pipeline serves from the first moment by what is on disk."""

    def __init__(
        self,
        name: str,
        region: Region,
        pipeline: Pipeline,
        records: Records,
        functions: Functions,
        deployment: Deployment | None = None,
        watch: Watch | None = None,
        seal: Seal | None = None,
    ) -> None:
        """``seal`` is for the private keys that are kept here; without it they last until the end of this process."""
        self.name = name
        self._region = region
        self._pipeline = pipeline
        self._stored = Documents(records, "desired/")
        self._functions = functions
        self._contents = Contents(region, records)
        seal = seal or Seal(os.urandom(KEY_BYTES))
        self.certificates = ViewerCertificates(region, region.credentials.secret, records, seal)
        self._puller: asyncio.Task[None] | None = None
        self._installed = Documents(records, "installed/")
        self._deployment = deployment or Deployment(
            Firewall(time.time, answer.request_id, exempt=RAW), locator=pipeline.locator, records=records
        )
        self._uplink = Uplink(name, self._deployment.firewall, region.ask, watch)
        pipeline.firewall = self._deployment.firewall
        self._fetched: list[str] = []  # ARNs of the versions that this location installed; others belong to the place
        self.functions: list[str] = []  # those that triggers name
        self._address = ""  # at which other locations reach this one
        self._heard = asyncio.Event()  # the region has been asked for the first time, with or without an answer
        self.revision = -1
        self.connected = False

    async def start(self) -> None:
        """Serve by the state on disk, and by what changed while this location was away, where the region can say so
        within ``FIRST_WORD``; begin to pull."""
        state = await self._stored.get("state")
        fetched = await self._installed.get("functions")
        self._fetched = fetched["arns"] if fetched is not None else []
        if state is not None:
            await self._deployment.fetch(state, self._region.ask)
            await self._contents.load(state, self._pipeline)
            certified = await self.certificates.restore(state)
            self._use(state)
            self._pipeline.tier.know(state)
            self._pipeline.tier.wanted = self._pipeline.tier.applied = state["revision"]
            self.revision, self.functions = state["revision"] if certified else -1, state["functions"]
        self._puller = asyncio.ensure_future(self._pull())
        self._uplink.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORD):
                await self._heard.wait()

    async def close(self) -> None:
        await self._uplink.close()
        if self._puller is not None:
            self._puller.cancel()
            await asyncio.gather(self._puller, return_exceptions=True)

    async def _pull(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._once()
                self.connected, pause = True, FIRST_PAUSE
            except (RequestFailed, BodyError, Refused, CannotOpen, ValueError, KeyError) as problem:
                if self.connected or pause == FIRST_PAUSE:
                    log.warning("edge location %s: the region cannot be reached: %s", self.name, problem)
                self.connected = False
                self._heard.set()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:
                log.exception("edge location %s: a change could not be applied", self.name)
                self._heard.set()
                await asyncio.sleep(LONGEST_PAUSE)

    async def _once(self) -> None:
        """One poll, and what comes of it."""
        wait = WAIT if self.connected else 0.0
        path = f"{PREFIX}desired?location={quote(self.name, safe='')}&after={self.revision}&wait={wait:g}"
        state = json.loads(await self._region.ask("GET", path, wait=wait + 15.0))
        self._pipeline.tier.know(state)
        if state["revision"] != self.revision:
            await self._apply(state)
        self._heard.set()
        await self._acknowledge()

    async def _acknowledge(self) -> None:
        said = {
            "location": self.name,
            "revision": self.revision,
            "functions": self.functions,
            "address": self._address,
            "region": self._pipeline.tier.region,
        }
        await self._region.ask("POST", PREFIX + "acknowledge", body=json.dumps(said).encode())

    async def reachable(self, address: str) -> None:
        """Other locations may ask this one there (``tier``). The region is told now, or with the next word."""
        self._address = address
        try:
            await self._acknowledge()
        except (RequestFailed, BodyError, Refused) as problem:
            log.info("edge location %s: the region does not know its address yet: %s", self.name, problem)

    async def _apply(self, state: dict[str, Any]) -> None:
        for arn in state["functions"]:
            await self._install(arn)
        await self._deployment.fetch(state, self._region.ask)
        await self._contents.load(state, self._pipeline)
        await self.certificates.load(state)
        self._pipeline.tier.wanted = state["revision"]  # what is fetched from here on is held against the new state
        self._use(state)
        for each in state["invalidations"]:
            if each["revision"] > self.revision:
                paths = [path for path in each["paths"] if not path.startswith("#")]
                tags = [path[1:].lower() for path in each["paths"] if path.startswith("#")]
                await self._pipeline.cache.invalidate(each["distribution"], paths, tags)
        self._pipeline.tier.applied = state["revision"]
        await self._stored.put("state", state)
        await self._contents.clean(state)
        await self.certificates.clean(state)
        await self._clean(set(state["functions"]))
        self.revision, self.functions = state["revision"], state["functions"]

    def _use(self, state: dict[str, Any]) -> None:
        plans: dict[str, Plan] = {}
        for each in state["distributions"]:
            plans[each["id"]] = compile_plan(each["id"], each["domain"], each["config"], state["policies"])
        guard = self._deployment.prepare(state, plans)
        self._pipeline.use(plans)
        guard()

    async def _install(self, arn: str) -> None:
        """Through the Lambda API, as anybody would: the configuration, then the code by its address."""
        found = VERSION.search(arn)
        if found is None:
            raise Refused(f"{arn} is no function version")
        name, version = found["name"], found["version"]
        path = f"/2015-03-31/functions/{quote(name)}?Qualifier={version}"
        answer = json.loads(await self._region.ask("GET", path, service="lambda"))
        config = answer["Configuration"]
        if self._functions.installed(name, version) == config["CodeSha256"]:
            return
        archive = await self._region.ask("GET", answer["Code"]["Location"], wait=60.0)
        if base64.b64encode(hashlib.sha256(archive).digest()).decode() != config["CodeSha256"]:
            raise Refused(f"{arn}: the code does not have the digest that its configuration names")
        if arn not in self._fetched:  # noted before it is there, so that nothing stays that nobody knows of
            await self._note([*self._fetched, arn])
        await self._functions.install(name, version, config, archive)

    async def _clean(self, wanted: set[str]) -> None:
        for arn in [arn for arn in self._fetched if arn not in wanted]:
            found = VERSION.search(arn)
            assert found is not None
            await self._functions.uninstall(found["name"], found["version"])
        if not wanted.issuperset(self._fetched):
            await self._note([arn for arn in self._fetched if arn in wanted])

    async def _note(self, arns: list[str]) -> None:
        await self._installed.put("functions", {"arns": arns})
        self._fetched = arns
