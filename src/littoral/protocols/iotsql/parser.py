"""Tokens to syntax, by recursive descent. Every refusal is an ``SqlError`` that names the place."""

from __future__ import annotations

from collections.abc import Mapping

from littoral.protocols.iotsql import syntax
from littoral.protocols.iotsql.syntax import Expression, SqlError
from littoral.protocols.iotsql.tokens import Token, Tokens
from littoral.protocols.iotsql.values import decimal

MAX_VARIABLE = 64
MAX_NESTING = 40  # parentheses, calls, literals and SELECTs inside each other

_COMPARISONS = frozenset(("=", "<>", "<", "<=", ">", ">="))
_AFTER_AN_EXPRESSION = _COMPARISONS | {",", ".", ")", "+", "/", "%", "FROM", "AS", "WHERE", "AND", "OR"}
_CASTS = {
    **dict.fromkeys(("string", "nvarchar", "text", "ntext", "varchar"), "string"),
    **dict.fromkeys(("int", "integer"), "int"),
    **dict.fromkeys(("decimal", "double"), "decimal"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
}


def parse_statement(text: str) -> syntax.Statement:
    """A whole rule statement."""
    parser = _Parser(text)
    variables = parser.set_clause()
    select, topic_filter = parser.top_select()
    parser.expect_end()
    for root in (select, *(each.expression for each in variables)):
        syntax.refuse_too_deep(root)
    return syntax.Statement(select, topic_filter, variables)


def parse_template_expression(
    text: str, start: int, variables: Mapping[str, syntax.Definition]
) -> tuple[Expression, int]:
    """The expression of a ``${…}`` whose text begins at ``start``; and the offset just after its ``}``."""
    parser = _Parser(text, start, variables)
    expression = parser.expression()
    closing = parser.tokens.current
    if closing.text != "}" or closing.kind != "symbol":
        raise SqlError("Substitution template is not closed by '}'", closing.start)
    syntax.refuse_too_deep(expression)
    return expression, closing.end


class _Parser:
    def __init__(self, text: str, start: int = 0, variables: Mapping[str, syntax.Definition] | None = None) -> None:
        self.text = text
        self.tokens = Tokens(text, start)
        self.variables = dict(variables or {})
        self.nesting = 0

    # ------------------------------------------------------------------------------------------ statement

    def set_clause(self) -> tuple[syntax.Definition, ...]:
        """SET is a keyword at the beginning only: elsewhere it is an attribute like any other."""
        token = self.tokens.current
        if token.kind != "name" or token.text.upper() != "SET":
            return ()
        self.tokens.take()
        self._define()
        while self._accept("symbol", ","):
            self._define()
        return tuple(self.variables.values())

    def _define(self) -> None:
        token = self.tokens.take()
        if token.kind != "variable" or len(token.text) > MAX_VARIABLE:
            raise SqlError(f"Expected @ and a name of at most {MAX_VARIABLE} characters", token.start)
        if token.text in self.variables:
            raise SqlError(f"@{token.text} is set twice", token.start)
        self._expect("symbol", "=")
        expression = self.expression()
        self.variables[token.text] = syntax.Definition(token.text, expression)

    def top_select(self) -> tuple[syntax.Select, str | None]:
        items, value = self._select_list()
        topic_filter: str | None = None
        if self._accept("keyword", "FROM"):
            token = self.tokens.take()
            if token.kind != "string":
                raise SqlError("FROM needs a topic filter in single quotes", token.start)
            topic_filter = token.text
        return syntax.Select(items, value, self._where()), topic_filter

    def _nested_select(self) -> syntax.Select:
        items, value = self._select_list()
        self._expect("keyword", "FROM")
        source = self._postfix()
        return syntax.Select(items, value, self._where(), source)

    def _select_list(self) -> tuple[tuple[syntax.Selection, ...], bool]:
        self._expect("keyword", "SELECT")
        value = self._value_keyword()
        items = [self._selection()]
        while self._accept("symbol", ","):
            items.append(self._selection())
        if value and len(items) > 1:
            raise SqlError("SELECT VALUE takes one item", self.tokens.current.start)
        if sum(item.expression is None for item in items) > 1:
            raise SqlError("'*' may be selected once", self.tokens.current.start)
        return tuple(items), value

    def _value_keyword(self) -> bool:
        """``SELECT VALUE x``; but in ``SELECT value, x`` it is an attribute, and a common one."""
        token = self.tokens.current
        if not self._accept("keyword", "VALUE"):
            return False
        after = self.tokens.current
        if after.kind == "end" or (after.text in _AFTER_AN_EXPRESSION and after.kind in ("symbol", "keyword")):
            self.tokens.put_back(token)
            return False
        return True

    def _selection(self) -> syntax.Selection:
        start = self.tokens.current.start
        if self._accept("symbol", "*"):
            return syntax.Selection(None)
        expression = self.expression()
        text = self.text[start : self.tokens.current.start].strip()
        if self._accept("keyword", "AS"):
            return syntax.Selection(expression, self._alias())
        return syntax.Selection(expression, (self._default_name(expression, text),))

    @staticmethod
    def _default_name(expression: Expression, text: str) -> str:
        """Without AS: the last step of a path names the result, else the text itself does (``topic(2)``)."""
        match expression:
            case syntax.Name(name) | syntax.Member(_, name) | syntax.Variable(syntax.Definition(name)):
                return name
            case _:
                return text

    def _alias(self) -> tuple[str, ...]:
        path = [self._name_like()]
        while self._accept("symbol", "."):
            path.append(self._name_like())
        return tuple(path)

    def _where(self) -> Expression | None:
        return self.expression() if self._accept("keyword", "WHERE") else None

    # ---------------------------------------------------------------------------------------- expressions

    def expression(self) -> Expression:
        self._enter()
        left = self._and()
        while self._accept("keyword", "OR"):
            left = syntax.Binary("OR", left, self._and())
        self.nesting -= 1
        return left

    def _and(self) -> Expression:
        left = self._not()
        while self._accept("keyword", "AND"):
            left = syntax.Binary("AND", left, self._not())
        return left

    def _not(self) -> Expression:
        if not self._accept("keyword", "NOT"):
            return self._comparison()
        self._enter()
        operand = self._not()
        self.nesting -= 1
        return syntax.Unary("NOT", operand)

    def _comparison(self) -> Expression:
        left = self._sum()
        token = self.tokens.current
        if token.kind == "symbol" and token.text in _COMPARISONS:
            self.tokens.take()
            return syntax.Binary(token.text, left, self._sum())
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while (operator := self._accept_symbol("+", "-")) is not None:
            left = syntax.Binary(operator, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while (operator := self._accept_symbol("*", "/", "%")) is not None:
            left = syntax.Binary(operator, left, self._unary())
        return left

    def _unary(self) -> Expression:
        if not self._accept("symbol", "-"):
            return self._postfix()
        self._enter()
        operand = self._unary()
        self.nesting -= 1
        if isinstance(operand, syntax.Literal) and type(operand.value) in (int, float):
            return syntax.Literal(-operand.value)  # type: ignore[operator]
        return syntax.Unary("-", operand)

    def _postfix(self) -> Expression:
        left = self._primary()
        while (operator := self._accept_symbol(".", "[")) is not None:
            if operator == ".":
                left = syntax.Member(left, self._name_like())
            else:
                left = syntax.Item(left, self.expression())
                self._expect("symbol", "]")
        return left

    def _primary(self) -> Expression:  # noqa: PLR0911 - one arm per kind of token
        token = self.tokens.take()
        match token.kind, token.text:
            case "number", text:
                return syntax.Literal(_number(text, token))
            case "string", text:
                return syntax.Literal(text)
            case "keyword", "TRUE" | "FALSE" | "NULL":
                return syntax.Literal({"TRUE": True, "FALSE": False, "NULL": None}[token.text])
            case "keyword", "CASE":
                return self._case()
            case "keyword", "VALUE":  # only a keyword after SELECT; elsewhere an attribute like any other
                return syntax.Name(self.text[token.start : token.end])
            case "variable", _:
                return self._variable(token)
            case "name", name:
                return self._call(token) if self._accept("symbol", "(") else syntax.Name(name)
            case "symbol", "(":
                return self._parenthesised()
            case "symbol", "[":
                return syntax.ArrayLiteral(self._list_until("]"))
            case "symbol", "{":
                return self._object()
        raise SqlError(f"Expected an expression, found {_shown(token)}", token.start)

    def _variable(self, token: Token) -> Expression:
        if token.text not in self.variables:
            raise SqlError(f"@{token.text} is not set", token.start)
        return syntax.Variable(self.variables[token.text])

    def _parenthesised(self) -> Expression:
        if self.tokens.current.text == "SELECT" and self.tokens.current.kind == "keyword":
            self._enter()
            inner: Expression = self._nested_select()
            self.nesting -= 1
        else:
            inner = self.expression()
        self._expect("symbol", ")")
        return inner

    def _call(self, name: Token) -> Expression:
        if name.text.lower() == "cast":
            return self._cast()
        arguments: list[Expression] = []
        if not self._accept("symbol", ")"):
            arguments.append(self._argument())
            while self._accept("symbol", ","):
                arguments.append(self._argument())
            self._expect("symbol", ")")
        return syntax.FunctionCall(name.text.lower(), tuple(arguments), name.start)

    def _argument(self) -> Expression:
        return syntax.Star() if self._accept("symbol", "*") else self.expression()

    def _cast(self) -> Expression:
        value = self.expression()
        self._expect("keyword", "AS")
        token = self.tokens.take()
        target = _CASTS.get(token.text.lower())
        if target is None:
            raise SqlError(f"Cannot cast to {_shown(token)}", token.start)
        self._expect("symbol", ")")
        return syntax.Cast(value, target)

    def _case(self) -> Expression:
        subject = self.expression()
        branches: list[tuple[Expression, Expression]] = []
        while self._accept("keyword", "WHEN"):
            when = self.expression()
            self._expect("keyword", "THEN")
            branches.append((when, self.expression()))
        if not branches:
            raise SqlError("CASE needs at least one WHEN", self.tokens.current.start)
        otherwise = self.expression() if self._accept("keyword", "ELSE") else None
        self._expect("keyword", "END")
        return syntax.Case(subject, tuple(branches), otherwise)

    def _list_until(self, closing: str) -> tuple[Expression, ...]:
        if self._accept("symbol", closing):
            return ()
        items = [self.expression()]
        while self._accept("symbol", ","):
            items.append(self.expression())
        self._expect("symbol", closing)
        return tuple(items)

    def _object(self) -> Expression:
        members: list[tuple[str, Expression]] = []
        if self._accept("symbol", "}"):
            return syntax.ObjectLiteral(())
        while True:
            key = self.tokens.take()
            if key.kind != "string":
                raise SqlError("The keys of an object literal are strings", key.start)
            self._expect("symbol", ":")
            members.append((key.text, self.expression()))
            if not self._accept("symbol", ","):
                break
        self._expect("symbol", "}")
        return syntax.ObjectLiteral(tuple(members))

    # --------------------------------------------------------------------------------------------- tokens

    def expect_end(self) -> None:
        token = self.tokens.current
        if token.kind != "end":
            raise SqlError(f"Unexpected {_shown(token)}", token.start)

    def _enter(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise SqlError(f"Nested deeper than {MAX_NESTING} levels", self.tokens.current.start)

    def _accept(self, kind: str, text: str) -> bool:
        token = self.tokens.current
        if token.kind == kind and token.text == text:
            self.tokens.take()
            return True
        return False

    def _accept_symbol(self, *symbols: str) -> str | None:
        token = self.tokens.current
        if token.kind == "symbol" and token.text in symbols:
            return self.tokens.take().text
        return None

    def _expect(self, kind: str, text: str) -> None:
        token = self.tokens.current
        if not self._accept(kind, text):
            raise SqlError(f"Expected {text}, found {_shown(token)}", token.start)

    def _name_like(self) -> str:
        """A name where only a name can stand: keywords lose their meaning (``a.value``, ``AS end``)."""
        token = self.tokens.take()
        if token.kind not in ("name", "keyword"):
            raise SqlError(f"Expected a name, found {_shown(token)}", token.start)
        return self.text[token.start : token.end]


def _number(text: str, token: Token) -> int | float:
    value = decimal(text.replace("+", ""))
    if value is None:
        raise SqlError("Number is too large", token.start)
    return value


def _shown(token: Token) -> str:
    return "the end of the statement" if token.kind == "end" else repr(token.text)
