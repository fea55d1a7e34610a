"""The request that ``gpupack init`` writes."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpupack
from gpupack.request_template import request_template
from tests.cli.test_place_command import run
from tests.factories import make_profiles, make_record


def read(text: str, folder: Path) -> gpupack.Request:
    path = folder / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return gpupack.read_request(path)


def test_it_asks_nothing_yet_and_names_every_model(tmp_path: Path) -> None:
    medical = gpupack.load_example("medical")

    request = read(request_template(medical), tmp_path)

    assert tuple(request.models) == medical.model_names
    plain = gpupack.place(medical)
    asked = gpupack.place(medical, request=request)
    assert asked.gpus == plain.gpus


def test_every_line_that_may_be_taken_out_of_its_comment_is_a_wish(
    tmp_path: Path,
) -> None:
    text = request_template(gpupack.load_example("medical"))
    plain = re.sub(r"^# (?=[a-z_]+: )", "", text, flags=re.MULTILINE)
    plain = re.sub(r"\{\}  # ", "", plain)

    request = read(plain, tmp_path)

    assert request.growth == 1.5
    assert request.headroom == 0.8
    assert request.defaults.latency_limit_ms == 50
    assert isinstance(request.gpus, dict)
    assert request.gpus["16GB"].price == 0.35
    assert request.models["segmentation_liver"].demand == 28


def test_every_wish_of_a_model_is_explained() -> None:
    text = request_template(gpupack.load_example("medical"))

    assert all(f"#   {wish} " in text for wish in gpupack.ModelWishes.model_fields)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4, unique=True))
@pytest.mark.filterwarnings("ignore")
def test_any_name_survives(names: list[str]) -> None:
    import yaml

    usable = [one for one in names if not any("\ud800" <= c <= "\udfff" for c in one)]
    profiles = make_profiles(*(make_record(name) for name in usable))

    value = yaml.safe_load(request_template(profiles))

    assert sorted(value["models"]) == sorted(usable)


def test_profiles_of_several_types_ask_for_all_of_them(tmp_path: Path) -> None:
    other = gpupack.GpuType(name="L4", memory_bytes=2**34)
    profiles = make_profiles(make_record("a"), make_record("a", gpu_type=other))

    request = read(request_template(profiles), tmp_path)

    assert isinstance(request.gpus, dict)
    assert set(request.gpus) == {"test-gpu", "L4"}


def test_init_writes_what_place_reads_and_nothing_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"

    done = run("init", str(path), "--from", "medical")
    again = run("init", str(path), "--from", "medical")
    placed = run("place", "medical", "--request", str(path))
    printed = run("init", "-", "--from", "medical")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"gpupack place medical --request {path}" in done.stdout
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert placed.returncode == 0
    assert printed.stdout == path.read_text()


def test_what_a_table_asks_stands_in_the_request(tmp_path: Path) -> None:
    table = tmp_path / "models.csv"
    table.write_text(
        "model,batch_size,concurrency,throughput,gpu_util,mem_util,memory_mib,gpu,"
        "demand,optional\n,,,,0,0,400,T4,,\na,1,1,100,40,10,1000,T4,50,yes\n"
        "b,1,1,100,40,10,1000,T4,,\n"
    )

    done = run("init", "plan.yaml", "--from", "models.csv", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    request = gpupack.read_request(tmp_path / "plan.yaml")
    assert request.models["a"] == gpupack.ModelWishes(demand=50, optional=True)
    assert request.models["b"] == gpupack.ModelWishes()
    assert "b: {}  # {demand: 100}" in (tmp_path / "plan.yaml").read_text()


def test_a_gpu_that_profiles_do_not_name_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("model,batch,concurrency,qps,gpu%,mem_gib\nm,1,1,5,40,1\n")

    text = request_template(gpupack.read_profiles(path))

    assert "do not say which GPU they are of: name it here" in text
    assert "unknown" not in text
    assert "# gpus: {T4: {" in text
