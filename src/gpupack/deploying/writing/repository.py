"""Configurations in the user's model repository: which of them are a deployment's."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.deploying.plan import CONFIGURATIONS, MARK, is_own
from gpupack.deploying.writing.digesting import digest_of
from gpupack.errors import InvalidInputError
from gpupack.files import as_path, read_text
from gpupack.quoting import quoted
from gpupack.spelling import setting
from gpupack.store import DEPLOYMENT_FILE, read_deployment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.deploying.writing.generated_files import GeneratedFiles
    from gpupack.files import AnyPath


def repository_digests(files: GeneratedFiles, repository: Path) -> dict[str, str]:
    """Return what tells a deployment's configurations in a repository, by whole path.

    By whole path, since a folder may be deployed to again with another repository.
    """
    return {
        str(repository / name): digest_of(text.encode())
        for name, text in sorted(files.in_repository.items())
    }


def check_repository(folder: AnyPath, files: GeneratedFiles, repository: Path) -> None:
    """Refuse to write over configurations that are not this deployment's.

    Its own are those that the folder's ``deployment.json`` names, as long as nobody
    changed them.

    Args:
        folder: Of the deployment; it need not exist.
        files: With what is to be written into the repository.
        repository: The user's.

    Raises:
        InvalidInputError: Naming the file.
        StoreError: If one cannot be read.
    """
    known = _written_before(folder) if files.in_repository else {}
    for name in sorted(files.in_repository):
        path = repository / name
        if not path.exists():
            continue
        text = read_text(path) if path.is_file() else ""
        if not is_own(text):
            raise InvalidInputError(
                f"{quoted(str(path))} does not begin with {MARK!r}, so it is not "
                "gpupack's: rename it, or deploy into an overlay"
            )
        before = known.get(str(path))
        if before is None:
            raise InvalidInputError(
                f"{quoted(str(path))} is of another deployment, not the one in "
                f"{quoted(str(as_path(folder)))}: write over that one's folder, remove "
                "the file if nothing runs by it, or leave out "
                f"{setting('in_repository')}"
            )
        if before != digest_of(text.encode()):
            raise InvalidInputError(
                f"{quoted(str(path))} was changed since gpupack wrote it: change the "
                "model's config.pbtxt instead, and remove this"
            )


def stale_configurations(
    folder: AnyPath, files: GeneratedFiles, repository: Path
) -> tuple[Path, ...]:
    """Return configurations that a deployment wrote before, and needs no more.

    What was changed since is not among them.
    """
    kept = {str(repository / name) for name in files.in_repository}
    return tuple(
        Path(text)
        for text, digest in sorted(_written_before(folder).items())
        if text not in kept and _is_unchanged(Path(text), digest)
    )


def write_into_repository(
    path: Path, text: str, undo: list[tuple[Path, str | None]]
) -> None:
    """Write one configuration; how it was is added to ``undo``."""
    before = read_text(path) if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    undo.append((path, before))
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


def remove_from_repository(path: Path, undo: list[tuple[Path, str | None]]) -> None:
    """Remove one configuration, and its folder where nothing else is in it."""
    undo.append((path, read_text(path)))
    path.unlink()
    with suppress(OSError):
        path.parent.rmdir()


def restore_repository(undo: list[tuple[Path, str | None]]) -> None:
    """Make the repository what it was before what ``undo`` tells of."""
    for path, before in reversed(undo):
        with suppress(OSError):
            path.with_name(f".{path.name}.part").unlink(missing_ok=True)
            if before is None:
                path.unlink(missing_ok=True)
                path.parent.rmdir()  # only if it was made for this, and is empty
            else:
                path.parent.mkdir(exist_ok=True)
                path.write_text(before, encoding="utf-8", newline="\n")


def _written_before(folder: AnyPath) -> Mapping[str, str]:
    path = as_path(folder)
    if not (path / DEPLOYMENT_FILE).is_file():
        return {}
    return read_deployment(path).repository_files


def _is_unchanged(path: Path, digest: str) -> bool:
    # A deployment.json from elsewhere must not name what is none of gpupack's.
    if path.parent.name != CONFIGURATIONS or not path.is_file():
        return False
    text = read_text(path)
    return is_own(text) and digest_of(text.encode()) == digest
