"""The profiles that pages ask about: those of the start, and those dropped since."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gpupack.explore.jobs import LoadedSource

MOST_DROPPED = 12
"""Sets of profiles that were dropped on pages and are kept."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Profiles as the server keeps them; it never looks inside.

    Args:
        pickled: The profiles.
        words: Of a command line that names them.
        beside: What the table that they are in asks, as JSON; None if nothing.
    """

    pickled: bytes
    words: tuple[str, ...]
    beside: str | None


class DataSets:
    """Sets of profiles by id; of those that were dropped the oldest are forgotten."""

    def __init__(self, first: LoadedSource) -> None:
        self.first_id = first.view.data_id
        self._first = DataSet(first.pickled, first.words, first.beside)
        self._dropped: OrderedDict[str, DataSet] = OrderedDict()

    def add(self, data_id: str, data: DataSet) -> None:
        """Keep what was dropped on a page."""
        self._dropped[data_id] = data
        self._dropped.move_to_end(data_id)
        while len(self._dropped) > MOST_DROPPED:
            self._dropped.popitem(last=False)

    def find(self, data_id: str) -> DataSet | None:
        """Return profiles, None where they are not there any more."""
        if data_id in self._dropped:
            self._dropped.move_to_end(data_id)
            return self._dropped[data_id]
        return self._first if data_id == self.first_id else None

    def pickled(self, data_id: str) -> bytes:
        """Return profiles as processes are given them.

        Raises:
            KeyError: If they are not there any more.
        """
        found = self.find(data_id)
        if found is None:
            raise KeyError(data_id)
        return found.pickled
