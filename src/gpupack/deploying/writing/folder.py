"""One folder of files that are gpupack's, replaced as a whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.deploying.writing.digesting import digest_of
from gpupack.deploying.writing.repository import (
    remove_from_repository,
    restore_repository,
    stale_configurations,
    write_into_repository,
)
from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import AnyPath, as_path, cannot_write
from gpupack.quoting import listed, quoted
from gpupack.store import DEPLOYMENT_FILE, read_deployment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpupack.deploying.writing.generated_files import GeneratedFiles


def check_folder(folder: AnyPath, repository: Path) -> None:
    """Refuse to write over what is not gpupack's.

    Raises:
        InvalidInputError: If the folder is or is in the model repository, or has files
            that gpupack did not write, or that were changed since.
        StoreError: If it cannot be read.
    """
    path = as_path(folder)
    place = Path(os.path.realpath(path))
    if place == repository or repository in place.parents:
        raise InvalidInputError(
            f"the output folder {quoted(str(path))} is in the model repository, whose "
            "folders Triton takes for models: give one elsewhere"
        )
    if place == Path.cwd().resolve():
        raise InvalidInputError(
            "the output folder is the one that you are in, and is replaced as a whole: "
            "give one of its own, such as deployed"
        )
    if place in repository.parents:
        raise InvalidInputError(
            f"the output folder {quoted(str(path))} holds the model repository "
            f"{quoted(str(repository))}: give an empty or new one"
        )
    try:
        if not path.exists() and not path.is_symlink():
            return
        if not path.is_dir():
            raise InvalidInputError(
                f"{quoted(str(path))} is no folder: give an empty or new one"
            )
        there = dict(_contents(path))
    except OSError as err:
        raise StoreError(f"cannot read {quoted(str(path))}: {err.strerror}") from err
    if not there:
        return
    known: Mapping[str, str] = {}
    if (path / DEPLOYMENT_FILE).is_file():
        known = read_deployment(path).files
    foreign = sorted(
        name for name in there if name not in known and name != DEPLOYMENT_FILE
    )
    if foreign:
        raise InvalidInputError(
            f"{quoted(str(path))} has files that gpupack did not write: "
            f"{listed(foreign)}; give an empty or new folder, or move them away"
        )
    changed = sorted(
        name for name in there if known.get(name, there[name]) != there[name]
    )
    if changed:
        raise InvalidInputError(
            f"{quoted(str(path))} has files that were changed since gpupack wrote "
            f"them: {listed(changed)}; keep changes elsewhere, such as in a "
            "kustomize overlay or another values file, and remove these"
        )


def write_folder(folder: AnyPath, files: GeneratedFiles, repository: Path) -> None:
    """Put files in the place of what was in a folder, all of them or none.

    Configurations that the folder's deployment has in a model repository, and needs no
    more, are removed.

    Raises:
        StoreError: If that fails; then everything is as it was.
    """
    path = as_path(folder)
    place = Path(os.path.realpath(path))
    undo: list[tuple[Path, str | None]] = []
    try:
        if not place.parent.is_dir():
            raise StoreError(
                f"cannot write {quoted(str(path))}: the folder it is to be in does not "
                "exist; make it first"
            )
        fresh = Path(
            tempfile.mkdtemp(
                prefix=f".{place.name[:40]}.", suffix=".part", dir=place.parent
            )
        )
        try:
            _fill(fresh, files)
            for name, text in sorted(files.in_repository.items()):
                write_into_repository(repository / name, text, undo)
            for stale in stale_configurations(folder, files, repository):
                remove_from_repository(stale, undo)
            _exchange(fresh, place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            restore_repository(undo)
            raise
    except OSError as err:
        raise cannot_write(path, err) from err


def _fill(folder: Path, files: GeneratedFiles) -> None:
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)
    for name, text in sorted(files.texts.items()):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
        if name in files.executable:
            target.chmod(0o777 & ~umask)
    for name, led_to in sorted(files.links.items()):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(led_to)


def _exchange(fresh: Path, place: Path) -> None:
    """Rename a folder over another; the old one comes back if that fails."""
    if not place.exists():
        fresh.rename(place)
        return
    old = Path(
        tempfile.mkdtemp(prefix=f".{place.name[:40]}.", suffix=".old", dir=place.parent)
    )
    try:
        place.rename(old / place.name)
        try:
            fresh.rename(place)
        except BaseException:
            (old / place.name).rename(place)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every file below a folder, with what tells whether it was changed."""
    for parent, names, files in os.walk(folder):
        for name in (*names, *files):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                yield relative, f"link to {path.readlink()}"
            elif path.is_file():
                yield relative, digest_of(path.read_bytes())
            elif not path.is_dir():
                yield relative, "neither a file nor a folder"
