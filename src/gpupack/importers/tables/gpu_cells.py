"""On what a row of a table was measured: a type of GPU, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, ProfileDataError
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.values import count
from gpupack.quoting import quoted
from gpupack.records.gpu import (
    HOST_NAME_PREFIX,
    DeviceKind,
    GpuType,
    find_gpu_type,
)
from gpupack.spelling import setting
from gpupack.spreadsheet_cells import cell_text

if TYPE_CHECKING:
    from gpupack.importers.tables.table_content import TableContent


def require_one_gpu(content: TableContent, index: int) -> None:
    """Check that a row is of one GPU.

    Raises:
        ProfileDataError: If several served it: what one of them gives is not known.
    """
    cell = content.cell("num_gpus", index)
    if is_missing(cell):
        return
    where = content.cell_name("num_gpus", index)
    number = count(cell, where, least=0)
    if number > 1:
        raise ProfileDataError(
            f"{where} is {number}: what {number} GPUs reach together is promised of "
            "none of them; measure on one, or remove the row"
        )


def gpu_type_of(
    content: TableContent, index: int, known: dict[str, GpuType]
) -> GpuType:
    """Return the type of GPU that a row names, or else the table's.

    Args:
        content: The table.
        index: Of the row.
        known: Types by cell, of the rows before; gets this row's.

    Raises:
        ProfileDataError: If no such type is known.
    """
    cell = content.cell("gpu", index)
    if cell in known:
        return known[cell]
    name = cell_text(cell)
    if is_missing(name):
        return content.gpu_type
    try:
        gpu_type = find_gpu_type(name)
    except GpupackError as err:
        title = quoted(content.uses["gpu"].title)
        raise ProfileDataError(
            f"{content.table.row_name(index)}: {err}; the column says on which type of "
            "GPU, one, a row was measured: leave it out if it says something else "
            + "("
            + setting(
                "columns", python=f"{{{title}: 'ignore'}}", shell=f"{title}=ignore"
            )
            + ")"
        ) from err
    if name.startswith(HOST_NAME_PREFIX):
        gpu_type = gpu_type.model_copy(update={"kind": DeviceKind.HOST})
    known[cell] = gpu_type
    return gpu_type
