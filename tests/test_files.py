"""Files that others own stay as they are; ours are mended, locked and kept whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpupack.errors import StoreError
from gpupack.files import append_line, lock_file, write_text
from gpupack.profiling.sweep.sweep_store import SweepStore
from gpupack.store import (
    append_record,
    append_verification,
    open_verifications,
    read_profile_file,
    read_verifications,
    write_profiles,
)
from tests.deploy.test_verify import verified
from tests.factories import make_baseline, make_profiles, make_record

FOREIGN = [
    "notes of mine, in one line",
    '{"title": "some other tool\'s file"}',
    '{"title": "cut off by that to',
    "model_name,batch_size\nresnet,8",
    "a line\nanother",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_store_that_gpupack_never_wrote_is_refused_and_left_alone(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "mine"
    path.write_text(text)

    with pytest.raises(StoreError, match="line 1: not"), SweepStore(path):
        pass
    with pytest.raises(StoreError, match="but verifications are wanted"):
        open_verifications(path)

    assert path.read_text() == text


def test_reading_verifications_changes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "verified.jsonl"
    append_verification(path, verified())
    cut = path.read_bytes() + path.read_bytes()[:40]
    path.write_bytes(cut)

    assert read_verifications(path) == (verified(),)
    assert path.read_bytes() == cut

    open_verifications(path).close()
    append_verification(path, verified())
    assert read_verifications(path) == (verified(), verified())


def test_a_name_with_a_line_separator_is_verified_once(tmp_path: Path) -> None:
    path = tmp_path / "verified.jsonl"
    run = verified().model_copy(update={"placed": "a\u2028b\x85c"})
    append_verification(path, run)

    assert read_verifications(path) == (run,)


def test_a_last_record_that_lacks_only_its_newline_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    write_profiles(make_profiles(make_record("a")), path)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))  # as some editors save

    assert read_profile_file(path).model_names == ("a",)

    with SweepStore(path) as store:
        store.add(make_record("b"))
    assert read_profile_file(path).model_names == ("a", "b")


def test_a_store_cut_within_a_letter_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    write_profiles(make_profiles(make_record("a"), make_record("日本")), path)
    cut = path.read_bytes().rindex("日".encode()) + 1  # one of its three bytes
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(StoreError, match="ends within a line"):
        read_profile_file(path)
    with SweepStore(path) as store:
        store.add(make_record("日本"))

    assert read_profile_file(path).model_names == ("a", "日本")


def test_a_line_that_does_not_fit_on_the_disk_leaves_the_file_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "profiles.jsonl"
    append_record(path, make_baseline())
    before = path.read_bytes()
    limit = len(before) + 100  # the kernel takes 100 bytes more, and refuses the rest
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from gpupack.errors import StoreError\n"
        "from gpupack.files import append_line\n"
        "try:\n"
        "    append_line(sys.argv[1], 'x' * 1000)\n"
        "except StoreError as err:\n"
        "    print(err)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "make room" in run.stdout
    assert path.read_bytes() == before


def test_a_second_verification_into_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verified.jsonl"
    with (
        open_verifications(path),
        pytest.raises(StoreError, match="another verification is writing to"),
    ):
        open_verifications(path)
    open_verifications(path).close()


def test_a_file_replaced_before_it_was_locked_is_locked_in_its_new_form(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store"
    write_text(path, "old")
    first = lock_file(path, writer="sweep", option="--store")
    write_text(path, "new")  # as a sweep does that replaces a record

    with lock_file(path, writer="sweep", option="--store") as second:
        assert os.path.samestat(os.fstat(second.fileno()), path.stat())
    first.close()


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to("real.json")

    write_text(link, "first")  # it leads to nothing yet
    write_text(link, "second")

    assert link.is_symlink()
    assert real.read_text() == "second"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.json", "real.json"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()

    write_text(pipe, "result")

    reader.join(10)
    assert found == ["result"]
    assert pipe.is_fifo()


def test_the_names_of_standard_output_lead_to_it() -> None:
    code = (
        "import sys; from gpupack.files import write_text; write_text(sys.argv[1], 'x')"
    )
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        before = os.lstat("/dev/stdout")
        run = subprocess.run(
            [sys.executable, "-c", code, name], capture_output=True, check=True
        )
        assert run.stdout == b"x"
        assert os.path.samestat(before, os.lstat("/dev/stdout"))


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_text(path, "x")
    assert path.read_text() == "x"

    with pytest.raises(StoreError, match="too long; give a shorter one"):
        write_text(tmp_path / ("n" * 256), "x")


def test_a_folder_in_place_of_a_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it is a folder; name a file in it"):
        write_text(tmp_path, "x")
    with pytest.raises(StoreError, match="it is a folder; name a file in it"):
        append_line(tmp_path, "x")


def test_nested_brackets_without_end_are_no_json(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text('{"kind":' + "[" * 100_000 + "\n")

    with pytest.raises(StoreError, match="line 1: not JSON"):
        read_profile_file(path)


def test_a_link_to_nothing_yet_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "later.txt")

    write_text(link, "new")

    assert link.is_symlink()
    assert (tmp_path / "later.txt").read_text() == "new"


@pytest.mark.parametrize("path", ["", "."])
def test_a_folder_is_no_file_to_write(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreError, match="cannot write .*folder"):
        write_text(path, "text")
    assert list(tmp_path.iterdir()) == []
