"""Exports in the shapes that tools document, with values worked out by hand.

Model Analyzer's metrics and output fields, perf_analyzer's --verbose-csv, GenAI-Perf's
embeddings, and tables as people make them of nvidia-smi's and of benchmarks' titles.
"""

import json
import os
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import MissingReadingError, ProfileDataError

MB = 10**6
MIB = 2**20


def test_model_analyzers_every_output_field_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "metrics-model-inference.csv").write_text(
        "Server Queue Time (ms),p99 Latency (ms),Model,RAM Usage (MB),p90 Latency (ms),"
        "Concurrency,Model Config Path,Throughput (infer/sec),Average Latency (ms),"
        "Response Wait Time (ms),Request/Response Time (ms),Batch,Instance Group,"
        "Server Compute Input Time (ms),Server Compute Infer Time (ms),"
        "Server Compute Output Time (ms),Satisfies Constraints,Max Batch Size\n"
        "0.5,12.5,m,3000,10.5,4,m_config_2,100.0,9.5,8,1,2,2:GPU,0.125,7.5,0.25,Yes,8\n"
    )
    (tmp_path / "metrics-model-gpu.csv").write_text(
        "GPU Power Usage (W),GPU Memory Available (MB),GPU Memory Usage (MB),Batch,"
        "Concurrency,Model,Model Config Path,GPU UUID,GPU Utilization (%)\n"
        "75.5,14000,2000,2,4,m,m_config_2,GPU-1,61.5\n"
    )
    (tmp_path / "metrics-server-only.csv").write_text(
        "GPU UUID,Model,GPU Memory Usage (MB)\nGPU-1,triton-server,400\n"
    )

    profiles = gpupack.read_profiles(tmp_path, gpu="T4")

    (record,) = profiles.records
    assert str(record.load_point) == "m_config_2:2x4"
    assert record.throughput_infer_per_sec == 100
    # Milliseconds in the table, microseconds in the record.
    assert record.latency_mean_us == 9_500
    assert record.latency_p90_us == 10_500
    assert record.latency_p99_us == 12_500
    assert record.server_queue_us == 500
    assert record.server_compute_input_us == 125
    assert record.server_compute_infer_us == 7_500
    assert record.server_compute_output_us == 250
    assert record.gpu_memory_used_bytes == 2_000 * MB
    assert record.gpu_utilization_mean_percent == 61.5
    assert record.power_mean_watts == 75.5
    assert record.num_model_instances == 2
    # (16,106 MB of a T4's 15,360 MiB - 400) / 1,600 own: nine fit one GPU.
    placement = gpupack.place(profiles, replicas={"m": 9})
    assert len(placement.gpus) == 1
    assert len(gpupack.place(profiles, replicas={"m": 10}).gpus) == 2


def test_perf_analyzers_verbose_table_at_a_request_rate(tmp_path: Path) -> None:
    path = tmp_path / "verbose.csv"
    path.write_text(
        "Request Rate,Inferences/Second,Client Send,Network+Server Send/Recv,"
        "Server Queue,Server Compute Input,Server Compute Infer,Server Compute Output,"
        "Client Recv,p50 latency,p90 latency,p95 latency,p99 latency,Avg latency,"
        "request/response,response wait,Avg GPU Utilization,Avg GPU Power Usage,"
        "Max GPU Memory Usage,Total GPU Memory\n"
        "100,800.5,9,552,87,31,5705,277,4,6465,6635,6704,9994,6500,13,6618,"
        "GPU-1:0.5;GPU-2:0;,GPU-1:90;GPU-2:20;,"
        "GPU-1:1000000000;GPU-2:300000000;,GPU-1:16000000000;GPU-2:16000000000;\n"
    )

    (record,) = gpupack.read_profiles(path, batch_size=8).records

    assert str(record.load_point) == "8@100/s"
    assert record.throughput_infer_per_sec == 800.5
    assert (record.latency_mean_us, record.latency_p99_us) == (6_500, 9_994)
    # The second GPU was idle: the model ran on the first, which took a GB.
    assert record.gpu_memory_used_bytes == 10**9
    assert record.gpu_utilization_mean_percent == 50
    assert record.environment.gpu_uuid == "GPU-1"
    assert any("sent at 100 a second" in one for one in record.warnings)


