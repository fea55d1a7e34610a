"""Whatever models are called, files are valid and inert, and names distinct."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gpupack.deploying import deploy
from gpupack.deploying.plan.naming import MAX_LENGTH, dns_names
from gpupack.deploying.plan.planned_server import PlannedServer
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.profile import LoadPoint
from tests.deploying.cluster_standin import loaded
from tests.deploying.random_placements import H200, MIB, random_placement
from tests.deploying.real_tools import documents, kustomized, output_of, rendered, tool
from tests.deploying.test_targets import by_name, objects_of
from tests.factories import make_record

if TYPE_CHECKING:
    from pathlib import Path

    import gpupack

HOSTILE = (
    "it's",
    'say "hi"',
    "two\nlines",
    "--load-model=other",
    "{{ .Release.Name }}",
    "{% raw %}",
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}",
    "$HOME",
    "..x",
    "a..b",
    "A_Model",
    "a-model",
    "a_model",
    "a model",
    "x" * 200,
    "x" * 200 + "y",
    "Größe",
    "模型",
    "🚀",
    "-",
    "0",
    "true",
    "null",
    "~",
    "#no",
    "a: b",
    "*bold* <b>&amp;",
    "python",
    "a;rm -rf x",
    "back\\slash",
    "tab\there",
    "\u202ertl",
    "%41",
)
LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@given(st.sets(st.text(max_size=300), max_size=12))
def test_names_are_labels_and_stay_distinct(names: set[str]) -> None:
    found = dns_names(names)
    assert found.keys() == names
    assert len(set(found.values())) == len(names)
    for label in found.values():
        assert LABEL.fullmatch(label)
        assert len(label) <= MAX_LENGTH


def test_a_name_that_is_the_label_of_another_keeps_the_two_apart() -> None:
    (label,) = dns_names(["A_Model"]).values()
    found = dns_names(["A_Model", label])
    assert found[label] == label
    assert found["A_Model"] != label
    assert dns_names(["bert", "bert-2"]) == {"bert": "bert", "bert-2": "bert-2"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in HOSTILE:
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(
            'backend: "onnxruntime" max_batch_size: 8\n'
            'input [{ name: "X" data_type: TYPE_FP32 dims: [ 4 ] }]\n'
            'output [{ name: "Y" data_type: TYPE_FP32 dims: [ 4 ] }]\n'
        )
    return folder


@pytest.fixture(scope="module")
def placement() -> gpupack.Placement:
    """All of them on one GPU, and the first few on another."""
    start = random_placement(0, gpu_type=H200, most_gpus=1, most_models=1)
    point = LoadPoint(batch_size=1, concurrency=1)
    environment = Environment(source="test", backend="onnxruntime")
    records = tuple(
        make_record(name, gpu_type=H200, load_point=point, environment=environment)
        for name in HOSTILE
    )
    gpu = start.gpus[0]

    def one_of(name: str) -> Any:
        return gpu.assignments[0].model_copy(
            update={
                "model_name": name,
                "load_point": point,
                "memory_bytes": 100 * MIB,
            }
        )

    gpus = tuple(
        gpu.model_copy(
            update={"gpu_index": index, "assignments": tuple(map(one_of, names))}
        )
        for index, names in enumerate((HOSTILE, HOSTILE[:8]))
    )
    return start.model_copy(
        update={"profiles": records, "sharing_mode": SharingMode.MPS, "gpus": gpus}
    )


@pytest.mark.parametrize("target", ["kubernetes", "helm", "dra"])
def test_manifests_are_valid_and_load_every_model_by_its_name(
    target: str, models: Path, placement: gpupack.Placement, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    made = deploy(placement, target, model_repository=models, output=out)
    objects = objects_of(target, made.files)
    for one in objects:
        kubernetes_validate.validate(one, "1.34", strict=True)
        assert len(one["metadata"]["name"]) <= 63
        assert LABEL.fullmatch(one["metadata"]["name"])
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    if target == "helm":
        assert by_name(rendered(out / "chart")) == by_name(objects)
    else:
        assert by_name(kustomized(out / "base")) == by_name(objects)
    found = set()
    for one in objects:
        if one["kind"] == "ConfigMap":
            data = one["data"]
            scripts = [text for key, text in data.items() if key.endswith(".sh")]
            for script in scripts:
                found |= set(loaded(script, data))
    assert found == set(HOSTILE)
    services = [one for one in objects if one["kind"] == "Service"]
    own = [
        one
        for one in services
        if "app.kubernetes.io/instance" not in one["spec"]["selector"]
    ]
    assert len(own) == len(HOSTILE)


def test_scripts_hand_names_to_the_server_as_they_are_and_run_nothing_else(
    models: Path, placement: gpupack.Placement, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    deploy(placement, "triton", model_repository=models, output=out)
    programs = tmp_path / "bin"
    programs.mkdir()
    got = tmp_path / "got.jsonl"
    server = programs / "tritonserver"
    server.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        f"open({str(got)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "import time\n"
        # The first server that ends takes the others with it: none ends before all ran.
        f"while sum(1 for _ in open({str(got)!r})) < {len(HOSTILE)}: time.sleep(0.05)\n"
    )
    control = programs / "nvidia-cuda-mps-control"
    control.write_text("#!/bin/sh\nexit 0\n")
    for one in (server, control):
        one.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(
        ["bash", str(out / "gpu-0.sh")],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        cwd=work,
        check=False,
        capture_output=True,
        timeout=60,
    )
    calls = [json.loads(line) for line in got.read_text().splitlines()]
    loads = [
        one.removeprefix("--load-model=")
        for call in calls
        for one in call
        if one.startswith("--load-model=")
    ]
    assert sorted(loads) == sorted(HOSTILE)
    assert {len(call) for call in calls} == {7}
    assert list(work.iterdir()) == []
    for name in HOSTILE:
        assert (out / "repository" / name / "configs" / "gpu-0.pbtxt").is_file()
        assert (out / "repository" / name / "1").is_dir()


def test_compose_takes_no_name_for_a_variable(
    models: Path, placement: gpupack.Placement, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    deploy(placement, "compose", model_repository=models, output=out)
    text = output_of(tool("docker-compose"), "-f", str(out / "compose.yaml"), "config")
    services = yaml.safe_load(text)["services"]
    loads = {
        # docker-compose writes what it read such that it can be read again.
        one.removeprefix("--load-model=").replace("$$", "$")
        for service in services.values()
        for one in service["command"]
        if one.startswith("--load-model=")
    }
    assert loads == set(HOSTILE)


def test_routers_are_valid(
    models: Path, placement: gpupack.Placement, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    deploy(placement, "triton", model_repository=models, output=out)
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"error_log {tmp_path}/error.log; pid {tmp_path}/pid;\n"
        f"events {{}} http {{ include {out}/router/nginx.conf; }}\n"
    )
    output_of(tool("nginx"), "-t", "-c", str(main))
    routes = yaml.safe_load((out / "router" / "envoy.yaml").read_text())
    assert len(routes["static_resources"]["clusters"]) == len(HOSTILE) + 8 + 1
    weights = json.loads((out / "router" / "weights.json").read_text())
    assert weights["models"].keys() == set(HOSTILE)


def test_the_page_shows_names_and_obeys_none(
    models: Path, placement: gpupack.Placement
) -> None:
    made = deploy(placement, "kubernetes", model_repository=models)
    html = MarkdownIt("commonmark").enable("table").render(made.files["DEPLOYMENT.md"])
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "<em>" not in html


def test_a_server_is_given_its_models_as_single_words() -> None:
    server = PlannedServer("s", (), (1, 2, 3), 0)
    assert server.arguments(repository="/r", configuration="c", ports=(1, 2, 3)) == [
        "--model-repository=/r",
        "--model-config-name=c",
        "--model-control-mode=explicit",
        "--http-port=1",
        "--grpc-port=2",
        "--metrics-port=3",
    ]


@pytest.mark.parametrize(
    ("percent", "written"), [(1.0, "1"), (100, "100"), (33.3333333, "33.3333")]
)
def test_shares_under_mps_are_plain_decimals(percent: float, written: str) -> None:
    server = PlannedServer("s", (), (1, 2, 3), 0, mps_percent=percent)
    assert server.environment == {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": written}


def test_yaml_documents_hold_what_was_put_in() -> None:
    from gpupack.deploying.yaml_text import yaml_text

    # Line breaks of Unicode's, which YAML 1.1 and 1.2 read differently as they are.
    names = [*HOSTILE, "\u0085next", "\u2028next", "\ufeff"]
    content = {"names": names, "text": "a\nb\n", "odd": " lead\ntrail \n"}
    (found,) = documents(yaml_text(content))
    assert found == content
