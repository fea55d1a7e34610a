"""Tables as data frames of pandas, which comes with an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def frame_of(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return a data frame with a row per mapping, and a column per key.

    Raises:
        MissingExtraError: If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as err:
        raise MissingExtraError(
            "to_frame() needs pandas: pip install 'gpupack[frames]'"
        ) from err
    return pd.DataFrame(rows)
