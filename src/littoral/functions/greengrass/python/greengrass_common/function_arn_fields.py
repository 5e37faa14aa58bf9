"""The parts of a function's ARN."""

from __future__ import annotations


class FunctionArnFields:
    """Raises ValueError for what is no function's ARN."""

    def __init__(self, function_arn: str) -> None:
        parts = function_arn.split(":")
        if len(parts) not in (7, 8) or parts[0] != "arn" or parts[2] != "lambda" or parts[5] != "function":
            raise ValueError(f"{function_arn} is not the ARN of a function")
        self.region, self.account_id, self.name = parts[3], parts[4], parts[6]
        self.qualifier = parts[7] if len(parts) == 8 else ""
        self.unqualified_arn = ":".join(parts[:7])

    @staticmethod
    def build_function_arn(unqualified_arn: str, qualifier: str) -> str:
        return f"{unqualified_arn}:{qualifier}" if qualifier else unqualified_arn
