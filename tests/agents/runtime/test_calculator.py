"""Exact, bounded, and nothing but arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.builtin.calculator import calculate
from agents.runtime.tools import ToolFailed


@pytest.mark.parametrize(
    ("expression", "result", "exact"),
    [
        ("0.1 + 0.2", "0.3", True),
        ("(19.99 * 3) * 1.19", "71.3643", True),
        ("1 / 3", "0.3333333333333333333333333333", False),
        ("2 ** 100", "1267650600228229401496703205376", True),
        ("-2 ** 2", "-4", True),
        ("3^2", "9", True),
        ("7 // 2 + 7 % 3", "4", True),
        ("sqrt(16) + sqrt(1/4)", "4.5", True),
        ("sqrt(2)", "1.4142135623731", False),
        ("round(2.675, 2)", "2.68", True),
        ("round(pi, 3)", "3.142", True),
        ("max(1, 2.5) - min(3, 1)", "1.5", True),
        ("factorial(20)", "2432902008176640000", True),
        ("floor(-1.5)", "-2", True),
        ("(-1) ** 1000001", "-1", True),
        ("0 ** 0", "1", True),
        ("(2/3) ** -3", "3.375", True),
    ],
)
def test_values(expression: str, result: str, exact: bool) -> None:  # noqa: FBT001 - a table
    assert calculate(expression) == {"expression": expression, "result": result, "exact": exact}


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("1 / 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("10 ** 4000", "too large"),
        ("(2 ** 4000) * (2 ** 4000)", "too large"),
        ("factorial(201)", "0 to 200"),
        ("factorial(1.5)", "0 to 200"),
        ("1e999", "no value"),
        ("exp(1000)", "no value"),
        ("sqrt(-1)", "no value"),
        ("(-8) ** 0.5", "not a real number"),
        ("round(1, 99)", "at most 28"),
        ("max()", "no value"),
        ("", "not an arithmetic"),
        ("(" * 300, "not an arithmetic"),
        ("1" * 501, "longer than 500"),
        ("__import__('os')", "does not know Call"),
        ("(1).__class__", "does not know Attribute"),
        ("[1] * 9", "does not know List"),
        ("'a' * 9", "does not know Constant"),
        ("True + 1", "does not know Constant"),
        ("1j", "does not know Constant"),
        ("x", "does not know Name"),
        ("abs(*[1])", "does not know"),
    ],
)
def test_refusals(expression: str, says: str) -> None:
    with pytest.raises(ToolFailed, match=says):
        calculate(expression)


@settings(deadline=None)
@given(st.text(alphabet="0123456789.eE+-*/%^() ,pilogsqrtabcmxfr", max_size=60))
def test_any_text_ends_in_a_value_or_a_refusal(expression: str) -> None:
    try:
        result = calculate(expression)["result"]
    except ToolFailed as refused:
        result = str(refused)

    assert len(result) < 3000


numbers = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=1000)


@settings(deadline=None)
@given(numbers, st.sampled_from("+-*"), numbers)
def test_it_agrees_with_exact_fractions(left: Fraction, sign: str, right: Fraction) -> None:
    written = [f"(({number.numerator}) / {number.denominator})" for number in (left, right)]
    expression = f" {sign} ".join(written)
    expected = {"+": left + right, "-": left - right, "*": left * right}[sign]

    found = calculate(expression)

    if found["exact"]:
        assert Fraction(found["result"]) == expected
    else:
        assert abs(Fraction(found["result"]) - expected) <= abs(expected) / 10**27
