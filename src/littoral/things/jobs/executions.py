"""All executions: durable, in memory, found by thing and by job, counted by status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from littoral.protocols.jobs.execution import IN_PROGRESS, Execution
from littoral.store.documents import Documents
from littoral.things.table import Table


class Executions:
    def __init__(self, documents: Documents) -> None:
        self._table: Table[Execution] = Table(documents, Execution.to_json, Execution.from_json)
        self._things: dict[str, dict[str, Execution]] = {}
        self._jobs: dict[str, dict[str, Execution]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._timed: dict[tuple[str, str], float] = {}

    async def load(self) -> None:
        await self._table.load()
        for execution in self._table.values():
            self._index(execution)

    def get(self, thing: str, job: str) -> Execution | None:
        return self._things.get(thing, {}).get(job)

    def of_thing(self, thing: str) -> list[Execution]:
        return list(self._things.get(thing, {}).values())

    def of_job(self, job: str) -> dict[str, Execution]:
        """By thing. To be read, not changed."""
        return self._jobs.get(job, {})

    def counts(self, job: str) -> Counter[str]:
        """By status. To be read, not changed."""
        return self._counts.get(job, Counter())

    def pending(self, thing: str) -> list[Execution]:
        """In the order in which the thing is to work: what is in progress, then what waits, the oldest first."""
        found = [execution for execution in self.of_thing(thing) if execution.pending]
        return sorted(found, key=lambda one: (one.status != IN_PROGRESS, one.started or one.queued, one.job))

    def due(self, now: float) -> Iterator[tuple[str, str]]:
        """Thing and job of those whose timer has ended."""
        return iter([key for key, at in self._timed.items() if at <= now])

    async def put(self, execution: Execution) -> None:
        """Durable on return."""
        await self._table.put(f"{execution.thing}/{execution.job}", execution)
        self._forget(execution.thing, execution.job)
        self._index(execution)

    async def delete(self, execution: Execution) -> None:
        await self._table.delete(f"{execution.thing}/{execution.job}")
        self._forget(execution.thing, execution.job)

    def _index(self, execution: Execution) -> None:
        self._things.setdefault(execution.thing, {})[execution.job] = execution
        self._jobs.setdefault(execution.job, {})[execution.thing] = execution
        self._counts.setdefault(execution.job, Counter())[execution.status] += 1
        if execution.due is not None:
            self._timed[execution.thing, execution.job] = execution.due

    def _forget(self, thing: str, job: str) -> None:
        of_thing = self._things.get(thing, {})
        old = of_thing.pop(job, None)
        if old is None:
            return
        if not of_thing:
            del self._things[thing]
        del self._jobs[job][thing]
        self._counts[job][old.status] -= 1
        self._timed.pop((thing, job), None)
