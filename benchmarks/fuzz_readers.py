"""Broken and rewritten files for every reader: ``python -m benchmarks.fuzz_readers``.

A broken file must be refused in our words or read; a file that says the same in another
way (order, separators, units, decimal commas, JSON, gzip) must be refused or read, and
asked, as the same. What is a secret in a file is in no record and no message.
"""

from __future__ import annotations

import argparse
import copy
import csv
import gzip
import io
import json
import random
import string
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpupack
from benchmarks import fuzz_metrics
from gpupack.errors import GpupackError
from gpupack.planning import wishes_beside
from gpupack.profile_set import ProfileSet

TOKEN = "sk-very-secret-0123456789"
MAX_MESSAGE = 10_000
_MIB = 2**20

PLAIN = """model_name,batch_size,concurrency,throughput_infer_per_sec,latency_p99_ms,\
gpu_utilization_percent,gpu_memory_used_mib,team
,,,,,9,309,
resnet,1,4,1381.6,7.25,23,1461,red
"segmentation, liver",2,1,28,36.5,76,11051,blue
bert,8,2,172.4,20.125,56,5035,red
"""
INFERENCE = """Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,\
Satisfies Constraints,Throughput (infer/sec),p99 Latency (ms)
unet,1,4,unet_config_2,2:GPU,4,Yes,22.0,235.6
unet,1,4,unet_config_default,1:GPU,6,Yes,20.4,221.9
unet,1,4,unet_config_1,1:GPU,2,No,20.3,203.4
"a,b","1,1","4,2","a_config_5,b_config_4","2:GPU,1:GPU","1,2",Yes,\
"421.0, [184.5,236.5]","20.7, [23.9,17.4]"
"""
GPU_TABLE = """Model,GPU UUID,Batch,Concurrency,Model Config Path,\
Satisfies Constraints,\
GPU Memory Usage (MB),GPU Utilization (%),GPU Power Usage (W)
unet,GPU-a,1,4,unet_config_2,Yes,4035.0,90.0,59.7
unet,GPU-b,1,4,unet_config_2,Yes,446.0,0.0,19.7
unet,GPU-a,1,4,unet_config_default,Yes,2775.0,90.0,56.1
"""
SERVER = """Model,GPU UUID,GPU Memory Usage (MB),GPU Utilization (%)
triton-server,GPU-a,446.0,0.0
triton-server,GPU-b,446.0,0.0
"""
PERF_ANALYZER = """Batch Size,Concurrency,Inferences/Second,Client Send,Server Queue,\
p50 latency,p99 latency,Avg GPU Utilization,Max GPU Memory Usage
1,1,149.65,9,87,6465,9994,,
4,4,330.767,5,5551,12096,17271,GPU-1:0.5;,GPU-1:1000000000;
"""
RAW: dict[str, Any] = {
    "version": "2.51.0",
    "experiments": [
        {
            "experiment": {"mode": "concurrency", "value": 2},
            "requests": [
                {
                    "timestamp": index * 10**8,
                    "request_inputs": {"payload": f"Authorization: {TOKEN}"},
                    "response_timestamps": [index * 10**8 + 4 * 10**7],
                }
                for index in range(10)
            ],
            "window_boundaries": [0, 5 * 10**8, 10**9],
        }
    ],
}
SUMMARY: dict[str, Any] = {
    "request_throughput": {"unit": "requests/sec", "avg": 12.5},
    "request_latency": {"unit": "ms", "avg": 640.2, "p50": 610.0, "p99": 810.9},
    "telemetry_data": {
        "endpoints": {
            "localhost": {
                "gpus": {
                    "gpu_0": {
                        "gpu_uuid": "GPU-1",
                        "gpu_name": "NVIDIA L4",
                        "metrics": {
                            "gpu_utilization": {"unit": "%", "avg": 33.2, "max": 98.0},
                            "gpu_memory_used": {"unit": "GB", "max": 20.5},
                        },
                    }
                }
            }
        }
    },
    "was_cancelled": False,
    "input_config": {
        "endpoint": {"model_names": ["llm"], "api_key": TOKEN},
        "loadgen": {"concurrency": 8},
        "cli_command": f"aiperf profile --header 'Authorization: Bearer {TOKEN}'",
    },
}
CHECKPOINT: dict[str, Any] = {
    "ResultManager.results": {
        "_results": {
            "m": {
                "m_config_1": [
                    {
                        "_model_run_configs": [
                            {
                                "_model_config": {
                                    "name": "m_config_1",
                                    "maxBatchSize": 8,
                                    "instanceGroup": [{"count": 2, "kind": "KIND_GPU"}],
                                }
                            }
                        ]
                    },
                    {
                        f"-m m --header {TOKEN}": {
                            "_gpu_data": {
                                "GPU-a": [["gpu_used_memory", {"_value": 847.2}]]
                            },
                            "_model_config_measurements": [
                                {
                                    "_model_config_name": "m_config_1",
                                    "_model_specific_pa_params": {
                                        "batch-size": 1,
                                        "concurrency-range": 2,
                                    },
                                    "_non_gpu_data": [
                                        ["perf_throughput", {"_value": 2626.05}],
                                        ["perf_latency_p99", {"_value": 0.5}],
                                    ],
                                }
                            ],
                        }
                    },
                ]
            }
        }
    },
    "ResultManager.server_only_data": {
        "GPU-a": [["gpu_used_memory", {"_value": 446.0}]]
    },
}

