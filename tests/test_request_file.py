"""Requests as people write them: YAML, TOML, JSON, or the placement made before."""

from pathlib import Path

import pytest

import gpupack
from gpupack.errors import GpupackError, InvalidInputError, StoreError, UnknownNameError
from gpupack.records.request import Request
from gpupack.request_file import read_request
from tests.docs.code_blocks import code_blocks

YAML = """
# Everything that is asked, in one place.
objective: min_cost
gpus: {T4: {count: 8, price: 0.35}, L4: {price: 0.71}}
headroom: 80%
models:
  resnet: {demand: 1e3, latency_limit_ms: 50, load_point: 2x4}
  2024-01-01: {optional: yes}
"""
TOML = """
objective = "min_cost"
headroom = "80%"
gpus.T4 = {count = 8, price = 0.35}
gpus.L4.price = 0.71
[models.resnet]
demand = 1e3
latency_limit_ms = 50
load_point = "2x4"
[models.2024-01-01]
optional = true
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_format_says_the_same(tmp_path: Path) -> None:
    request = read_request(written(tmp_path, "plan.yaml", YAML))

    assert request.models["resnet"].demand == 1000.0
    assert request.models["2024-01-01"].optional is True
    assert request.headroom == 0.8
    for name, text in (
        ("plan.yml", YAML),
        ("plan.toml", TOML),
        ("plan.json", request.to_json()),
    ):
        assert read_request(written(tmp_path, name, text)) == request


def test_an_empty_file_asks_nothing(tmp_path: Path) -> None:
    assert read_request(written(tmp_path, "plan.yaml", "# nothing\n")) == Request()


def test_the_request_of_a_placement_can_be_asked_again(tmp_path: Path) -> None:
    placement = gpupack.place(gpupack.load_example("medical"), headroom=0.9)
    gpupack.write_placement(placement, tmp_path / "placement.json")

    assert read_request(tmp_path / "placement.json") == placement.request
    old = Path(__file__).parent / "data" / "placement_v1.json"
    with pytest.raises(StoreError, match="older gpupack, which did not keep"):
        read_request(old)


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("a.yaml", "modles: {}", UnknownNameError, "unknown field modles; there are"),
        (
            "a.yaml",
            "models: {resnet: {demand: lots}}",
            InvalidInputError,
            "models.resnet.demand is 'lots'; it must be finite, infer/sec, ≥ 0",
        ),
        ("a.yaml", "models: {on: {}}", InvalidInputError, "put it in quotes"),
        ("a.yaml", "objective:", UnknownNameError, "None, left empty; there are min"),
        ("a.yaml", "seed:", InvalidInputError, "seed is None, left empty; it must be"),
        ("a.yaml", "seed: 1\nseed: 2", StoreError, "'seed' is given twice.*line 2"),
        ("a.yaml", "models: {a: {}, a: {}}", StoreError, "'a' is given twice"),
        ("a.json", '{"seed": 1, "seed": 2}', StoreError, "'seed' is given twice"),
        ("a.toml", "seed = 1\nseed = 2", StoreError, "(?i)overwrite"),
        ("a.yaml", "models: &all {a: {}}\ndefaults: *all", StoreError, "alias .all"),
        ("a.yaml", "[" * 10_000, StoreError, "cannot be read"),
        ("a.json", "[" * 100_000, StoreError, "cannot be read"),
        ("a.yaml", "models: {a: {demand: .inf}}", InvalidInputError, "demand is inf"),
        ("a.json", '{"headroom": NaN}', InvalidInputError, "headroom is nan"),
        ("a.yaml", "? [1, 2]\n: 3", StoreError, "a name must be text"),
        ("a.yaml", "!!python/object:os.system {}", StoreError, "cannot be read"),
        ("a.yaml", "- 1", StoreError, "not a request, but a list"),
        ("a.yaml", "kind: profile_record", StoreError, "not a request, but a profile"),
        (
            "a.yaml",
            "schema_version: 7",
            StoreError,
            "schema_version: schema version 7, this gpupack reads 1; a newer",
        ),
        ("a.ini", "seed = 1", StoreError, r"\.json, \.toml, \.yaml"),
        ("a.yaml", "gpus: {T4: 8, T4: 9}", StoreError, "'T4' is given twice"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what(
    tmp_path: Path, name: str, text: str, error: type[GpupackError], message: str
) -> None:
    path = written(tmp_path, name, text)

    with pytest.raises(error, match=message) as caught:
        read_request(path)

    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 1000


def test_two_spellings_of_one_gpu_type_are_refused(tmp_path: Path) -> None:
    request = read_request(written(tmp_path, "a.yaml", "gpus: {16GB: 2, 16gb: 3}"))

    with pytest.raises(InvalidInputError, match="names a GPU type twice: 16GB, 16gb"):
        gpupack.place(gpupack.load_example("medical"), request)


def test_anchors_that_multiply_are_never_expanded(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(StoreError, match="alias"):
        read_request(written(tmp_path, "bomb.yaml", bomb))


def test_the_request_that_the_documentation_shows_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[1] / "docs" / "howto" / "plan_capacity.md"
    (shown,) = [block.code for block in code_blocks(page) if block.language == "yaml"]

    request = read_request(written(tmp_path, "plan.yaml", shown))

    assert set(request.models) == {"resnet", "bert", "whisper"}
    assert request.of_model("resnet").latency_limit_ms == 50
    assert request.of_model("bert").latency_limit_ms == 200
