"""Numbers about the values of one field: AWS's statistics, percentiles, buckets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from littoral.protocols.fleetquery import Document, number, shown, values_at


def values(documents: Iterable[Document], field: str) -> list[Any]:
    return [value for document in documents for value in values_at(document, field)]


def typed(found: Sequence[Any], kind: str | None) -> list[Any]:
    """As values of a custom field's type; without those that are none of it. ``kind``: Number, Boolean, String."""
    if kind == "Number":
        return [value for each in found if (value := number(each)) is not None]
    if kind == "Boolean":
        return [text == "true" for each in found if (text := shown(each)) in ("true", "false")]
    return [shown(each) for each in found] if kind == "String" else list(found)


def statistics(found: Sequence[Any]) -> dict[str, float]:
    """Only the count where the field holds no numbers."""
    numbers = [value for each in found if not isinstance(each, str) and (value := number(each)) is not None]
    if not numbers or len(numbers) < len(found):
        return {"count": len(found)}
    count, total = len(numbers), math.fsum(numbers)
    mean = total / count
    variance = math.fsum((value - mean) ** 2 for value in numbers) / count
    return {
        "count": count,
        "average": mean,
        "sum": total,
        "minimum": min(numbers),
        "maximum": max(numbers),
        "sumOfSquares": math.fsum(value * value for value in numbers),
        "variance": variance,
        "stdDeviation": math.sqrt(variance),
    }


def percentiles(found: Sequence[Any], percents: Sequence[float]) -> list[dict[str, float]]:
    """Between two values, as far on the way as the percent says. Raises ValueError for what are no numbers."""
    numbers = sorted(float(value) for value in found if _numeric(value))
    if len(numbers) < len(found):
        raise ValueError("the field holds values that are no numbers")
    return [{"percent": percent, "value": _at(numbers, percent)} for percent in percents] if numbers else []


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(numbers: Sequence[float], percent: float) -> float:
    place = (len(numbers) - 1) * percent / 100
    low, high = numbers[math.floor(place)], numbers[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def buckets(found: Sequence[Any], most: int) -> list[dict[str, Any]]:
    """The commonest values first."""
    counts = Counter(shown(value) for value in found)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"keyValue": value, "count": count} for value, count in ranked[:most]]