RATES = """Batch,Request Rate,Inferences/Second,Client Send,p50 latency,p99 latency,\
Avg latency,Model
1,10,10.0,9,6465,9994,6600,a
4,12.5,50.0,5,12096,17271,12500,a
"""
GENAI_PERF: dict[str, Any] = {
    "request_throughput": {"unit": "requests/sec", "avg": 4.4},
    "request_latency": {"unit": "ms", "avg": 1679.3, "p50": 1600.0, "p99": 2100.5},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 350.0},
    "input_config": {
        "model_names": ["gpt2"],
        "formatted_model_name": "gpt2",
        "backend": "tensorrtllm",
        "concurrency": 2,
        "request_rate": None,
        "extra_inputs": [f"api_key:{TOKEN}"],
    },
}
TOGETHER: list[dict[str, Any]] = [
    {"model": "a", "batch": 1, "concurrency": 2, "tput": 9.5, "gpu %": 33, "mem GB": 2},
    {"model": "b", "batch": 4, "concurrency": 1, "tput": None, "gpu %": 50, "mem GB": 3,
     "demand": 7, "optional": "yes"},
]  # fmt: skip


Files = dict[str, bytes]
"""What is in a folder, by name; one file alone is read by itself."""


def seeds() -> list[Files]:
    """Return a good file, or folder, for every reader."""
    return [
        {"table.csv": PLAIN.encode()},
        {"inference.csv": INFERENCE.encode()},
        {
            "metrics-model-inference.csv": INFERENCE.encode(),
            "metrics-model-gpu.csv": GPU_TABLE.encode(),
            "metrics-server-only.csv": SERVER.encode(),
        },
        {"perf.csv": PERF_ANALYZER.encode()},
        {"raw.json": json.dumps(RAW).encode()},
        {"x_aiperf.json": json.dumps(SUMMARY, indent=1).encode()},
        {"0.ckpt": json.dumps(CHECKPOINT).encode()},
        {"profiles.jsonl": _own().encode()},
        {"rates.csv": RATES.encode()},
        {"profile_export_genai_perf.json": json.dumps(GENAI_PERF).encode()},
        {"rows.json": json.dumps(TOGETHER).encode()},
        {"rows.jsonl": "\n".join(map(json.dumps, TOGETHER)).encode()},
        {"one.csv": PLAIN.encode(), "two.json": json.dumps(TOGETHER).encode()},
    ]


def _own() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles.jsonl"
        gpupack.write_profiles(gpupack.load_example("medical"), path)
        return "\n".join(path.read_text().splitlines()[:3]) + "\n"


_ODD_CELLS = [
    *("", "-", "N/A", "[Not Supported]", "-1", "0", "1e999", "nan", "inf", "1e400"),
    *("1,5", "1.234,5", "1,234.5", "1 234", "１２", "½", "12 %", "3 GB", "5 furlongs"),
    *("=cmd()", "'=x", "x" * 5000, "9" * 400, "\x00", "a,b", "1,1", "Total", "[1,2]"),
    *("triton-server", "GPU-a:0.5;GPU-b:", "9" * 30, "0x10", "1_000", "true", "\u202e"),
]
_ODD_TITLES = [
    *("", "Model", "GPU UUID", "Model Config Path", "Inferences/Second", "memory (%)"),
    *("p99", "latency", "throughput (tokens/sec)", "Batch", "request rate", "kind"),
    *("VRAM", "gpu_util", "x" * 3000, "Satisfies Constraints", "GPU Memory Usage (GB)"),
]
_ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 1e308, 10**400, "x", "", [], {}, [[]], "9" * 5000, -0.5),
    *(float("nan"), float("inf"), {"unit": "ms"}, [1, "a"], "kind", 2.5, "\ud800"),
]


