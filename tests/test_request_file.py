"""Requests as people write them: YAML, TOML, JSON, or the placement made before."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

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


T4_TABLE = """\
model_name,batch_size,concurrency,throughput_infer_per_sec,latency_p99_ms,\
gpu_utilization_percent,memory_utilization_percent,gpu_memory_used_mib,gpu
,,,,,0,0,300,T4
resnet,1,4,100,7.25,23,10,1461,T4
resnet,8,4,300,17.25,43,20,1661,T4
bert,1,2,50,20,56,30,5035,T4
"""
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    # What was asked, where it stands in the file, and what is told of it.
    ({"models": {"resnet": {"load_point": "2x4"}}},
     ", models.resnet.load_point: ", "not measured at load point 2x4; .*1x4, 8x4"),
    ({"defaults": {"load_point": "9x9"}},
     ", defaults.load_point: ", "'bert' was not measured at load point 9x9"),
    ({"models": {"resnet": {"load_point": "2by4"}}},
     ": models.resnet.load_point ", "'2by4'; it must be BATCHxCONCURRENCY"),
    ({"gpus": {"T9": 3}}, ", gpus.T9: ", "unknown GPU 'T9'; known are A10"),
    ({"gpus": ["T9"]}, ", gpus.T9: ", "unknown GPU 'T9'"),
    ({"gpus": [{"type": "T9", "count": 1}]}, ", gpus.T9: ", "unknown GPU 'T9'"),
    ({"gpus": ["T4", "L4"]}, ", gpus: ", "no model was profiled on L4"),
    ({"gpus": ["L4"], "carry_memory_over": True, "models": {"bert": {"demand": 3}}},
     ", gpus: ", "only memory carries over from T4"),
    ({"gpus": [{"count": 3}]}, ": gpus ", r"an entry names its GPU type, as .name: T4"),
    ({"gpus": [{"name": "T4", "count": -1}]}, ": gpus.T4.count ", "is -1; .* ≥ 1"),
    ({"gpus": {"T4": {"price": -2}}}, ": gpus.T4.price ", "is -2; .* > 0"),
    ({"gpus": {"T4": {"cuont": 2}}}, "field gpus.T4.cuont", "there are count, price"),
    ({"gpus": ["T4", "NVIDIA T4"], "models": {}}, ", gpus", "names a GPU type twice"),
    ({"objective": "min_cost", "gpus": ["T4"]}, ", gpus: ", "a price per hour of T4"),
    ({"objective": "min_cost"}, ", objective: ", "a price per hour of T4"),
    ({"objective": "min_cost", "billing": "reserved", "gpus": {"T4": {"price": 1}}},
     ", gpus: ", "no reserved price of T4"),
    ({"objective": "min_gpu"}, ": unknown objective ", "'min_gpu'; there are min_gpus"),
    ({"objective": "max_throughput", "headroom": {"sm_utilization": 0.8}},
     ", headroom: ", "sm_utilization binds, but sm_utilization_percent is missing"),
    ({"gpus": {"T4": {"host_cpus_per_gpu": 4}}}, ", gpus: ", "host_cpu_cores is miss"),
    ({"fairness": "max_min"}, ", fairness ", "but the objective is min_gpus"),
    ({"models": {"bert": {"weight": 2}}},
     ", models.bert.weight ", "but the objective is min_gpus"),
    ({"max_price_per_hour": 5}, ", max_price_per_hour ", "the objective is min_gpus"),
    ({"sharing": "mig"}, ": unknown sharing ", "'mig'; there are time_slicing, mps"),
    ({"contention": "predicted"}, ", contention ", "is for max_throughput"),
    ({"models": {"nobody": {"demand": 3}}},
     ", models.nobody: ", "no profile of 'nobody'; there are .*'bert', 'resnet'"),
    ({"models": {"nobody": {}}}, ", models.nobody: ", "no profile of 'nobody'"),
    ({"defaults": {"left_out": True}}, ", defaults.left_out ", "leaves out every"),
    ({"latency_percentile": 95, "defaults": {"latency_limit_ms": 50}},
     ", latency_percentile: ", "latency_p95_us is missing"),
    ({"models": {"bert": {"replicas": 3, "max_replicas": 2}}},
     ", models.bert.max_replicas ", "is 2, but 3 replicas"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "place", "told"), FAULTS)
@pytest.mark.parametrize("ending", [".json", ".yaml"])
def test_a_fault_that_shows_in_planning_is_told_by_file_and_path(
    tmp_path: Path, asked: dict[str, Any], place: str, told: str, ending: str
) -> None:
    (tmp_path / "models.csv").write_text(T4_TABLE)
    path = tmp_path / f"plan{ending}"
    path.write_text(json.dumps(asked))  # which is YAML, too

    with pytest.raises(InvalidInputError, match=f"plan.*{re.escape(place)}.*{told}"):
        gpupack.place(tmp_path / "models.csv", request=read_request(path))


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("plan.toml", '[models.resnet]\nload_point = "2x4"\n', "models.resnet.load_po"),
        ("plan.toml", "gpus = ['T9']\n", "gpus.T9"),
        ("plan.yaml", "objective: min_cost\n", "objective"),
        ("plan.json", '{"models": {"nobody": {}}}', "models.nobody"),
    ],
)
def test_a_fault_in_a_request_ends_with_2(
    tmp_path: Path, name: str, text: str, place: str
) -> None:
    (tmp_path / "models.csv").write_text(T4_TABLE)
    (tmp_path / name).write_text(text)

    ran = subprocess.run(
        [*(sys.executable, "-m", "gpupack", "place", "models.csv", "--request", name)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert ran.returncode == 2
    assert f"error: '{name}', {place}" in ran.stderr


def test_what_an_option_says_is_no_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text(T4_TABLE)
    path = tmp_path / "plan.yaml"
    path.write_text("gpus: [T4]\n")

    with pytest.raises(InvalidInputError) as caught:
        gpupack.place(tmp_path / "models.csv", request=read_request(path), gpus=["T9"])
    assert "plan.yaml" not in str(caught.value)
