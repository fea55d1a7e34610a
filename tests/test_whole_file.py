"""Files that are written whole or not at all: links, pipes and folders."""

import os
import threading
from pathlib import Path

import pytest

from gpupack.errors import StoreError
from gpupack.whole_file import write_text


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    target, link = tmp_path / "results" / "real.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)

    write_text(link, "new")

    assert link.is_symlink()
    assert target.read_text() == "new"
    assert {one.name for one in tmp_path.iterdir()} == {"results", "link.txt"}


def test_a_link_to_nothing_yet_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "later.txt")

    write_text(link, "new")

    assert link.is_symlink()
    assert (tmp_path / "later.txt").read_text() == "new"


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)

    write_text(path, "text")

    assert path.read_text() == "text"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    # As /dev/stdout and /dev/null are: renaming over them would take them away.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()

    write_text(pipe, "passed on")

    reader.join(timeout=30)
    assert read == ["passed on"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("path", ["", "."])
def test_a_folder_is_no_file_to_write(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreError, match="cannot write .*folder"):
        write_text(path, "text")
    assert list(tmp_path.iterdir()) == []
