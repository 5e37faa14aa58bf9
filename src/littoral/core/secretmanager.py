"""aws.greengrass.SecretManager: secrets of the place above, kept here encrypted, readable with the cable out.

They are fetched when they are deployed, at every connect, when a component asks so, and every
``periodicRefreshIntervalMin`` minutes where that is configured; without a link what is here is what there is, and
nobody waits. What the deployment does not name any more is forgotten. Values are sealed with a key
of the core, and opened for a component that its ``accessControl`` allows to have them. No value is ever in a log, an
error or an exception's text.
Source: "Secret manager" and "IPC: Retrieve secret values" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from littoral.core.ipc.authorising import authorise
from littoral.core.ipc.calls import Call, Document, Fault, Handler, invalid, not_found
from littoral.core.ipc.ports import Components
from littoral.core.recipe import BadComponent
from littoral.core.region.state import everything
from littoral.core.upward import Declined, Unreachable, Upward
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents
from littoral.store.sealed import Seal

log = logging.getLogger(__name__)

NAME: Final = "aws.greengrass.SecretManager"
CURRENT: Final = "AWSCURRENT"
ARN: Final = "arn:aws:secretsmanager:"
PERIOD: Final = "periodicRefreshIntervalMin"
MOST_MINUTES: Final = 10**7


@dataclass(frozen=True, slots=True)
class Wanted:
    """One of ``cloudSecrets``: an ARN, whole or without its last part, and the stages wanted beside AWSCURRENT."""

    arn: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    wanted: tuple[Wanted, ...] = ()
    every: float | None = None  # seconds between looks at what is above


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """Raises BadComponent."""
    if unknown := configuration.keys() - {"cloudSecrets", PERIOD}:
        known = f"cloudSecrets and {PERIOD} are"
        raise BadComponent(f"{NAME}: {', '.join(sorted(unknown))} is not served by Littoral's cores; {known}")
    secrets, minutes = configuration.get("cloudSecrets", []), configuration.get(PERIOD, 0)
    if not isinstance(secrets, list):
        raise BadComponent(f"{NAME}: cloudSecrets must be a list")
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 <= minutes < MOST_MINUTES:
        raise BadComponent(f"{NAME}: {PERIOD} must be a number of minutes, 0 for never")
    return Settings(tuple(_wanted(each) for each in secrets), minutes * 60.0 or None)


def _wanted(value: Any) -> Wanted:
    arn = value.get("arn") if isinstance(value, dict) else None
    labels = value.get("labels") or [] if isinstance(value, dict) else None
    if not isinstance(arn, str) or not arn.startswith(ARN):
        raise BadComponent(f"{NAME}: each of cloudSecrets must have an arn of a secret")
    if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
        raise BadComponent(f"{NAME}: labels of {arn} must be a list of texts")
    return Wanted(arn, tuple(labels))


class SecretManager:
    """``key`` is the file of the core's key, which is made when it is first needed."""

    def __init__(
        self, records: Records, key: Path, upward: Upward, components: Components, connected: Callable[[], bool]
    ) -> None:
        self._documents = Documents(records, "secretmanager/")
        self._key = key
        self._seal: Seal | None = None
        self._upward = upward
        self._components = components
        self._connected = connected  # whether there is a link now
        self._kept: dict[str, dict[str, Any]] = {}  # by the whole ARN
        self._settings = Settings()
        self._follower: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._loaded = False

    # ------------------------------------------------------------------------------------------------ deployed

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        self._settings = Settings() if configuration is None else settings_of(configuration)
        await self.close()
        await self._load()
        wanted, every = self._settings.wanted, self._settings.every
        if every is not None:
            self._follower = asyncio.create_task(self._follow(every))
        if self._connected():
            problems = await self._fetch(wanted)
        else:
            problems = [f"{each.arn} is not here, and there is no link" for each in wanted if not self._find(each.arn)]
        if problems:
            raise BadComponent("; ".join(problems))
        async with self._lock:
            for arn in [arn for arn in self._kept if not any(_is(each.arn, arn) for each in wanted)]:
                del self._kept[arn]
                await self._documents.delete(arn)

    async def close(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None

    async def _follow(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            if self._connected():
                try:
                    await self.refresh()
                except (StoreError, OSError) as problem:
                    log.warning("secrets from above cannot be kept: %s", problem)

    async def refresh(self) -> None:
        """The link is back, or it is time: what was changed above meanwhile. Raises StoreError, OSError."""
        for problem in await self._fetch(self._settings.wanted):
            log.warning("%s", problem)

    async def _load(self) -> None:
        if not self._loaded:
            self._kept = dict(await everything(self._documents))
            self._loaded = True

    async def _fetch(self, wanted: Sequence[Wanted]) -> list[str]:
        """Bring them up to date; why those are not here that are not."""
        problems = []
        async with self._lock:
            for each in wanted:
                try:
                    await self._fetch_one(each)
                except Declined as problem:
                    problems.append(f"{each.arn} is refused: {problem}")
                except Unreachable as problem:
                    if self._find(each.arn) is None:
                        problems.append(f"{each.arn} cannot be fetched: {problem}")
        return problems

    async def _fetch_one(self, wanted: Wanted) -> None:
        """Raises Declined, Unreachable, StoreError."""
        found: dict[str, Any] = {}
        for stage in dict.fromkeys((CURRENT, *wanted.labels)):
            members = {"SecretId": wanted.arn, "VersionStage": stage}
            answer = await self._upward.call("secretsmanager", "GetSecretValue", members)
            binary = "SecretBinary" in answer
            value = base64.b64decode(answer["SecretBinary"]) if binary else answer["SecretString"].encode()
            arn, version = str(answer["ARN"]), str(answer["VersionId"])
            found |= {"arn": arn, "name": str(answer["Name"])}
            sealed = base64.b64encode(self._sealing().seal(value, f"{arn}/{version}")).decode()
            kept = {"stages": list(answer["VersionStages"]), "binary": binary, "sealed": sealed}
            kept["created"] = answer["CreatedDate"]
            found.setdefault("versions", {})[version] = kept
        await self._documents.put(found["arn"], found)
        self._kept[found["arn"]] = found

    def _sealing(self) -> Seal:
        if self._seal is None:
            self._seal = Seal.load_or_create(self._key)
        return self._seal

    def _find(self, identifier: str) -> dict[str, Any] | None:
        """By name, ARN, or ARN without its last part."""
        for arn, kept in self._kept.items():
            if identifier == kept["name"] or _is(identifier, arn):
                return kept
        return None

    # ------------------------------------------------------------------------------------------------ asked for

    def operations(self) -> Mapping[str, Handler]:
        return {"GetSecretValue": self.get_secret_value}

    async def get_secret_value(self, call: Call) -> Document:
        """AWS's model of it has no InvalidArgumentsError: what is wrong with the request is a ServiceError."""
        try:
            return await self._asked(call)
        except Fault as fault:
            if fault.code == "InvalidArgumentsError":
                raise Fault("ServiceError", str(fault)) from fault
            raise

    async def _asked(self, call: Call) -> Document:
        identifier = call.text("secretId")
        version, stage = call.optional_text("versionId"), call.optional_text("versionStage")
        if version is not None and stage is not None:
            raise invalid("versionId and versionStage cannot both be given")
        await self._load()
        known = self._find(identifier)
        authorise(self._components, call, NAME, known["arn"] if known is not None else identifier)
        if call.document.get("refresh") is True:
            await self._refreshed(identifier)
            known = self._find(identifier)
        if known is None:
            raise not_found("secret", identifier)
        chosen = version or _staged(known, stage or CURRENT)
        kept = known["versions"].get(chosen)
        if chosen is None or kept is None:
            raise not_found("version of the secret", version or stage or CURRENT)
        try:
            value = self._sealing().open(base64.b64decode(kept["sealed"]), f"{known['arn']}/{chosen}")
        except (StoreError, OSError) as problem:
            raise Fault("ServiceError", f"the secret cannot be opened: {problem}") from problem
        shown = (
            {"secretBinary": base64.b64encode(value).decode()} if kept["binary"] else {"secretString": value.decode()}
        )
        return {"secretId": known["arn"], "versionId": chosen, "versionStage": kept["stages"], "secretValue": shown}

    def about(self, arn: str, version: str) -> tuple[str, float]:
        """Name of a secret that is here, and when that version was made, in Unix seconds (0: kept by an older core)."""
        known = self._kept[arn]
        return known["name"], known["versions"][version].get("created", 0.0)

    async def _refreshed(self, identifier: str) -> None:
        """Out of reach it stays as it is. Raises Fault."""
        kept = self._find(identifier)
        wanted = [each for each in self._settings.wanted if kept is not None and _is(each.arn, kept["arn"])]
        if problems := await self._fetch(wanted):
            raise Fault("ServiceError", "; ".join(problems))


def _is(identifier: str, arn: str) -> bool:
    return identifier in (arn, arn.rpartition("-")[0])


def _staged(kept: Mapping[str, Any], stage: str) -> str | None:
    return next((version for version, each in kept["versions"].items() if stage in each["stages"]), None)