@pytest.mark.parametrize(
    ("kind", "point", "throughput"),
    [
        # A request to an embedding model holds four texts, each an inference.
        ("embeddings", "4x16", 80),
        ("rankings", "4x16", 80),
        # A chat of four texts is one prompt.
        ("chat", "1x16", 20),
    ],
)
def test_genai_perfs_inputs_per_request(
    kind: str, point: str, throughput: float, tmp_path: Path
) -> None:
    path = tmp_path / "profile_export_genai_perf.json"
    path.write_text(
        json.dumps(
            {
                "request_throughput": {"unit": "requests/sec", "avg": 20.0},
                "request_latency": {"unit": "ms", "avg": 45.0, "p99": 60},
                "input_config": {
                    "model": ["e5-large"],
                    "batch_size_text": 4,
                    "batch_size_image": 1,
                    "endpoint_type": kind,
                    "concurrency": 16,
                    "request_rate": None,
                },
            }
        )
    )

    (record,) = gpupack.read_profiles(path).records

    assert str(record.load_point) == point
    assert record.throughput_infer_per_sec == throughput
    assert record.latency_p99_us == 60_000


def test_nvidia_smis_titles_and_cells_beside_a_load(tmp_path: Path) -> None:
    path = tmp_path / "smi.csv"
    path.write_text(
        "model, batch_size, concurrency, throughput [infer/s], utilization.gpu [%], "
        "utilization.memory [%], memory.used [MiB], power.draw [W]\n"
        ", , , , 0 %, 0 %, 310 MiB, 25.10 W\n"
        "resnet, 8, 4, 900.5, 87 %, 41 %, 2210 MiB, 143.20 W\n"
        "bert, 1, 2, 120.0, [N/A], 30 %, 3010 MiB, [Not Supported]\n"
    )

    profiles = gpupack.read_profiles(path, gpu="T4")

    assert profiles.baselines[0].gpu_memory_used_bytes == 310 * MIB
    resnet, bert = profiles.records
    assert resnet.gpu_memory_used_bytes == 2210 * MIB
    assert resnet.gpu_utilization_percent == 87
    assert resnet.memory_utilization_percent == 41
    assert resnet.power_mean_watts == 143.2
    assert bert.gpu_utilization_percent is None
    assert bert.power_mean_watts is None


def test_a_benchmarks_table_with_nanoseconds_clients_and_queries(
    tmp_path: Path,
) -> None:
    path = tmp_path / "results.csv"
    path.write_text(
        "Model;Batch size;Clients;Completed queries per second;"
        "99th percentile latency (ns);Mean latency (ns);Peak GPU memory (GiB)\n"
        ";;;;;;0,30\n"
        "resnet50;2;4;1.312,55;8.012.345;3.001.122;1,50\n"
    )

    profiles = gpupack.read_profiles(path)

    (record,) = profiles.records
    assert str(record.load_point) == "2x4"
    # A query of batch size 2 is two inferences.
    assert record.throughput_infer_per_sec == 2 * 1312.55
    assert record.latency_p99_us == pytest.approx(8_012.345)
    assert record.latency_mean_us == pytest.approx(3_001.122)
    assert record.gpu_memory_used_bytes == 1536 * MIB
    assert profiles.baselines[0].gpu_memory_used_bytes == 322_122_548  # rounded up


