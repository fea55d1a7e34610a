"""Numbers as people and spreadsheets write them: the cells of a table."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

_MISSING = frozenset(
    [
        *("", "-", "--", "–", "—", "?", ".", "none", "null", "nil", "na", "n/a"),
        *("n.a.", "#n/a", "not available", "not supported", "[not supported]"),
        *("[n/a]", "[unknown error]", "unknown", "not measured", "missing"),
    ]
)
_NUMBER = re.compile(
    r"([+-]?(?:\d[\d.,'’_\s]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*)?", re.DOTALL
)
_GROUPS_OF_THREE = re.compile(r"[+-]?\d{1,3}(?:[\s'’_]\d{3})+(?:[.,]\d+)?")
_PLAIN_UNITS = frozenset(["%", "MiB", "MB", "GiB", "GB", "ms", "us", "s", "W"])
_ANY_DIGIT = str.maketrans("123456789", "0" * 9)
_SPACING = re.compile(r"[\s'’_]")
_GROUPED = {
    mark: re.compile(rf"[+-]?\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+") for mark in ".,"
}


def is_missing(text: str) -> bool:
    """Return whether a cell says that there is no value: ``""``, ``N/A``, ``-``."""
    if "0" <= text[:1] <= "9":
        return False  # as nearly all cells, which are many
    return text.strip().casefold() in _MISSING


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How a table writes numbers.

    Args:
        decimal: What stands before the decimals: ``"."`` or ``","``; the other one
            separates thousands.
        note: What was assumed to know it; empty if the cells leave no doubt.
    """

    decimal: str = "."
    note: str = ""

    def parse(self, text: str) -> tuple[float, str]:
        """Return a cell's number and the unit written behind it, if any.

        Raises:
            ValueError: If the cell is no number, or not a finite one.
        """
        number, _, unit = text.partition(" ")
        whole, mark, decimals = number.partition(self.decimal)
        if (
            whole.isdecimal()
            and (decimals.isdecimal() or not mark)
            and (not unit or unit in _PLAIN_UNITS)
            and number.isascii()
            and len(number) < 300
        ):
            return float(f"{whole}.{decimals}"), unit  # as nearly all, which are many
        found = _NUMBER.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a number")
        digits, unit = found[1].strip(), (found[2] or "").strip()
        if _SPACING.search(digits):
            mantissa = digits.partition("e")[0].partition("E")[0]
            if not _GROUPS_OF_THREE.fullmatch(mantissa):
                raise ValueError("not a number")
            digits = _SPACING.sub("", digits)
        thousands = "," if self.decimal == "." else "."
        if thousands in digits:
            whole = digits.partition(self.decimal)[0]
            if not _GROUPED[thousands].fullmatch(whole):
                raise ValueError("not a number")
            digits = whole.replace(thousands, "") + digits[len(whole) :]
            if thousands in digits:
                raise ValueError("not a number")
        value = float(digits.replace(self.decimal, "."))
        if not math.isfinite(value):
            raise ValueError("not a finite number")
        return value, unit


def number_style(cells: Sequence[str], *, where: str, separator: str) -> NumberStyle:
    """Return how the numbers of a table are written, from all of them.

    ``1,234`` alone can be a thousand or one and a bit: what the other cells do decides,
    and commas between cells say that a comma within one separates thousands.

    Args:
        cells: Those that hold numbers.
        where: Name of the table for messages.
        separator: What stands between cells.

    Raises:
        ProfileDataError: If cells are written in both ways, or may be read in both.
    """
    if separator != ";" and not any("," in cell for cell in cells):
        return NumberStyle()  # points can only be decimal ones
    evidence: dict[str, str] = {}
    open_cells: dict[str, str] = {}
    # Most cells are alike but for their digits, and tell the same; a zero in front
    # tells more.
    alike: dict[tuple[bool, str], str] = {}
    for cell in cells:
        begins_with_0 = cell.lstrip("+-").startswith("0")
        alike.setdefault((begins_with_0, cell.translate(_ANY_DIGIT)), cell)
    for cell in alike.values():
        if "," not in cell and "." not in cell:
            continue
        found = _NUMBER.fullmatch(cell.strip())
        if found is None:
            continue
        digits = _SPACING.sub("", found[1]).partition("e")[0].partition("E")[0]
        decimal, is_certain = _decimal_mark(digits)
        (evidence if is_certain else open_cells).setdefault(decimal, cell.strip())
    if len(evidence) == 2:
        raise ProfileDataError(
            f"{where}: {quoted(evidence['.'])} has a decimal point and "
            f"{quoted(evidence[','])} a decimal comma; write all numbers in one way"
        )
    if evidence:
        return NumberStyle(next(iter(evidence)))
    if not open_cells:
        return NumberStyle()
    if separator == "," or (separator == "\t" and "," not in open_cells):
        if "," not in open_cells:
            return NumberStyle()
        if "." not in open_cells:
            cell = open_cells[","]
            return NumberStyle(
                ".", note=f"{quoted(cell)} was read as {cell.replace(',', '')}"
            )
    cell = next(iter(open_cells.values()))
    raise ProfileDataError(
        f"{where}: {quoted(cell)} may be {cell.replace(',', '').replace('.', '')} or "
        f"{cell.replace(',', '.')}; write numbers without thousands separators and "
        "with decimal points"
    )


def _decimal_mark(digits: str) -> tuple[str, bool]:
    """Return what a number's decimal mark is, and whether that is certain.

    Where it is not, the mark returned is the one that the number has.
    """
    last_point, last_comma = digits.rfind("."), digits.rfind(",")
    if last_point >= 0 and last_comma >= 0:
        return (".", True) if last_point > last_comma else (",", True)
    mark = "." if last_point >= 0 else ","
    other = "," if mark == "." else "."
    if not _GROUPED[mark].fullmatch(digits) or digits.lstrip("+-").startswith("0"):
        return mark, True
    return (other, True) if digits.count(mark) > 1 else (mark, False)
