"""`--constraint "n1 < n2"` (pure): a condition on parameters. Nothing in it is run as Python; each part that is allowed is listed here."""

import ast
import operator
from collections.abc import Callable, Container, Mapping
from typing import Any

from Backtest.errors import BadInput

Params = Mapping[str, Any]
Value = Callable[[Params], Any]

LONGEST = 200  # characters, so that it can be nested no deeper than Python goes
ALLOWED = "parameter names, numbers, texts, true and false, comparisons, and, or, not, + - * / // % and parentheses"
_ARITHMETIC: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_TRUTHS = {"true": True, "false": False}  # as they are written in --params and --grid


class Constraint:
    """A condition that tells of parameters whether they may be tried.

    >>> constraint = Constraint("n1 < n2 and n2 % 10 == 0", {"n1", "n2"})
    >>> constraint({"n1": 5, "n2": 20}), constraint({"n1": 5, "n2": 21})
    (True, False)
    """

    def __init__(self, text: str, names: Container[str]) -> None:
        """Raises BadInput for a text that is no such condition, or names what is no parameter."""
        self.text, self._names = text, names
        if len(text) > LONGEST:
            raise BadInput(f"--constraint is longer than {LONGEST:,} characters")
        try:
            condition = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise BadInput(f"--constraint '{text}' is no condition; write for example n1 < n2") from error
        self._holds = self._meaning(condition)

    def __call__(self, params: Params) -> bool:
        """Raises BadInput where it has no answer: a division by zero, a text compared with a number, a number in place of a condition."""
        try:
            answer = self._holds(params)
        except (ArithmeticError, TypeError) as error:
            raise BadInput(f"--constraint '{self.text}' has no answer for {shown(params)} ({error})") from error
        if not isinstance(answer, bool):
            raise BadInput(f"--constraint '{self.text}' is {answer!r} for {shown(params)}; want a condition, such as n1 < n2")
        return answer

    def _meaning(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return lambda _: value
            case ast.Name(id=name):
                return self._named(name)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._meaning(operand)
                return lambda params: not inner(params)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._meaning(operand)
                return lambda params: -_number(inner(params))
            case ast.BoolOp(op=op, values=values):
                parts, decide = [self._meaning(value) for value in values], all if isinstance(op, ast.And) else any
                return lambda params: decide(part(params) for part in parts)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                one, calculate, other = self._meaning(left), _ARITHMETIC[type(op)], self._meaning(right)
                return lambda params: calculate(_number(one(params)), _number(other(params)))
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
                values_of, tests = [self._meaning(each) for each in (left, *others)], [_COMPARISONS[type(op)] for op in ops]
                return lambda params: _in_order([value(params) for value in values_of], tests)
        raise BadInput(f"--constraint may hold {ALLOWED}; not {ast.unparse(node)}")

    def _named(self, name: str) -> Value:
        if name in _TRUTHS:
            return lambda _: _TRUTHS[name]
        if name not in self._names:
            raise BadInput(f"--constraint '{self.text}': the strategy has no parameter {name}")
        return lambda params: params[name]


def shown(params: Params) -> str:
    """`n1=5 n2=20`."""
    return " ".join(f"{name}={value}" for name, value in params.items())


def _number(value: Any) -> Any:
    if isinstance(value, str):  # 'a' * 10**9 is a text of a gigabyte
        raise TypeError(f"'{value}' is no number")
    return value


def _in_order(values: list[Any], tests: list[Callable[[Any, Any], Any]]) -> bool:
    return all(test(one, other) for one, test, other in zip(values, tests, values[1:], strict=False))
