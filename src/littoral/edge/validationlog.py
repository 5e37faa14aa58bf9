"""What was wrong with the answers of Lambda@Edge functions, in the log group of their distribution.

Source: developer guide, "Edge function logs": ``/aws/cloudfront/LambdaEdge/<DistributionId>``, at the location where it
happened. What functions print themselves is in their own groups.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

LogLines = Callable[..., None]  # group, stream, lines


@dataclass(frozen=True, slots=True)
class ValidationLog:
    pop: str
    lines: LogLines | None
    clock: Callable[[], float]

    def say(self, distribution: str, request_id: str, kind: str, function: str, problem: str) -> None:
        if self.lines is None:
            return
        stream = f"{time.strftime('%Y/%m/%d', time.gmtime(self.clock()))}/{self.pop}"
        name = function.partition(":function:")[2] or function
        text = f"{request_id} ERROR Validation error: the {kind} function {name} returned an invalid result: {problem}"
        self.lines(f"/aws/cloudfront/LambdaEdge/{distribution}", stream, text.encode())
