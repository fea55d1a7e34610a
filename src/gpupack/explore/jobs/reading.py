"""Read what was dropped on the page, or what the page was opened with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, TypedDict

from gpupack.errors import GpupackError
from gpupack.explore.jobs.asking import plain_json
from gpupack.explore.telling import SourceView, source_view
from gpupack.explore.workers import Event
from gpupack.importers.reader import examine
from gpupack.planning import profiles_of, wishes_beside
from gpupack.quoting import printable
from gpupack.records.request import Request
from gpupack.request_file import read_request

if TYPE_CHECKING:
    from pydantic.main import IncEx

    from gpupack.explore.workers import Bench
    from gpupack.files import AnyPath
    from gpupack.importers.tables.reading import Reading
    from gpupack.profile_set import ProfileSet

MOST_NAME = 120
"""Letters of a dropped file's name that are kept."""
_OF_A_RECORD: IncEx = {"__all__": {"environment", "warnings"}}
_WHERE_FROM: IncEx = {
    "records": _OF_A_RECORD,
    "baselines": _OF_A_RECORD,
    "failures": True,
    "notes": True,
}
"""What says where numbers were read: the same ones are the same data, wherever from."""
_REQUEST_ENDINGS = (".yaml", ".yml", ".toml")


class Knowledge(TypedDict):
    """Keyword arguments of ``read_profiles()``."""

    model_name: str | None
    batch_size: int | None
    columns: dict[str, str]
    units: dict[str, str]


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """Profiles that were read.

    Args:
        view: What they hold.
        pickled: The profiles.
        words: Of a command line that names them.
        beside: What the table that they are in asks, as JSON; None if nothing.
    """

    view: SourceView
    pickled: bytes
    words: tuple[str, ...]
    beside: str | None


def load_source(source: str, knowledge: Knowledge) -> LoadedSource:
    """Return the profiles of a file, or of a built-in example.

    Args:
        source: A path, or the name of an example.
        knowledge: What the file does not say itself.

    Raises:
        GpupackError: If they cannot be read.
    """
    readings: list[Reading] = []

    def read(path: AnyPath) -> ProfileSet:
        readings.append(examine(path, **knowledge))
        return readings[0].profiles

    profiles = profiles_of(source, read=read)
    beside = wishes_beside(
        source,
        columns=knowledge["columns"],
        model_name=knowledge["model_name"],
        batch_size=knowledge["batch_size"],
        units=knowledge["units"],
    )
    digest = hashlib.sha256(profiles.model_dump_json(exclude=_WHERE_FROM).encode())
    words = [source]
    for flag, value in (
        ("--model-name", knowledge["model_name"]),
        ("--batch-size", knowledge["batch_size"]),
    ):
        words += [] if value is None else [flag, str(value)]
    for flag, pairs in (("--column", "columns"), ("--unit", "units")):
        for name, meaning in (
            knowledge["columns"] if pairs == "columns" else knowledge["units"]
        ).items():
            words += [flag, f"{name}={meaning}"]
    reading = readings[0] if readings else None
    name = source if reading is None else Path(source).name
    return LoadedSource(
        view=source_view(digest.hexdigest()[:24], name, profiles, reading),
        pickled=pickle.dumps(profiles),
        words=tuple(words),
        beside=None if beside is None else plain_json(beside),
    )


@dataclass(frozen=True, slots=True)
class ReadJob:
    """A file that was dropped on the page.

    Args:
        name: As the browser tells it.
        content: Its bytes.
    """

    name: str
    content: bytes

    @property
    def data_ids(self) -> tuple[str, ...]:
        """None: it brings its own."""
        return ()

    def run(self, bench: Bench) -> None:
        """Tell ``source`` with the profiles, ``request``, or ``refused``."""
        name = _plain_name(self.name)
        with (
            tempfile.TemporaryDirectory(prefix="gpupack-explore-") as folder,
            # Where it lies meanwhile is nothing to be told, in messages or in records.
            contextlib.chdir(folder),
        ):
            path = Path(name)
            try:
                path.write_bytes(self.content)
                request = self._request(path)
                if request is not None:
                    bench.tell(Event("request", plain_json(request)))
                    return
                knowledge = Knowledge(
                    model_name=None, batch_size=None, columns={}, units={}
                )
                loaded = load_source(name, knowledge)
            except GpupackError as err:
                told = json.dumps({"message": printable(str(err))})
                bench.tell(Event("refused", told))
                return
        text = json.dumps(
            {
                "view": loaded.view.model_dump(mode="json"),
                "beside": None if loaded.beside is None else json.loads(loaded.beside),
                "words": [name, *loaded.words[1:]],
            },
            ensure_ascii=False,
        )
        bench.tell(Event("source", text, loaded.pickled))

    def _request(self, path: Path) -> Request | None:
        """Return the request that a file holds, None if it is no request."""
        ending = path.suffix.lower()
        if ending in _REQUEST_ENDINGS:
            return read_request(path)
        if ending == ".json":
            head = self.content[:2000]
            if b'"kind"' in head and (b'"request"' in head or b'"placement"' in head):
                return read_request(path)
        return None


def _plain_name(name: str) -> str:
    """Return a name for a file in a folder of ours, whatever a browser says."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    plain = "".join(
        one if one.isprintable() and one not in "/\\" else "_" for one in last
    )
    stem, ending = Path(plain).stem[:MOST_NAME], Path(plain).suffix[:20]
    return f"{stem.lstrip('.') or 'dropped'}{ending}"
