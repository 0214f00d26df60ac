"""Exact arithmetic in bounded time: models are bad at sums."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool, ToolFailed

MAX_CHARACTERS: Final = 500
MAX_BITS: Final = 4096
MAX_FACTORIAL: Final = 200
DIGITS: Final = 28

Number: TypeAlias = Fraction | float

_CONSTANTS: Final[Mapping[str, Number]] = {"pi": math.pi, "e": math.e, "tau": math.tau}


def calculator() -> Tool:
    """The tool."""

    def call(_context: ToolContext, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return calculate(arguments["expression"])

    return Tool(
        name="calculator",
        description=(
            "Evaluates an arithmetic expression exactly: + - * / // % ** and parentheses, pi, e,"
            " abs, ceil, cos, exp, factorial, floor, log, log10, log2, max, min, round, sin, sqrt,"
            " tan."
        ),
        parameters={
            "type": "object",
            "properties": {
                "expression": {
                    "type": "string",
                    "description": "For example (19.99 * 3) * 1.19",
                    "minLength": 1,
                    "maxLength": MAX_CHARACTERS,
                }
            },
            "required": ["expression"],
            "additionalProperties": False,
        },
        call=call,
        timeout_seconds=5,
        idempotent=True,
    )


def calculate(expression: str) -> dict[str, Any]:
    """`{expression, result, exact}`, the result as decimal text of 28 digits if it is not exact.

    Raises ToolFailed for what is no arithmetic, has no value, or grows beyond 4,096 bits.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ToolFailed(f"The expression is longer than {MAX_CHARACTERS} characters. Split it.")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        value = _bounded(_evaluate(tree.body))
    except ZeroDivisionError:
        raise ToolFailed("The expression divides by zero.") from None
    except (SyntaxError, RecursionError, MemoryError):
        raise ToolFailed("This is not an arithmetic expression. Use numbers and + - * /.") from None
    except (ValueError, OverflowError, TypeError):
        raise ToolFailed("The expression has no value that can be computed.") from None
    result, exact = _written(value)
    return {"expression": expression, "result": result, "exact": exact}


def _evaluate(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(_exact(value))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_evaluate(left), _evaluate(right)))
        case ast.Call(func=ast.Name(id=name), args=[*arguments], keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*map(_evaluate, arguments)))
        case _:
            raise ToolFailed(f"The calculator does not know {type(node).__name__}. Use + - * /.")


def _exact(value: float) -> Fraction:
    """The number as it was written; raises ValueError for one beyond the range of floats."""
    # Through the decimal text: 0.1 means a tenth, not the nearest binary fraction.
    return Fraction(repr(value))


def _bounded(value: Any) -> Number:
    """`value` as a number of bearable size."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise OverflowError
        return value
    if not isinstance(value, int | Fraction):
        raise ToolFailed("The result is not a real number.")
    exact = Fraction(value)
    if max(exact.numerator.bit_length(), exact.denominator.bit_length()) > MAX_BITS:
        raise ToolFailed("The numbers grow too large. Ask for something smaller.")
    return exact


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        # The size is judged before the multiplication: afterwards the time is already lost.
        if bits > 1 and bits * abs(exponent.numerator) > 2 * MAX_BITS:
            raise ToolFailed("The power is too large. Ask for something smaller.")
        if bits <= 1:
            exponent = Fraction(exponent.numerator % 2 if base else min(exponent.numerator, 1))
        return _bounded(base**exponent.numerator)
    return _bounded(float(base) ** float(exponent))


def _factorial(value: Number) -> Number:
    if value != math.floor(value) or not 0 <= value <= MAX_FACTORIAL:
        raise ToolFailed(f"factorial takes whole numbers from 0 to {MAX_FACTORIAL}.")
    return Fraction(math.factorial(int(value)))


def _square_root(value: Number) -> Number:
    if isinstance(value, Fraction) and value >= 0:
        over, under = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if over * over == value.numerator and under * under == value.denominator:
            return Fraction(over, under)
    return math.sqrt(value)


def _round(value: Number, digits: Number = Fraction()) -> Number:
    places = int(digits)
    if places != digits or abs(places) > DIGITS:
        raise ToolFailed(f"round takes at most {DIGITS} digits.")
    return Fraction(round(value if isinstance(value, Fraction) else _exact(value), places))


def _written(value: Number) -> tuple[str, bool]:
    if isinstance(value, float):
        return f"{value:.15g}", False
    if value.denominator == 1:
        return str(value.numerator), True
    wide = Decimal(value.numerator)
    exact = (
        Context(prec=MAX_BITS).divide(wide, Decimal(value.denominator)) if _ends(value) else None
    )
    if exact is not None and len(exact.as_tuple().digits) <= DIGITS:
        return f"{exact:f}", True
    return str(Context(prec=DIGITS).divide(wide, Decimal(value.denominator))), False


def _ends(value: Fraction) -> bool:
    """Whether the decimal form is finite: the denominator has no factor but 2 and 5."""
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return rest == 1


_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "factorial": _factorial,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": _round,
    "sin": math.sin,
    "sqrt": _square_root,
    "tan": math.tan,
}
