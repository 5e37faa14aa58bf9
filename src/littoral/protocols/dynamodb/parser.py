"""Text to syntax, by recursive descent (developer guide, "Condition and filter expressions", "Update expressions").

What was parsed is kept by its text: clients send the same few expressions again and again, with other values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, TypeVar

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.lexer import Token, tokens
from littoral.protocols.dynamodb.reserved import RESERVED
from littoral.protocols.dynamodb.syntax import (
    Arithmetic,
    Between,
    Both,
    Compare,
    Condition,
    Either,
    Function,
    In,
    Not,
    Operand,
    Path,
    Slot,
    Update,
)

T = TypeVar("T")
COMPARATORS = frozenset(("=", "<>", "<", "<=", ">", ">="))
# functions of conditions, and of SET: how many operands they take
TESTS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
MAKERS = {"if_not_exists": 2, "list_append": 2}
FUNCTIONS = {**TESTS, **MAKERS, "size": 1}
MOST_OPTIONS = 100
DEEPEST = 150  # parentheses and NOTs inside one another
MOST_OPERATORS = 300
DEEPEST_PATH = 32
LONGEST_INDEX = 9  # digits of a list's index
CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")


@lru_cache(maxsize=2048)
def parse_condition(text: str, what: str) -> Condition:
    """Of a ConditionExpression, FilterExpression or KeyConditionExpression. Raises Invalid."""
    parser = _Parser(text, what)
    found = parser.either()
    parser.end()
    return found


@lru_cache(maxsize=2048)
def parse_update(text: str) -> Update:
    """Raises Invalid."""
    return _Parser(text, "UpdateExpression").update()


@lru_cache(maxsize=2048)
def parse_projection(text: str) -> tuple[Path, ...]:
    """Raises Invalid."""
    parser = _Parser(text, "ProjectionExpression")
    found = parser.listed(parser.path)
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str, what: str) -> None:
        self._what = what
        self._text = text
        self._tokens = tokens(text, what)
        self._at = 0
        self._depth = 0
        self._operators = 0

    # ------------------------------------------------------------------------------------------ conditions

    def either(self) -> Condition:
        parts = [self._both()]
        while self._word("OR"):
            self._count()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._not()]
        while self._word("AND"):
            self._count()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _not(self) -> Condition:
        self._deeper()
        try:
            if self._word("NOT"):
                self._count()
                return Not(self._not())
            if self._sign("("):
                return self._parenthesised()
            return self._test()
        finally:
            self._depth -= 1

    def _parenthesised(self) -> Condition:
        """A condition in parentheses, or an operand in parentheses that a comparator follows."""
        if self._tokens[self._at].text == "(" and self._doubled():
            raise Invalid(f"Invalid {self._what}: The expression has redundant parentheses;")
        mark = self._at
        try:
            inner = self.either()
        except _NoCondition:
            self._at = mark
            left = self._operand()
            self._need(")")
            return self._compared(left)
        self._need(")")
        return inner

    def _doubled(self) -> bool:
        """Whether the parenthesis that opens here closes right before the one around it does."""
        depth = 0
        for position in range(self._at, len(self._tokens)):
            text = self._tokens[position].text
            depth += (text == "(") - (text == ")")
            if depth == 0:
                return self._tokens[position + 1].text == ")"
        return False

    def _test(self) -> Condition:
        left = self._operand()
        if isinstance(left, Function) and left.name in TESTS:
            return left
        if isinstance(left, Function) and left.name in MAKERS:
            raise Invalid(
                f"Invalid {self._what}: The function is not allowed in this expression; function: {left.name}"
            )
        return self._compared(left)

    def _compared(self, left: Operand) -> Condition:
        token = self._token
        if token.kind == "sign" and token.text in COMPARATORS:
            self._at += 1
            self._count()
            return Compare(token.text, left, self._plain_operand(token.text))
        if self._word("BETWEEN"):
            self._count()
            low = self._plain_operand("BETWEEN")
            if not self._word("AND"):
                self._fail()
            return Between(left, low, self._plain_operand("BETWEEN"))
        if self._word("IN"):
            self._count()
            self._need("(")
            options = self.listed(lambda: self._plain_operand("IN"))
            self._need(")")
            if len(options) > MOST_OPTIONS:
                raise Invalid(
                    f"Invalid {self._what}: The IN operator is provided with too many operands; "
                    f"number of operands: {len(options)}"
                )
            return In(left, options)
        if token.text == ")":
            raise _NoCondition(self._words())
        self._fail()

    def _plain_operand(self, sign: str) -> Operand:
        if self._token.text == "(":
            self._at += 1
            inner = self._plain_operand(sign)
            self._need(")")
            return inner
        found = self._operand()
        if isinstance(found, Function) and found.name != "size":
            raise Invalid(
                f"Invalid {self._what}: The function is not allowed to be used this way in an expression; "
                f"function: {found.name}"
            )
        return found

    # ------------------------------------------------------------------------------------------ operands

    def _operand(self) -> Operand:
        token = self._token
        if token.kind == "slot":
            self._at += 1
            return Slot(token.text)
        if token.kind == "name" and self._tokens[self._at + 1].text == "(":
            return self._function()
        return self.path()

    def _function(self) -> Function:
        name = self._token.text
        self._at += 1
        self._need("(")
        self._deeper()
        operands = self.listed(self._operand)
        self._depth -= 1
        self._need(")")
        if name not in FUNCTIONS:
            raise Invalid(f"Invalid {self._what}: Invalid function name; function: {name}")
        if len(operands) != FUNCTIONS[name]:
            raise Invalid(
                f"Invalid {self._what}: Incorrect number of operands for operator or function; "
                f"operator or function: {name}, number of operands: {len(operands)}"
            )
        self._count()
        return Function(name, operands)

    def path(self) -> Path:
        steps: list[str | int] = [self._name()]
        while True:
            if self._sign("."):
                steps.append(self._name())
            elif self._sign("["):
                token = self._token
                if token.kind != "number":
                    self._fail()
                self._at += 1
                if len(token.text) > LONGEST_INDEX:
                    raise Invalid(
                        f"Invalid {self._what}: List index is not within the allowable range; "
                        f"index: [{token.text[:50]}]"
                    )
                index = int(token.text)
                self._need("]")
                steps.append(index)
            else:
                break
        if len(steps) > DEEPEST_PATH:
            raise Invalid(
                f"Invalid {self._what}: The document path has too many nesting levels; nesting levels: {len(steps)}"
            )
        return Path(tuple(steps))

    def _name(self) -> str:
        token = self._token
        if token.kind not in {"name", "ref"}:
            self._fail()
        if token.kind == "name" and token.text.upper() in RESERVED:
            raise Invalid(f"Invalid {self._what}: Attribute name is a reserved keyword; reserved keyword: {token.text}")
        self._at += 1
        return token.text

    # ------------------------------------------------------------------------------------------ updates

    def update(self) -> Update:
        found: dict[str, tuple[object, ...]] = {}
        while self._token.kind != "end":
            clause = self._token.text.upper()
            if self._token.kind != "name" or clause not in CLAUSES:
                self._fail()
            if clause in found:
                raise Invalid(
                    f'Invalid UpdateExpression: The "{clause}" section can only be used once in an update expression;'
                )
            self._at += 1
            found[clause] = self._clause(clause)
        sets, removes, adds, deletes = (found.get(clause, ()) for clause in CLAUSES)
        return Update(sets, removes, adds, deletes)  # type: ignore[arg-type]

    def _clause(self, clause: str) -> tuple[object, ...]:
        if clause == "SET":
            return self.listed(self._assignment)
        if clause == "REMOVE":
            return self.listed(self.path)
        return self.listed(self._path_and_slot)

    def _assignment(self) -> tuple[Path, Operand]:
        path = self.path()
        self._need("=")
        return path, self._sum()

    def _sum(self) -> Operand:
        left = self._set_operand()
        token = self._token
        if token.text in {"+", "-"}:
            self._at += 1
            self._count()
            return Arithmetic(token.text, left, self._set_operand())
        return left

    def _set_operand(self) -> Operand:
        if self._sign("("):
            inner = self._sum()
            self._need(")")
            return inner
        found = self._operand()
        if isinstance(found, Function) and found.name not in MAKERS:
            raise Invalid(
                f"Invalid UpdateExpression: The function is not allowed in an update expression; function: {found.name}"
            )
        return found

    def _path_and_slot(self) -> tuple[Path, Slot]:
        path = self.path()
        token = self._token
        if token.kind != "slot":
            self._fail()
        self._at += 1
        return path, Slot(token.text)

    # ------------------------------------------------------------------------------------------ tokens

    def listed(self, one: Callable[[], T]) -> tuple[T, ...]:
        found = [one()]
        while self._sign(","):
            found.append(one())
        return tuple(found)

    def end(self) -> None:
        if self._token.kind != "end":
            self._fail()

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _word(self, word: str) -> bool:
        token = self._token
        if token.kind == "name" and token.text.upper() == word:
            self._at += 1
            return True
        return False

    def _sign(self, sign: str) -> bool:
        if self._token.kind == "sign" and self._token.text == sign:
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            self._fail()

    def _count(self) -> None:
        self._operators += 1
        if self._operators > MOST_OPERATORS:
            raise Invalid(
                f"Invalid {self._what}: The expression contains too many operators; the maximum is {MOST_OPERATORS}"
            )

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Invalid(f"Invalid {self._what}: The expression is nested too deeply;")

    def _words(self) -> str:
        token = self._token
        before = self._tokens[self._at - 1].at if self._at else 0
        after = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        near = self._text[before : after.at + len(after.text)]
        return f'Invalid {self._what}: Syntax error; token: "{token.text}", near: "{near}"'

    def _fail(self) -> NoReturn:
        raise Invalid(self._words())


class _NoCondition(Invalid):
    """An operand where a condition should be: ``(a) = :b`` has one in parentheses."""
