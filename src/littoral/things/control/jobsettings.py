"""What is given to a job or a template, checked where the model does not: documents, rates, times."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.aws.service import ServiceError
from littoral.protocols.jobs.document import MAX_DOCUMENT, BadPlaceholder, bucket_and_key, objects_in
from littoral.protocols.jobs.execution import MAX_MINUTES
from littoral.protocols.jobs.rollout import MAX_PER_MINUTE
from littoral.protocols.jobs.windows import Window
from littoral.protocols.schedule import ScheduleError
from littoral.things.control.errors import invalid
from littoral.things.jobs.facts import Settings, Template
from littoral.things.jobs.managed import COMMON, ManagedTemplate
from littoral.things.jobs.service import JobObjects

Json = dict[str, Any]


def settings(
    base: Settings,
    *,
    presigned: Json | None,
    rollout: Json | None,
    abort: Json | None,
    timeout: Json | None,
    retry: Json | None,
) -> Settings:
    """What is None stays as in ``base``. Raises InvalidRequestException."""
    found = Settings(
        base.presigned if presigned is None else presigned,
        base.rollout if rollout is None else rollout,
        base.abort if abort is None else abort,
        base.timeout if timeout is None else timeout,
        base.retry if retry is None else retry,
    )
    if found.rate.most > MAX_PER_MINUTE:
        raise invalid(f"maximumPerMinute is at most {MAX_PER_MINUTE}")
    criteria = found.rollout.get("exponentialRate", {}).get("rateIncreaseCriteria")
    if criteria is not None and len(criteria) != 1:
        raise invalid("rateIncreaseCriteria needs exactly one of numberOfNotifiedThings and numberOfSucceededThings")
    if found.minutes is not None and not 1 <= found.minutes <= MAX_MINUTES:
        raise invalid(f"inProgressTimeoutInMinutes is from 1 to {MAX_MINUTES}")
    if any(not 0 < criterion.percentage <= 100 for criterion in found.criteria):
        raise invalid("thresholdPercentage is above 0 and at most 100")
    return found


def described(found: Settings) -> Json:
    """As the API shows them: those that were given."""
    shown = {
        "presignedUrlConfig": found.presigned,
        "jobExecutionsRolloutConfig": found.rollout,
        "abortConfig": found.abort,
        "timeoutConfig": found.timeout,
        "jobExecutionsRetryConfig": found.retry,
    }
    return {name: value for name, value in shown.items() if value}


def parameters(template: Template | ManagedTemplate | None, given: Mapping[str, str] | None) -> dict[str, str] | None:
    """What fills in a managed template's document; None for any other. Raises InvalidRequestException."""
    if not isinstance(template, ManagedTemplate):
        if given:
            raise invalid("documentParameters go with a managed job template only")
        return None
    found = dict(given or {})
    missing = sorted(set(template.parameters) - set(found))
    unknown = sorted(set(found) - set(template.parameters) - set(COMMON))
    if missing or unknown:
        what = f"needs the parameter {missing[0]}" if missing else f"has no parameter {unknown[0]}"
        raise invalid(f"The job template {template.name} {what}")
    return found


async def document(given: str | None, source: str | None, objects: JobObjects | None) -> str:
    """The document, read now where it lies in a bucket. Raises InvalidRequestException."""
    if (given is None) == (source is None):
        raise invalid("Exactly one of document and documentSource is needed")
    text = given if given is not None else await _read(source or "", objects)
    if len(text.encode()) > MAX_DOCUMENT:
        raise invalid(f"A job document has at most {MAX_DOCUMENT} bytes")
    try:
        json.loads(text)
        placeholders = objects_in(text)
    except BadPlaceholder as problem:
        raise invalid(str(problem)) from None
    except (ValueError, RecursionError) as problem:
        raise invalid(f"The job document is not valid JSON: {problem}") from None
    if placeholders and objects is None:
        raise invalid("This place keeps no objects that a placeholder could name")
    return text


async def _read(source: str, objects: JobObjects | None) -> str:
    if objects is None:
        raise invalid("This place keeps no objects: give the document itself")
    try:
        return (await objects.read(*bucket_and_key(source))).decode()
    except BadPlaceholder as problem:
        raise invalid(f"documentSource: {problem}") from None
    except ServiceError as error:
        raise invalid(f"documentSource {source!r} cannot be read: {error.message}") from None
    except UnicodeDecodeError:
        raise invalid(f"documentSource {source!r} is not text in UTF-8") from None


def check_windows(windows: Sequence[Window]) -> None:
    """Raises InvalidRequestException."""
    try:
        for window in windows:
            window.check()
    except ScheduleError as problem:
        raise invalid(f"maintenanceWindows: {problem}") from None


def moment(text: str | None, name: str) -> float | None:
    """Unix seconds of AWS's ``2026-11-28T12:30`` or ``2026-11-28 12:30``, UTC. Raises InvalidRequestException."""
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} {text!r} is not a time such as 2026-11-28T12:30") from None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
