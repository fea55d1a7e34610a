"""Several files of one source read as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.importers.agreement.repeats import joined_baselines, joined_repeats
from gpupack.importers.tables.reading import Reading
from gpupack.profile_set import ProfileSet
from gpupack.quoting import listed

if TYPE_CHECKING:
    from collections.abc import Sequence


def merged(parts: Sequence[Reading], others: Sequence[str] = ()) -> Reading:
    """Return what several files say together.

    Args:
        parts: What each says.
        others: Names of files beside them that hold no profiles.

    Raises:
        ProfileDataError: If two contradict each other; names both.
    """
    passed_over = [f"not profiles, and not read: {listed(others)}"] if others else []
    if len(parts) == 1 and not others:
        return parts[0]
    records = [
        (one, part.sources[0].where) for part in parts for one in part.profiles.records
    ]
    baselines = [
        (one, part.sources[0].where)
        for part in parts
        for one in part.profiles.baselines
    ]
    joined, repeats = joined_repeats(
        [one for one, _ in records], where=lambda index: records[index][1]
    )
    return Reading(
        ProfileSet(
            records=tuple(joined),
            baselines=tuple(
                joined_baselines(
                    [one for one, _ in baselines],
                    where=lambda index: baselines[index][1],
                )
            ),
            notes=(
                *(one for part in parts for one in part.profiles.notes),
                *repeats,
                *passed_over,
            ),
        ),
        tuple(source for part in parts for source in part.sources),
    )
