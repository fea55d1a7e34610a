"""Broken and rewritten ``/metrics`` texts, for ``benchmarks.fuzz_readers``."""

from __future__ import annotations

import random
import string
from typing import TYPE_CHECKING, Any

import gpupack
from gpupack.errors import GpupackError

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack import ObservedCluster

FIRST_MS, THEN_MS = 1_772_366_400_000, 1_772_370_000_000
MAX_MESSAGE = 10_000
Texts = dict[str, str]
"""By the name of the file."""
MODELS = {"bert": ("GPU-0", 36_000, 144_000), "seg": ("GPU-1", 36_000, 36_000)}
"""GPU, requests and inferences in an hour, by model."""
GPUS = {"GPU-0": ("0", 6000, 30), "GPU-1": ("1", 4000, 20)}
"""Number, MiB in use and busy percent, by UUID."""


def texts() -> Texts:
    """Return two of a server with two models, and one of an exporter."""
    return {
        "first.prom": "".join(_counters(FIRST_MS, 0)),
        "then.prom": "".join(_counters(THEN_MS, 1)),
        "gpus.prom": "".join(_gauges()),
    }


def _counters(time_ms: int, share: int) -> list[str]:
    lines = []
    for metric, place in (
        ("nv_inference_request_success", 1),
        ("nv_inference_count", 2),
        ("nv_inference_exec_count", 1),
    ):
        lines.append(f"# HELP {metric} Number of something\n# TYPE {metric} counter\n")
        for model, of_model in MODELS.items():
            labels = f'gpu_uuid="{of_model[0]}",model="{model}",version="1"'
            count = share * int(of_model[place])
            lines.append(f"{metric}{{{labels}}} {count} {time_ms}\n")
    return lines


def _gauges() -> list[str]:
    lines = []
    for metric, place in (("DCGM_FI_DEV_FB_USED", 1), ("DCGM_FI_DEV_GPU_UTIL", 2)):
        lines.append(f"# TYPE {metric} gauge\n")
        for uuid, gpu in GPUS.items():
            labels = (
                f'gpu="{gpu[0]}",UUID="{uuid}",modelName="NVIDIA L4",Hostname="node"'
            )
            lines.append(f"{metric}{{{labels}}} {gpu[place]}\n")
    return lines


_ODD_VALUES = [
    *("NaN", "+Inf", "-Inf", "-1", "1e308", "1e400", "0x10", "1,5", "", "nan", "٣"),
    *("1 2 3", "1e-400", "9" * 400, "true", "1_000", "0", "-0", "5 furlongs"),
]
_ODD_LABELS = [
    *('model=""', 'model="a\\nb"', "model=", 'version="x"', "=", 'gpu_uuid="GPU-9"'),
    *('pod="p",namespace="n"', 'model="' + "x" * 3000 + '"', 'model="\\"', "{", "}"),
    *('model="\u202e"', 'UUID="GPU-1"', 'modelName="H200"', 'GPU_I_ID="3"', 'a="1"'),
]
_ODD_LINES = [
    *(
        "",
        "# TYPE nv_inference_count gauge",
        "# TYPE",
        "# HELP x",
        "nv_inference_count",
    ),
    *("nv_inference_count 5", "nv_inference_count{} 5", "DCGM_FI_DEV_FB_USED 3", "{}"),
    *("# EOF", 'nv_inference_count{model="bert"} 7 1', "\x00", "# TYPE a untyped\na 1"),
    *('DCGM_FI_DEV_FB_FREE{UUID="GPU-0"} 17000', 'nv_gpu_utilization{gpu_uuid="g"} 1'),
]


def broken(rng: random.Random) -> Texts:
    """Return texts of which one is no longer what it was."""
    found = texts()
    name = rng.choice(sorted(found))
    text = found[name]
    for _ in range(rng.choice([1, 1, 2, 4])):
        text = _broken(text, rng)
    found[name] = text
    if rng.random() < 0.15:
        del found[rng.choice(sorted(found))]
    return found


