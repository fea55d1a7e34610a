"""Files: what is written is read back, and nothing half-written is left."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupack.errors import GpupackError, ProfileDataError, StoreError
from gpupack.examples import load_example
from gpupack.files import write_text
from gpupack.planning.placing import place
from gpupack.profile_set import ProfileSet
from gpupack.records.profile import FailedLoadPoint, LoadPoint, MeasurementWindow
from gpupack.records.running.verification import GpuVerification
from gpupack.store import (
    append_record,
    append_verification,
    open_verifications,
    read_placement,
    read_profile_file,
    read_verifications,
    write_placement,
    write_profiles,
)
from tests.factories import ENVIRONMENT, GPU, make_baseline, make_record

EVIL_NAMES = [
    'a"b',
    "a'b",
    "a,b",
    "a\nb",
    "a\r\nb",
    "a\u2028b",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a|b",
    "\x1b[31mred",
    " padded ",
    "日本語",
]


def failure(model_name: str) -> FailedLoadPoint:
    return FailedLoadPoint(
        model_name=model_name,
        load_point=LoadPoint(batch_size=8, concurrency=1),
        gpu_type=GPU,
        stage="load",
        message="CUDA out of memory\nat layer 3",
        environment=ENVIRONMENT,
    )


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_a_profile_set_survives_a_round_trip(tmp_path: Path, name: str) -> None:
    profiles = ProfileSet(
        records=(
            make_record(
                name, windows=(MeasurementWindow(duration_s=0.1, num_requests=3),)
            ),
            make_record("other", throughput_infer_per_sec=1 / 3),
        ),
        baselines=(make_baseline(309),),
        failures=(failure(name),),
    )
    path = tmp_path / "profiles.jsonl"

    write_profiles(profiles, path)

    assert read_profile_file(path) == profiles


@given(
    throughput=st.floats(min_value=1e-300, max_value=1e300, allow_subnormal=False),
    utilization=st.floats(min_value=0, max_value=100),
    memory=st.integers(min_value=0, max_value=2**62),
    name=st.text(min_size=1).filter(lambda text: text.isprintable()),
)
def test_no_digit_is_lost_in_a_file(
    tmp_path_factory: pytest.TempPathFactory,
    throughput: float,
    utilization: float,
    memory: int,
    name: str,
) -> None:
    record = make_record(
        name,
        throughput_infer_per_sec=throughput,
        gpu_utilization_percent=utilization,
        gpu_memory_used_bytes=memory,
    )
    path = tmp_path_factory.mktemp("store") / "profiles.jsonl"

    append_record(path, record)

    assert read_profile_file(path).records == (record,)


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_a_placement_survives_a_round_trip(tmp_path: Path, name: str) -> None:
    profiles = ProfileSet(records=(make_record(name),), baselines=(make_baseline(),))
    placement = place(profiles)
    path = tmp_path / "placement.json"

    write_placement(placement, path)

    assert read_placement(path) == placement


def test_every_cut_of_a_file_is_refused_or_recovered(tmp_path: Path) -> None:
    profiles = load_example("medical")
    path = tmp_path / "profiles.jsonl"
    write_profiles(profiles, path)
    whole = path.read_bytes()
    lines_before = {0}
    for position, byte in enumerate(whole, start=1):
        if byte == ord("\n"):
            lines_before.add(position)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        if length in lines_before:
            continue
        with pytest.raises(StoreError, match="ends within a line"):
            read_profile_file(path)
        recovered = read_profile_file(path, recover=True)
        kept = whole[:length].count(b"\n")
        assert len(recovered.records) + len(recovered.baselines) == kept


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "not a gpupack profile record"),
        ("[]", "not a gpupack profile record"),
        ("nonsense", "not JSON"),
        ('{"kind": "profile_record", "schema_version": 2}', "newer gpupack"),
        ('{"kind": "profile_record", "schema_version": "x"}', "schema version 'x'"),
        ('{"kind": "profile_record", "schema_version": 1}', "Field required"),
    ],
)
def test_a_line_that_is_no_record_is_named(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "profiles.jsonl"
    append_record(path, make_baseline())
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")

    with pytest.raises(StoreError, match=message) as caught:
        read_profile_file(path)

    assert "line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "not JSON, or not written to the end.*gpupack place --json",
        ),
        (
            '{"kind": "placement", "schema_version": 1',
            "not JSON, or not written to the end.*gpupack place --json",
        ),
        ('{"kind": "other"}', "not a gpupack placement"),
        ('{"kind": "placement", "schema_version": 99}', "newer gpupack"),
        ('{"kind": "placement", "schema_version": 1}', "Field required"),
    ],
)
def test_a_file_that_is_no_placement_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "placement.json"
    path.write_text(text)

    with pytest.raises(StoreError, match=message):
        read_placement(path)


def test_a_missing_file_and_one_that_is_not_text_are_store_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(StoreError, match="No such file"):
        read_profile_file(tmp_path / "absent")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="not UTF-8"):
        read_profile_file(binary)


def test_a_model_measured_twice_at_one_load_point_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    append_record(path, make_record())
    append_record(path, make_record(throughput_infer_per_sec=7))

    with pytest.raises(
        ProfileDataError, match="'resnet' has 2 records at load point 1x1"
    ):
        read_profile_file(path)


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    write_text(path, "old")
    with pytest.raises(StoreError):
        write_text(tmp_path / "absent" / "out.txt", "new")

    # A limit on the file size makes the kernel refuse the write half-way.
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from gpupack.errors import StoreError\n"
        "from gpupack.files import write_text\n"
        "try:\n"
        "    write_text(sys.argv[1], 'new' * 100_000)\n"
        "except StoreError as err:\n"
        "    print(err)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "cannot write" in run.stdout
    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["out.txt"]


def test_store_errors_are_bad_input_for_the_shell() -> None:
    assert issubclass(StoreError, GpupackError)
    assert StoreError.exit_code == 2


def verified(gpu_index: int) -> GpuVerification:
    return GpuVerification(
        placed="digest", gpu_index=gpu_index, models=(), memory_predicted_bytes=1
    )


def test_a_whole_verification_without_its_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "verified.jsonl"
    append_verification(path, verified(0))
    whole = path.read_bytes()
    path.write_bytes(whole.removesuffix(b"\n"))

    open_verifications(path).close()

    assert read_verifications(path) == (verified(0),)
    assert path.read_bytes() == whole


def test_a_damaged_verification_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "verified.jsonl"
    for index in range(2):
        append_verification(path, verified(index))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1].replace('"gpu_index":1', '"gpu_index":-1'))

    with pytest.raises(StoreError, match=r"line 2: .* verification: gpu_index is -1"):
        read_verifications(path)
    path.write_text(lines[0].replace('"schema_version":1', '"schema_version":9'))
    with pytest.raises(StoreError, match="line 1: schema version 9"):
        read_verifications(path)
    path.write_text(lines[0] + "oops\n" + lines[1])
    with pytest.raises(StoreError, match="holds something else at line 2"):
        read_verifications(path)


@pytest.mark.parametrize(
    "text",
    ["model,batch_size\nm,1\n", '{"foo": 1}\n', '{"kind": "placement"}\n', "hello"],
)
def test_a_record_is_not_appended_to_a_file_of_something_else(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)

    with pytest.raises(StoreError, match="something else than profiles"):
        append_record(path, make_record())

    assert path.read_text() == text
