"""Files that others own stay as they are; ours are mended, locked and kept whole."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gpupack
from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import read_bytes, write_text
from gpupack.json_lines import JsonLinesFile
from gpupack.profiling.sweep.sweep_store import SweepStore
from gpupack.store import (
    append_record,
    append_verification,
    open_verifications,
    read_profile_file,
    read_verifications,
    write_profiles,
)
from tests.factories import make_baseline, make_profiles, make_record
from tests.verifying.test_verify import verified

if TYPE_CHECKING:
    from collections.abc import Callable


def opened(path: Path) -> JsonLinesFile:
    return JsonLinesFile(path, ["kind"], writer="sweep", option="--store")


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
        "from gpupack.json_lines import JsonLinesFile\n"
        "try:\n"
        "    file = JsonLinesFile(sys.argv[1], ['kind'], writer='w', option='o')\n"
        "    file.append('x' * 1000)\n"
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


def test_ctrl_c_after_a_line_was_written_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profiles.jsonl"

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with opened(path) as file:
        file.append('{"kind": "first"}')
        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            file.append('{"kind": "second"}')

    assert path.read_text() == '{"kind": "first"}\n{"kind": "second"}\n'


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
    first = opened(path)
    write_text(path, "new\n")  # as another program does that saves it

    with opened(path) as second:
        second.append("of the second")
        with pytest.raises(StoreError, match="another sweep is writing"):
            first.append("lost otherwise")
    first.close()
    assert path.read_text() == "new\nof the second\n"


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
        opened(tmp_path)


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


def test_a_replaced_record_leaves_no_file_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    with SweepStore(tmp_path / "profiles.jsonl") as store:
        store.add(make_record("a"))
        before = len(list(descriptors.iterdir()))
        for rate in range(1, 21):
            store.add(make_record("a", throughput_infer_per_sec=rate))
        assert len(list(descriptors.iterdir())) == before
        with pytest.raises(StoreError, match="another sweep is writing"):
            opened(store.path or tmp_path)
    (record,) = read_profile_file(tmp_path / "profiles.jsonl").records
    assert record.throughput_infer_per_sec == 20


def test_a_file_keeps_its_mode_when_it_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    path.touch(mode=0o600)
    path.chmod(0o600)
    with SweepStore(path) as store:
        store.add(make_record("a"))
        store.add(make_record("a", throughput_infer_per_sec=7))  # rewrites it
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o640)
    write_profiles(make_profiles(make_record("a")), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    link = tmp_path / "link"
    link.symlink_to(path)
    write_text(link, "x")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to somebody else")
def test_a_file_keeps_its_owner_when_root_rewrites_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("x")
    os.chown(path, 1234, 2345)

    write_text(path, "y")

    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_a_new_file_is_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_two_processes_that_append_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    code = (
        "import sys\n"
        "from gpupack.errors import StoreError\n"
        "from gpupack.json_lines import JsonLinesFile\n"
        "done = 0\n"
        "while done < 100:\n"
        "    try:\n"
        "        with JsonLinesFile(\n"
        "            sys.argv[1], ['by'], writer='w', option='o'\n"
        "        ) as file:\n"
        '            file.append(\'{"by":"%s","n":%d}\' % (sys.argv[2], done))\n'
        "            done += 1\n"
        "    except StoreError:\n"
        "        pass\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"
    ]
    assert [run.wait(60) for run in runs] == [0, 0]

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for name in "ab":
        assert [one["n"] for one in lines if one["by"] == name] == list(range(100))


def test_what_a_killed_process_left_is_cut_off_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    code = (
        "import os, signal, sys\n"
        "from gpupack.json_lines import JsonLinesFile\n"
        "file = JsonLinesFile(sys.argv[1], ['kind'], writer='w', option='o')\n"
        "file.append('{\"kind\":1}')\n"
        "write = os.write\n"
        "def half(handle, data):\n"
        "    write(handle, data[: len(data) // 2])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.write = half\n"
        'file.append(\'{"kind":2,"text":"%s"}\' % (\'x\' * 50))\n'
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert run.returncode == -9
    assert not path.read_text().endswith("\n")

    with opened(path) as file:  # the lock went with the process
        file.append('{"kind":3}')

    assert path.read_text() == '{"kind":1}\n{"kind":3}\n'


def test_a_whole_file_is_not_written_over_one_that_a_sweep_appends_to(
    tmp_path: Path,
) -> None:
    path = tmp_path / "profiles.jsonl"
    with SweepStore(path) as store:
        store.add(make_record("a"))
        with pytest.raises(StoreError, match="another run is writing"):
            write_profiles(make_profiles(make_record("b")), path)
    assert read_profile_file(path).model_names == ("a",)


def test_a_store_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path, moved = tmp_path / "profiles.jsonl", tmp_path / "moved"
    with SweepStore(path) as store:
        store.add(make_record("a"))
        path.rename(moved)
        store.add(make_record("b"))

    assert read_profile_file(path).model_names == ("b",)
    assert read_profile_file(moved).model_names == ("a",)


ENDLESS = ["/dev/zero", "/dev/urandom", "/dev/full", "/dev/tty", "/dev/ptmx"]


@pytest.mark.parametrize("path", ENDLESS)
@pytest.mark.parametrize(
    "read", [gpupack.read_profiles, read_profile_file, gpupack.read_placement]
)
def test_what_has_no_end_is_not_read(path: str, read: Callable[[str], object]) -> None:
    with pytest.raises(StoreError, match="it is a (device|terminal)|No such device"):
        read(path)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="it is a named pipe; .* /dev/stdin"):
        gpupack.read_profiles(tmp_path / "pipe")


def test_a_socket_and_a_folder_are_not_read(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(StoreError, match="cannot read .*: No such device"):
            gpupack.read_profiles(tmp_path / "s")
    with pytest.raises(StoreError, match="it is a folder"):
        gpupack.read_placement(tmp_path)


def test_a_file_of_a_terabyte_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(StoreError, match="it holds 1,048,576 MiB, and at most 512"):
        gpupack.read_profiles(path)


def test_a_pipe_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpupack.files.MAX_FILE_BYTES", 100_000)
    for size, is_read in ((100_000, True), (100_001, False)):
        reading, writing = os.pipe()
        writer = threading.Thread(target=_fill, args=(writing, size))
        writer.start()
        try:
            if is_read:
                assert len(read_bytes(f"/dev/fd/{reading}")) == size
            else:
                with pytest.raises(StoreError, match="it holds more, and at most"):
                    read_bytes(f"/dev/fd/{reading}")
        finally:
            os.close(reading)
            writer.join(10)


def _fill(handle: int, size: int) -> None:
    with suppress(BrokenPipeError), os.fdopen(handle, "wb") as file:
        file.write(b"x" * size)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"BZh\xff", "compressed by bzip2; unpack it: bunzip2"),
        (b"PK\x03\x04\xff", "a spreadsheet; .* CSV, .*read_excel"),
        (b"PAR1\xff", "a Parquet file; write it as CSV: .*read_parquet"),
        (b"SQLite format 3\0", "zero bytes: it is an SQLite database; .*sqlite3"),
        (b"\xff\x00", "not UTF-8: .*; save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(StoreError, match=told):
        gpupack.read_profiles(tmp_path / "x")


@pytest.mark.parametrize("path", [None, 42, b"profiles.csv", ["a"]])
def test_what_is_no_path_is_told(path: object) -> None:
    for function in (gpupack.read_profiles, gpupack.read_placement):
        with pytest.raises(InvalidInputError, match="is no path"):
            function(path)  # type: ignore[operator]
    with pytest.raises(InvalidInputError, match="is no path"):
        gpupack.write_profiles(make_profiles(make_record("a")), path)  # type: ignore[arg-type]


def test_a_disk_that_takes_no_files_is_told() -> None:
    # /proc lets nobody make a file, not even root.
    with pytest.raises(StoreError, match="cannot write '/proc/profiles.jsonl': "):
        opened(Path("/proc/profiles.jsonl"))
    with pytest.raises(StoreError, match="cannot write '/proc/profiles.jsonl': "):
        write_profiles(make_profiles(make_record("a")), "/proc/profiles.jsonl")


def test_a_file_made_for_lines_that_never_came_is_removed(tmp_path):
    path = tmp_path / "profiles.jsonl"
    with JsonLinesFile(path, ("{",), writer="sweep", option="--store"):
        assert path.exists()
    assert not path.exists()

    path.write_bytes(b"")
    with JsonLinesFile(path, ("{",), writer="sweep", option="--store"):
        pass
    assert path.exists(), "it was there before"
