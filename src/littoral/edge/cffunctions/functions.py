"""The CloudFront functions of one edge location, and the key-value stores they read.

Owns: which code an ARN stands for here, one engine for each, the stores' items, the lines they print. An engine is made
when it is first needed, and made anew when its code changes; both take milliseconds. Stores are in memory, whole: they
have 5 MiB at most.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from littoral.edge.cffunctions.engine import Answer, DoesNotCompile, Engine, Ran

log = logging.getLogger("littoral.edge")

LogLines = Callable[..., None]  # group, stream, lines: ``functions.Logs.append``


@dataclass(frozen=True, slots=True)
class Script:
    """What is live under an ARN. Equal scripts share an engine."""

    name: str
    code: str
    runtime: str
    stores: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """A key-value store's items; times are Unix seconds."""

    items: Mapping[str, str]
    created: float
    modified: float

    def answer(self, operation: str, key: str) -> Answer:
        if operation == "get":
            found = self.items.get(key)
            return {"error": "KeyNotFound"} if found is None else {"value": found}
        if operation == "exists":
            return {"value": key in self.items}
        if operation == "count":
            return {"value": len(self.items)}
        created, modified = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (self.created, self.modified))
        return {"value": {"creationDateTime": created, "lastUpdatedDateTime": modified, "keyCount": len(self.items)}}


@dataclass(slots=True)
class CloudFrontFunctions:
    """``use`` says what there is; ``call`` runs one. ``lines`` takes what they print, where anybody wants it."""

    pop: str
    lines: LogLines | None = None
    clock: Callable[[], float] = time.time
    calls: Counter[str] = field(default_factory=Counter)  # by outcome: ok, error
    _scripts: dict[str, Script] = field(default_factory=dict)
    _stores: dict[str, Store] = field(default_factory=dict)
    _engines: dict[str, tuple[Script, Engine]] = field(default_factory=dict)

    def use(self, scripts: Mapping[str, Script], stores: Mapping[str, Store]) -> None:
        """These functions by ARN, these stores by id, and no others."""
        self._scripts, self._stores = dict(scripts), dict(stores)
        self._engines = {arn: made for arn, made in self._engines.items() if scripts.get(arn) == made[0]}

    def call(self, arn: str, event: str, query: str, request: str, distribution: str) -> Ran:
        """``request`` and ``distribution`` are ids. One that is not here or does not compile is an error too."""
        script = self._scripts.get(arn)
        if script is None:
            return Ran(None, f"the function {arn} is not at this location")
        try:
            ran = self._engine(arn, script).call(event, self.clock(), query, self.lookup)
        except DoesNotCompile as problem:
            ran = Ran(None, str(problem))
        self.calls["error" if ran.error is not None else "ok"] += 1
        if self.lines is not None and (ran.logs or ran.error is not None):
            self._print(script, ran, request, distribution)
        return ran

    def lookup(self, store: str, operation: str, key: str) -> Answer:
        found = self._stores.get(store)
        return {"error": "the key value store is not here"} if found is None else found.answer(operation, key)

    def _engine(self, arn: str, script: Script) -> Engine:
        made = self._engines.get(arn)
        if made is None:
            made = self._engines[arn] = script, Engine(script.code, script.runtime, script.stores)
        return made[1]

    def _print(self, script: Script, ran: Ran, request: str, distribution: str) -> None:
        """CloudWatch's form: every line begins with the request's id."""
        assert self.lines is not None
        said = [f"START DistributionID: {distribution}", *ran.logs]
        if ran.error is not None:
            said.append(f"ERROR: {ran.error}")
        day = time.strftime("%Y/%m/%d", time.gmtime(self.clock()))
        stream = f"{day}/{self.pop}"
        self.lines(
            f"/aws/cloudfront/function/{script.name}", stream, *(f"{request} {x}".encode() for x in (*said, "END"))
        )