def broken(files: Files, rng: random.Random) -> Files:
    """Return files of which one is no longer what it was."""
    name = rng.choice(sorted(files))
    content = files[name]
    ways: list[Callable[[bytes, random.Random], bytes]] = [_bytes, _bytes, _encoded]
    ways += [_json] * 4 if content.lstrip().startswith((b"{", b"[")) else [_cells] * 5
    for _ in range(rng.choice([1, 1, 2, 4])):
        content = rng.choice(ways)(content, rng)
    changed = dict(files) | {name: content}
    if len(changed) > 1 and rng.random() < 0.2:
        del changed[rng.choice(sorted(changed))]
    if rng.random() < 0.1:
        name = rng.choice(sorted(changed))
        packed = gzip.compress(changed.pop(name), 1)
        changed[f"{name}.gz"] = packed if rng.random() < 0.5 else _bytes(packed, rng)
    return changed


def _bytes(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return b"\x00"
    place = rng.randrange(len(content))
    end = min(len(content), place + rng.choice([1, 1, 3, 20, 200]))
    way = rng.randrange(5)
    if way == 0:
        return content[:place] + content[end:]
    if way == 1:
        return content[:end] + content[place:]
    if way == 2:
        return content[:place]
    if way == 3:
        return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
    noise = "".join(rng.choices(string.printable, k=rng.choice([1, 5, 50])))
    return content[:place] + noise.encode() + content[place:]


def _encoded(content: bytes, rng: random.Random) -> bytes:
    text = content.decode(errors="replace")
    way = rng.randrange(5)
    if way == 0:
        return text.encode("utf-16")
    if way == 1:
        return b"\xef\xbb\xbf" + content
    if way == 2:
        return text.replace("\n", rng.choice(["\r\n", "\r", "\n\n"])).encode()
    if way == 3:
        return (text + "\u00e9\u4e2d").encode(
            rng.choice(["latin-1", "cp1252"]), "replace"
        )
    return content * rng.choice([2, 3])


def _cells(content: bytes, rng: random.Random) -> bytes:
    lines = content.decode(errors="replace").split("\n")
    number = rng.randrange(len(lines))
    cells = lines[number].split(",")
    place = rng.randrange(len(cells))
    way = rng.randrange(6)
    if way == 0:
        cells[place] = rng.choice(_ODD_CELLS)
    elif way == 1:
        titles = lines[0].split(",")
        titles[rng.randrange(len(titles))] = rng.choice(_ODD_TITLES)
        lines[0] = ",".join(titles)
        return "\n".join(lines).encode(errors="replace")
    elif way == 2:
        rows = [line.split(",") for line in lines]
        return "\n".join(
            ",".join(row[:place] + row[place + 1 :]) for row in rows
        ).encode()
    elif way == 3:
        lines.insert(number, lines[rng.randrange(len(lines))])
        return "\n".join(lines).encode()
    elif way == 4:
        return "\n".join(lines).replace(",", rng.choice([";", "\t", "|", " "])).encode()
    else:
        del cells[place]
    lines[number] = ",".join(cells)
    return "\n".join(lines).encode(errors="replace")


def _json(content: bytes, rng: random.Random) -> bytes:
    try:
        lines = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        try:
            lines = [json.loads(content)]
        except ValueError:
            return _bytes(content, rng)
    tree = copy.deepcopy(lines)
    nodes = list(_nodes(tree))
    if not nodes:
        return _bytes(content, rng)
    parent, key = rng.choice(nodes)
    if rng.random() < 0.3 and isinstance(parent, dict):
        del parent[key]
    else:
        parent[key] = rng.choice(_ODD_VALUES)
    try:
        texts = [json.dumps(one) for one in tree]
        return "\n".join(texts).encode()
    except (ValueError, UnicodeEncodeError):
        return content


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield value, key
            yield from _nodes(one)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield value, index
            yield from _nodes(one)


def rewritten(rng: random.Random) -> Files:
    """Return a table that says what ``PLAIN`` says, in other words, units and files.

    It asks ``DEMANDS`` besides.
    """
    has_comma = rng.random() < 0.4
    separator = rng.choice([";", "\t", "|"] if has_comma else [",", ";", "\t", "|"])

    def number(value: float | None, unit: str = "") -> str:
        if value is None:
            return rng.choice(["", "N/A", "-"])
        text = f"{value:.9f}".rstrip("0").rstrip(".")
        if has_comma:
            whole, point, decimals = text.partition(".")
            grouped = (
                f"{int(whole):,}".replace(",", ".") if rng.random() < 0.3 else whole
            )
            text = grouped + ("," if point else "") + decimals
        return text + unit

    memory = rng.choice(
        [
            ("memory (GiB)", 1 / 1024, ""),
            ("gpu_memory_used_mib", 1, ""),
            ("Max GPU Memory Usage (MB)", 1, ""),
            ("VRAM", 1, " MiB"),
            ("memory_used_bytes", _MIB, ""),
            ("Peak memory [GB]", 1 / 1024, ""),
        ]
    )
    latency = rng.choice(
        [
            ("p99 latency (us)", 1000, ""),
            ("latency_p99_ms", 1, ""),
            ("99th percentile latency [s]", 0.001, ""),
            ("p99", 1, " ms"),
        ]
    )
    busy = rng.choice(
        [
            ("gpu_util (ratio)", 0.01, ""),
            ("GPU %", 1, ""),
            ("Max GPU Utilization (%)", 1, ""),
            ("GPU-Util", 1, " %"),
            ("gpu_utilization", 0.01, ""),
        ]
    )
    rate = rng.choice(["tput", "Throughput (infer/sec)", "qps", "requests/s"])
    rows = [
        ("", None, None, None, None, 9.0, 309.0),
        ("resnet", 1, 4, 1381.6, 7.25, 23.0, 1461.0),
        ("segmentation, liver", 2, 1, 28.0, 36.5, 76.0, 11051.0),
        ("bert", 8, 2, 172.4, 20.125, 56.0, 5035.0),
    ]
    columns: list[tuple[str, list[str]]] = [
        ("Model", [f'"{row[0]}"' for row in rows]),
        ("batch size", ["" if row[1] is None else str(row[1]) for row in rows]),
        ("Concurrency", ["" if row[2] is None else str(row[2]) for row in rows]),
        (
            rate,
            [
                number(
                    None
                    if row[3] is None
                    else row[3] / (row[1] or 1)
                    if rate in ("qps", "requests/s")
                    else row[3]
                )
                for row in rows
            ],
        ),
    ]
    for (title, scale, unit), place in ((latency, 4), (busy, 5), (memory, 6)):
        cells = []
        for row in rows:
            value = row[place]
            assert value is None or isinstance(value, float)
            cells.append(number(None if value is None else value * scale, unit))
        columns.append((title, cells))
    columns.append(("team", ["", "red", "blue", "red"]))
    title, scale, are_requests = rng.choice(
        [
            ("demand", 1.0, False),
            ("Demand (infer/min)", 60.0, False),
            ("demand rps", 1.0, True),
            ("Demand [requests/hour]", 3600.0, True),
        ]
    )
    cells = []
    for name, size, *_ in rows:
        asked = DEMANDS.get(name)
        per = scale / (size or 1) if are_requests else scale
        cells.append(number(None if asked is None else asked * per))
    columns.append((title, cells))
    rng.shuffle(columns)
    lines = [separator.join(title for title, _ in columns)]
    lines += [
        separator.join(cells[index] for _, cells in columns)
        for index in range(len(rows))
    ]
    text = rng.choice(["\n", "\r\n"]).join(lines) + "\n"
    ending = rng.choice([".csv", ".csv", ".csv", ".txt", ".json", ".jsonl"])
    if ending.startswith(".json"):
        text = _as_json(text, separator, rng, is_of_lines=ending == ".jsonl")
    content = (b"\xef\xbb\xbf" if rng.random() < 0.3 else b"") + text.encode()
    if rng.random() < 0.2:
        return {f"table{ending}.gz": gzip.compress(content, 1)}
    return {f"table{ending}": content}


DEMANDS = {"resnet": 120.0, "bert": 16.0}
"""Infer/sec that rewritten tables ask."""


def _as_json(
    text: str, separator: str, rng: random.Random, *, is_of_lines: bool
) -> str:
    """Return a table as JSON: objects, an object a line, or a list for each column."""
    rows: list[dict[str, Any]] = list(
        csv.DictReader(io.StringIO(text), delimiter=separator)
    )
    for row in rows:
        for title, cell in row.items():
            if not cell and rng.random() < 0.5:
                row[title] = None
            elif cell.replace(".", "", 1).isdecimal() and rng.random() < 0.5:
                row[title] = json.loads(cell)
    if is_of_lines:
        return "\n".join(map(json.dumps, rows)) + "\n"
    if rng.random() < 0.3:
        return json.dumps({key: [row[key] for row in rows] for key in rows[0]})
    return json.dumps(rows, indent=rng.choice([None, 1]))


def facts(profiles: ProfileSet) -> list[tuple[Any, ...]]:
    """Return what counts of a set, rounded to what a rewriting keeps."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.6g}")

    found: list[tuple[Any, ...]] = [
        (one.gpu_memory_used_bytes, rounded(one.gpu_utilization_percent))
        for one in profiles.baselines
    ]
    return found + [
        (
            one.model_name,
            str(one.load_point),
            rounded(one.throughput_infer_per_sec),
            rounded(one.latency_p99_us),
            rounded(one.gpu_utilization_percent),
            rounded(one.gpu_memory_used_bytes),
        )
        for one in profiles.records
    ]


def demands(path: Path) -> dict[str, Any] | None:
    """Return what a file asks of models; None if it is refused in our words.

    Raises:
        AssertionError: If a message is endless, or tells a secret.
    """
    try:
        asked = wishes_beside(path)
    except GpupackError as err:
        _require_good(str(err))
        return None
    models = {} if asked is None else asked.models
    return {name: one.demand for name, one in models.items() if one.demand is not None}


def _require_good(message: str) -> None:
    assert len(message) <= MAX_MESSAGE, f"a message of {len(message)} letters"
    assert TOKEN not in message, "a message with a secret"


def read(files: Files, folder: Path) -> tuple[ProfileSet, dict[str, Any] | None] | None:
    """Return what comes of reading files, None if they are refused in our words.

    Also what they ask of models, as ``demands`` says.

    Raises:
        AssertionError: If a message is endless, tells a secret, or what was read cannot
            be written and read again.
    """
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path = folder if len(files) > 1 else folder / next(iter(files))
    try:
        asked = demands(path)
        profiles = gpupack.read_profiles(path)
    except GpupackError as err:
        _require_good(str(err))
        return None
    finally:
        for name in files:
            (folder / name).unlink()
    own = folder / "again.jsonl"
    gpupack.write_profiles(profiles, own)
    assert TOKEN not in own.read_text(), "a record with a secret"
    assert facts(gpupack.read_profiles(own)) == facts(profiles), (
        "another when read again"
    )
    own.unlink()
    return profiles, asked


def run(number: int, seed: int) -> Counter[str]:
    """Read broken and rewritten files, and return how many were read and refused.

    Raises:
        AssertionError: Naming the file's number, with which it can be made again.
    """
    outcomes: Counter[str] = Counter()
    good = seeds()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = read({"table.csv": PLAIN.encode()}, folder)
        assert plain is not None
        expected = facts(plain[0])
        for index in range(number):
            rng = random.Random(f"{seed}/{index}")
            if index % 6 == 5:
                outcomes[_run_metrics(rng, folder, f"file {index} of seed {seed}")] += 1
                continue
            is_rewritten = rng.random() < 0.25
            files = rewritten(rng) if is_rewritten else broken(rng.choice(good), rng)
            try:
                found = read(files, folder)
                if is_rewritten and found is not None:
                    profiles, asked = found
                    assert facts(profiles) == expected, "read as something else"
                    assert asked == DEMANDS, f"asked as {asked}"
            except Exception as err:
                raise AssertionError(
                    f"file {index} of seed {seed}: {type(err).__name__}: {err}\n{files}"
                ) from err
            kind = "rewritten" if is_rewritten else "broken"
            outcomes[f"{kind}, {'refused' if found is None else 'read'}"] += 1
    return outcomes


def _run_metrics(rng: random.Random, folder: Path, where: str) -> str:
    """Read texts of ``/metrics``, and return what they were and what came of it."""
    is_rewritten = rng.random() < 0.25
    texts = fuzz_metrics.rewritten(rng) if is_rewritten else fuzz_metrics.broken(rng)
    try:
        cluster = fuzz_metrics.read(texts, folder)
        if is_rewritten:
            expected = fuzz_metrics.read(fuzz_metrics.texts(), folder)
            assert cluster is not None, "refused"
            assert expected is not None
            assert fuzz_metrics.facts(cluster) == fuzz_metrics.facts(expected), (
                "read as something else"
            )
    except Exception as err:
        raise AssertionError(f"{where}: {type(err).__name__}: {err}\n{texts}") from err
    kind = "rewritten" if is_rewritten else "broken"
    return f"{kind} metrics, {'refused' if cluster is None else 'read'}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    outcomes = run(options.files, options.seed)
    for kind, number in sorted(outcomes.items()):
        print(f"{kind}: {number:,}")
    print(f"{time.process_time() - started:.0f} s of CPU")
    sys.exit(0)


if __name__ == "__main__":
    main()