def _broken(text: str, rng: random.Random) -> str:
    way = rng.randrange(7)
    if way == 0 or not text:
        place = rng.randrange(len(text) + 1)
        noise = "".join(rng.choices(string.printable, k=rng.choice([1, 3, 30])))
        return text[:place] + noise + text[place:]
    if way == 1:
        return text[: rng.randrange(len(text))]
    lines = text.split("\n")
    number = rng.randrange(len(lines))
    if way == 2:
        lines.insert(number, rng.choice(_ODD_LINES))
    elif way == 3:
        head, _, _ = lines[number].rpartition(" ")
        lines[number] = f"{head} {rng.choice(_ODD_VALUES)}"
    elif way == 4:
        head, brace, tail = lines[number].partition("{")
        lines[number] = f"{head}{brace}{rng.choice(_ODD_LABELS)},{tail}"
    elif way == 5:
        lines.insert(number, lines[rng.randrange(len(lines))])
    else:
        del lines[number]
    return "\n".join(lines)


def rewritten(rng: random.Random) -> Texts:
    """Return texts that say what ``texts`` say, in another order and spelling."""
    return {name: _rewritten(text, rng) for name, text in texts().items()}


def _rewritten(text: str, rng: random.Random) -> str:
    families: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            families.setdefault(line.split()[2], []).append(line)
        else:
            families.setdefault(line.partition("{")[0], []).append(
                _relabeled(line, rng)
            )
    order = sorted(families)
    rng.shuffle(order)
    lines = []
    for name in order:
        told = [line for line in families[name] if line.startswith("#")]
        samples = [line for line in families[name] if not line.startswith("#")]
        rng.shuffle(samples)
        lines += (told if rng.random() < 0.8 else []) + samples
        if rng.random() < 0.2:
            lines.append(f"some_other_metric_{rng.randrange(9)} 1")
    return "\n".join(lines) + "\n"


def _relabeled(line: str, rng: random.Random) -> str:
    name, _, rest = line.partition("{")
    labels, _, values = rest.partition("}")
    value, *time_ms = values.split()
    parts = labels.split(",")
    rng.shuffle(parts)
    if rng.random() < 0.3:
        parts.append('job="triton"')
    spelled = rng.choice([value, f"{float(value)}", f"{float(value):e}", f"+{value}"])
    comma = "," if rng.random() < 0.2 else ""
    return f"{name}{{{','.join(parts)}{comma}}} {' '.join([spelled, *time_ms])}"


def facts(cluster: ObservedCluster) -> list[Any]:
    """Return what counts of a cluster."""
    return [
        cluster.peak_demand,
        [
            (gpu.gpu_uuid, gpu.models, gpu.memory_used_bytes)
            for gpu in sorted(cluster.gpus, key=lambda one: one.gpu_uuid or "")
        ],
        sorted(
            (one.model_name, one.throughput_infer_per_sec) for one in cluster.estimates
        ),
    ]


def read(given: Texts, folder: Path) -> ObservedCluster | None:
    """Return what comes of reading texts, None if they are refused in our words.

    Raises:
        AssertionError: If a message is endless, or what was read cannot be printed, or
            written and read again.
    """
    paths = []
    for name, text in given.items():
        path = folder / name
        path.write_text(text, encoding="utf-8", errors="replace", newline="")
        paths.append(path)
    message = ""
    try:
        cluster = gpupack.read_prometheus(texts=paths)
    except GpupackError as err:
        message = str(err)
    finally:
        for path in paths:
            path.unlink()
    if message:
        assert len(message) <= MAX_MESSAGE, f"a message of {len(message)} letters"
        return None
    assert str(cluster)
    own = folder / "cluster.json"
    gpupack.write_observed_cluster(cluster, own)
    assert gpupack.read_observed_cluster(own) == cluster, "another when read again"
    own.unlink()
    return cluster
