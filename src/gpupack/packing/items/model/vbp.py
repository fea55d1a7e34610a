"""Vector bin packing instances as text: the ``.vbp`` format."""

from __future__ import annotations

from gpupack.errors import GpupackError, InvalidInputError
from gpupack.packing.items.model.problem import ItemType, PackingProblem


def parse_vbp(text: str, *, name: str) -> PackingProblem:
    """Return the problem that ``.vbp`` text describes.

    The format: the number of dimensions; one capacity each; the number of item
    types; then per type its sizes and its count. Line breaks do not matter.

    Args:
        text: Content of the file.
        name: Of the file, for messages.

    Raises:
        InvalidInputError: If the text is not such a description, or describes
            no valid problem.
    """
    tokens = text.split()
    try:
        numbers = [int(token) for token in tokens]
    except ValueError as err:
        bad = next(token for token in tokens if not _is_integer(token))
        raise InvalidInputError(
            f"{name}: {bad!r} is not an integer; a .vbp file holds integers only"
        ) from err
    if not numbers or numbers[0] < 1:
        raise InvalidInputError(
            f"{name}: a .vbp file starts with its number of dimensions, at least 1"
        )
    num_dimensions = numbers[0]
    if len(numbers) < num_dimensions + 2:
        raise InvalidInputError(
            f"{name}: ends before {num_dimensions} capacities and the number of "
            "item types"
        )
    capacity = tuple(numbers[1 : num_dimensions + 1])
    num_types = numbers[num_dimensions + 1]
    rows = numbers[num_dimensions + 2 :]
    width = num_dimensions + 1
    if num_types < 0 or len(rows) != num_types * width:
        raise InvalidInputError(
            f"{name}: announces {num_types} item types of {num_dimensions} sizes and "
            f"a count each, {num_types * width} numbers, but holds {len(rows)}"
        )
    item_types = tuple(
        ItemType(tuple(rows[start : start + num_dimensions]), rows[start + width - 1])
        for start in range(0, len(rows), width)
    )
    try:
        return PackingProblem(capacity, item_types)
    except GpupackError as err:
        raise type(err)(f"{name}: {err}") from err


def format_vbp(problem: PackingProblem) -> str:
    """Return the problem as ``.vbp`` text."""
    lines = [
        str(problem.num_dimensions),
        " ".join(map(str, problem.capacity)),
        str(problem.num_types),
    ]
    lines += [
        " ".join(map(str, (*item_type.sizes, item_type.count)))
        for item_type in problem.item_types
    ]
    return "\n".join(lines) + "\n"


def _is_integer(token: str) -> bool:
    try:
        int(token)
    except ValueError:
        return False
    return True