@pytest.mark.parametrize("name", ["table", "search"])
def test_the_file_without_the_server_alone_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.csv"
    path.write_text(
        {
            "table": "model,batch,concurrency,tput,memory (MiB)\na,1,1,10,500\n",
            "search": "Model,Batch,Concurrency,Model Config Path,GPU UUID,"
            "GPU Memory Usage (MB)\na,1,1,a_config_0,GPU-1,500\n",
        }[name]
    )

    placement = gpupack.place(path, gpus="T4")

    (told,) = (one for one in placement.warnings if "without a model" in one)
    assert f"{name}.csv" in told
    assert "metrics-server-only.csv beside" in told


@pytest.mark.parametrize(
    "text",
    [
        "Concurrency,Inferences/Second,p99 latency\n1,100,5000\n2,150,60",
        "Model,Batch,Concurrency,Model Config Path,Throughput (infer/sec)\n"
        "m,1,1,m_config_0,100.0\nm,1,2,m_config_0,15",
    ],
)
def test_an_export_that_may_end_within_its_last_number_says_so(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "stopped.csv"
    path.write_text(text)
    whole = tmp_path / "whole.csv"
    whole.write_text(text + "\n")

    assert any(
        "stopped.csv" in note and "row 3 may be cut off" in note
        for note in gpupack.read_profiles(path).notes
    )
    assert not any("last line" in one for one in gpupack.read_profiles(whole).notes)


EXPORTS = os.environ.get("GPUPACK_EXPORTS")
"""A folder with what Model Analyzer's own tests keep, which gpupack does not ship."""


@pytest.mark.skipif(EXPORTS is None, reason="GPUPACK_EXPORTS names no such folder")
class TestPublishedExports:
    """Values read off the files by eye."""

    def folder(self, name: str) -> Path:
        assert EXPORTS is not None
        return Path(EXPORTS) / name

    def test_a_single_models_variants(self) -> None:
        profiles = gpupack.read_profiles(self.folder("single-model"), gpu="T4")

        assert profiles.model_names == ("add_sub",)
        best = max(profiles.records, key=lambda one: one.throughput_infer_per_sec or 0)
        assert str(best.load_point) == "add_sub_config_default:2x2"
        assert best.throughput_infer_per_sec == 13_205
        assert best.latency_p99_us == 500
        assert best.gpu_memory_used_bytes == 872_400_000
        assert best.gpu_utilization_mean_percent == 5.5
        assert profiles.baselines[0].gpu_memory_used_bytes == 870 * MB
        assert len(gpupack.place(profiles).gpus) == 1

    def test_a_search_at_request_rates(self) -> None:
        profiles = gpupack.read_profiles(self.folder("request-rate"), gpu="T4")

        (record,) = profiles.select(
            "add_sub", load_point="add_sub_config_5:2@32/s"
        ).records
        assert record.throughput_infer_per_sec == 64
        assert record.gpu_memory_used_bytes == 876_600_000
        assert record.num_model_instances == 3
        assert len(gpupack.place(profiles, demand={"add_sub": 60}).gpus) == 1

    def test_a_bls_search_with_repeated_rows_and_a_foreign_gpu_table(self) -> None:
        profiles = gpupack.read_profiles(self.folder("bls"), gpu="T4")

        point = "bls_config_6:1x16"
        (record,) = profiles.select("bls", load_point=point).records
        # Of 10,077.3, 9,824.1, 3,121 and 3,066 the best, with its own latency.
        assert record.throughput_infer_per_sec == 10_077.3
        assert record.latency_p99_us == 2_200
        assert record.gpu_memory_used_bytes is None
        assert any("several rows" in note for note in profiles.notes)
        assert any("no GPU readings of 'bls'" in note for note in profiles.notes)
        with pytest.raises(MissingReadingError, match="no row of 'bls', only of"):
            gpupack.place(profiles.select("bls"))


def test_an_empty_folder_of_results_says_what_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "metrics-model-inference.csv").write_text("")
    (tmp_path / "metrics-model-gpu.csv").write_text("\n")

    with pytest.raises(ProfileDataError, match="its tables are empty"):
        gpupack.read_profiles(tmp_path)
