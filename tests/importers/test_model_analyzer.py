"""Model Analyzer's exports of every release: titles, variants, rates and GPUs."""

import re
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import InvalidInputError, MissingReadingError, ProfileDataError
from gpupack.records.profile import LoadPoint

MB = 10**6
GPU_A, GPU_B = "GPU-aaaa", "GPU-bbbb"


def write_export(
    folder: Path, *, inference: str = "", gpu: str = "", server: str = ""
) -> Path:
    for name, text in (
        ("metrics-model-inference.csv", inference),
        ("metrics-model-gpu.csv", gpu),
        ("metrics-server-only.csv", server),
    ):
        if text:
            (folder / name).write_text(text + "\n")
    return folder


INFERENCE_TITLES = (
    "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,"
    "Satisfies Constraints,Throughput (infer/sec),p99 Latency (ms)"
)
GPU_TITLES = (
    "Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,"
    "Satisfies Constraints,GPU Memory Usage (MB),GPU Utilization (%),"
    "GPU Power Usage (W)"
)
SERVER_TITLES = (
    "Model,GPU UUID,GPU Memory Usage (MB),GPU Utilization (%),GPU Power Usage (W)"
)
INFERENCE = f"""{INFERENCE_TITLES}
unet,1,4,unet_config_2,2:GPU,4,Yes,22.0,235.6
unet,1,4,unet_config_default,1:GPU,6,Yes,20.4,221.9
unet,1,4,unet_config_1,1:GPU,2,No,20.3,203.4
head,1,4,head_config_default,1:GPU,8,Yes,300.0,21.9
"""
GPU_TABLE = f"""{GPU_TITLES}
unet,{GPU_A},1,4,unet_config_2,2:GPU,Yes,4035.0,90.0,59.7
unet,{GPU_A},1,4,unet_config_default,1:GPU,Yes,2775.0,90.0,56.1
unet,{GPU_A},1,4,unet_config_1,1:GPU,No,2775.0,95.1,59.5
head,{GPU_A},1,4,head_config_default,1:GPU,Yes,1500.0,40.0,50.0
"""
SERVER = f"""{SERVER_TITLES}
triton-server,{GPU_A},446.0,0.0,14.3
"""


def test_titles_without_max_and_average_are_memory_and_mean_utilization(
    tmp_path: Path,
) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE, server=SERVER)
    )

    assert profiles.baselines[0].gpu_memory_used_bytes == 446 * MB
    (head,) = profiles.select("head").records
    assert head.gpu_memory_used_bytes == 1500 * MB
    assert head.gpu_utilization_mean_percent == 40
    assert head.power_mean_watts == 50
    assert head.environment.gpu_uuid == GPU_A


@pytest.mark.parametrize(
    ("titles", "row"),
    [
        (
            "Max GPU Memory Usage(MB),Model,Concurrency,Batch,Model Config Path",
            "1500.0,m,4,1,m_config_0",
        ),
        (
            "model_name,gpu_uuid,batch_size,concurrency,model_config_path,"
            "gpu_used_memory,gpu_free_memory,gpu_utilization",
            "m,GPU-1,1,4,m_config_0,1500.0,14000.0,40.0",
        ),
        (
            "Model,GPU ID,Batch,Concurrency,Model Config Path,Satisfies Constraints,"
            "GPU Memory Usage (MB),Max RAM Usage (MB)",
            "m,0,1,4,m_config_0,Yes,1500.0,9000",
        ),
    ],
)
def test_gpu_tables_of_any_release_have_the_memory(
    titles: str, row: str, tmp_path: Path
) -> None:
    (tmp_path / "gpu.csv").write_text(f"{titles}\n{row}\n")

    (record,) = gpupack.read_profiles(tmp_path / "gpu.csv").records

    assert record.model_name == "m"
    assert record.gpu_memory_used_bytes == 1500 * MB


@pytest.mark.parametrize(
    "title", ["p99 Latency (ms)", "perf_latency_p99", "gpu_p99_latency"]
)
def test_latency_is_in_milliseconds_whatever_it_is_called(
    title: str, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(
        f"Model,Batch,Concurrency,Model Config Path,{title}\nm,1,2,m_config_0,7.5\n"
    )

    (record,) = gpupack.read_profiles(tmp_path / "x.csv").records

    assert record.latency_p99_us == 7500


def test_variants_are_alternatives_of_one_model(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE, server=SERVER)
    )

    assert profiles.model_names == ("head", "unet")
    of_two = profiles.select("unet", load_point="unet_config_2:1x4").records
    (record,) = of_two
    variant = record.load_point.variant
    assert variant is not None
    assert (variant.name, variant.num_gpu_instances) == ("unet_config_2", 2)
    assert variant.max_batch_size == 4
    assert record.num_model_instances == 2
    assert record.throughput_infer_per_sec == 22.0
    assert record.gpu_memory_used_bytes == 4035 * MB
    # A load point that names no variant is that of every variant.
    assert len(profiles.select("unet", load_point="1x4")) == 2


def test_the_planner_picks_one_variant(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE, server=SERVER)
    )

    placement = gpupack.place(profiles, gpus="4GB")

    # 446 + (2775 - 446) + (1500 - 446) = 3829 of 4294 MB; with unet_config_2: 5089.
    assert placement.num_gpus == 1
    assert placement.gpus[0].memory_bytes == 3829 * MB
    chosen = {one.model_name: one.load_point for one in placement.gpus[0].assignments}
    assert str(chosen["unet"]) == "unet_config_default:1x4"
    assert "unet_config_default:1x4" in str(placement)
    again = gpupack.Placement.model_validate_json(placement.to_json())
    assert again.gpus == placement.gpus


def test_a_variant_can_be_pinned(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE, server=SERVER)
    )

    placement = gpupack.place(
        profiles, gpus="8GB", load_point={"unet": "unet_config_2:1x4"}
    )

    # 446 + (4035 - 446) + (1500 - 446)
    assert placement.gpus[0].memory_bytes == 5089 * MB
    with pytest.raises(MissingReadingError, match="not measured at load point unet_co"):
        gpupack.place(profiles, gpus="8GB", load_point={"unet": "unet_config_9:1x4"})


def test_a_demand_is_served_with_average_utilizations(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE, server=SERVER)
    )

    placement = gpupack.place(profiles, gpus="8GB", demand={"unet": 20})

    # unet alone takes at least 20 / 22 of 90 % = 81.8 %, head 40 %: two GPUs.
    assert placement.num_gpus == 2
    assert placement.served_infer_per_sec == {"unet": pytest.approx(20)}
    assert any("average counts" in text for text in placement.warnings)
    assert any("memory utilization does not bind" in one for one in placement.warnings)


def test_rows_that_break_their_constraints_are_left_out_with_a_word(
    tmp_path: Path,
) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE, server=SERVER)
    )

    variants = {str(one.load_point.variant) for one in profiles.records}
    assert "unet_config_1" not in variants
    assert any("1 row of 'unet' left out" in note for note in profiles.notes)
    placement = gpupack.place(profiles, gpus="T4")
    assert any("1 row of 'unet' left out" in text for text in placement.warnings)


def test_an_export_in_which_no_row_keeps_its_constraints_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(ProfileDataError, match="no row satisfies its constraints"):
        gpupack.read_profiles(
            write_export(tmp_path, inference=INFERENCE.replace("Yes", "No"))
        )


def test_of_repeated_rows_the_best_is_taken_with_a_warning(tmp_path: Path) -> None:
    inference = f"""{INFERENCE_TITLES}
pipe,1,16,pipe_config_6,8:GPU,0,Yes,10077.3,2.2
pipe,1,16,pipe_config_6,8:GPU,0,Yes,3121.0,6.4
pipe,1,8,pipe_config_6,8:GPU,0,Yes,9116.0,1.4
"""
    # In another order than the other table: which row is which is not known.
    gpu = f"""{GPU_TITLES}
pipe,{GPU_A},1,8,pipe_config_6,8:GPU,Yes,1100.0,40.0,90.0
pipe,{GPU_A},1,16,pipe_config_6,8:GPU,Yes,1200.0,50.0,90.0
pipe,{GPU_A},1,16,pipe_config_6,8:GPU,Yes,1300.0,60.0,90.0
"""
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=inference, gpu=gpu, server=SERVER)
    )

    (best,) = profiles.select("pipe", load_point="1x16").records
    assert best.throughput_infer_per_sec == 10077.3
    assert best.latency_p99_us == 2200
    assert best.gpu_memory_used_bytes == 1300 * MB
    (told,) = (note for note in profiles.notes if "several rows" in note)
    assert "a BLS or ensemble model" in told
    assert re.search(r"is 10077\.3 in .*, row 2 and 3121 in .*, row 3", told)


def test_repeated_rows_in_step_keep_their_own_readings(tmp_path: Path) -> None:
    inference = f"""{INFERENCE_TITLES}
pipe,1,16,pipe_config_6,8:GPU,0,Yes,3121.0,6.4
pipe,1,16,pipe_config_6,8:GPU,0,Yes,10077.3,2.2
"""
    gpu = f"""{GPU_TITLES}
pipe,{GPU_A},1,16,pipe_config_6,8:GPU,Yes,1300.0,60.0,90.0
pipe,{GPU_A},1,16,pipe_config_6,8:GPU,Yes,1200.0,50.0,90.0
"""
    (best,) = gpupack.read_profiles(
        write_export(tmp_path, inference=inference, gpu=gpu, server=SERVER)
    ).records

    assert best.throughput_infer_per_sec == 10077.3
    assert best.gpu_memory_used_bytes == 1200 * MB


def test_the_called_models_tell_an_ensembles_variants_apart(tmp_path: Path) -> None:
    inference = f"""{INFERENCE_TITLES}
pipe,1,64,"pipe_config_2: prep_config_9, core_config_8","4:GPU,2:GPU","8,16",Yes,64.0,99
pipe,1,64,"pipe_config_2: prep_config_9, core_config_3","4:GPU,1:GPU","8,4",Yes,60.0,99
"""
    profiles = gpupack.read_profiles(write_export(tmp_path, inference=inference))

    assert profiles.model_names == ("pipe",)
    assert [one.throughput_infer_per_sec for one in profiles.records] == [60.0, 64.0]
    variant = profiles.records[1].load_point.variant
    assert variant is not None
    prep, core = variant.composing
    assert (prep.name, prep.num_gpu_instances, prep.max_batch_size) == (
        "prep_config_9",
        4,
        8,
    )
    assert (core.name, core.num_gpu_instances, core.max_batch_size) == (
        "core_config_8",
        2,
        16,
    )
    assert profiles.notes == ()


def test_a_request_rate_is_the_load_point(tmp_path: Path) -> None:
    inference = """Model,Batch,Request Rate,Model Config Path,Satisfies Constraints,\
Throughput (infer/sec),p99 Latency (ms)
m,2,32,m_config_default,Yes,64.0,1.4
m,2,16,m_config_default,Yes,32.2,1.5
"""
    gpu = f"""Model,GPU UUID,Batch,Request Rate,Model Config Path,\
GPU Memory Usage (MB),GPU Utilization (%)
m,{GPU_A},2,32,m_config_default,876.6,0.0
m,{GPU_A},2,16,m_config_default,875.6,0.0
"""
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=inference, gpu=gpu, server=SERVER)
    )

    slow, fast = profiles.records
    assert fast.load_point.requests_per_sec == 32
    assert fast.load_point.concurrency is None
    assert fast.load_point.offered_infer_per_sec == 64
    assert str(fast.load_point) == "m_config_default:2@32/s"
    assert slow.gpu_memory_used_bytes == 875_600_000
    assert any("may reach more" in text for text in fast.warnings)
    assert gpupack.place(profiles, gpus="T4", load_point="2@32/s").num_gpus == 1


def test_models_measured_together_are_no_profiles(tmp_path: Path) -> None:
    inference = f"""{INFERENCE_TITLES}
"a,b","1,1","4,2","a_config_5,b_config_4","2:GPU,1:GPU","1,2",Yes,\
"421.0, [184.5,236.5]","20.7, [23.9,17.4]"
"""
    with pytest.raises(ProfileDataError, match=r"row 2: a and b were measured togethe"):
        gpupack.read_profiles(write_export(tmp_path, inference=inference))

    mixed = inference + "c,1,4,c_config_0,1:GPU,1,Yes,10.0,1.0\n"
    profiles = gpupack.read_profiles(write_export(tmp_path, inference=mixed))
    assert profiles.model_names == ("c",)
    assert any("measured at the same time" in note for note in profiles.notes)


def test_each_model_has_the_readings_of_its_own_gpu(tmp_path: Path) -> None:
    server = f"""{SERVER_TITLES}
triton-server,{GPU_A},500.0,0.0,14.3
triton-server,{GPU_B},300.0,0.0,14.3
"""
    gpu = f"""{GPU_TITLES}
unet,{GPU_A},1,4,unet_config_default,1:GPU,Yes,500.0,1.0,20
unet,{GPU_B},1,4,unet_config_default,1:GPU,Yes,2300.0,80.0,90
head,{GPU_A},1,4,head_config_default,1:GPU,Yes,1500.0,40.0,50
head,{GPU_B},1,4,head_config_default,1:GPU,Yes,300.0,0.0,20
"""
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=gpu, server=server)
    )

    assert profiles.baselines[0].gpu_memory_used_bytes == 500 * MB
    (head,) = profiles.select("head").records
    assert head.gpu_memory_used_bytes == 1500 * MB
    assert head.environment.gpu_uuid == GPU_A
    assert head.throughput_infer_per_sec == 300
    unet = next(
        one
        for one in profiles.select("unet").records
        if str(one.load_point.variant) == "unet_config_default"
    )
    # 2300 - 300 of its own, where the server takes 500.
    assert unet.gpu_memory_used_bytes == 2500 * MB
    assert unet.gpu_utilization_mean_percent == 80
    assert any("own need" in text for text in unet.warnings)


def test_what_two_gpus_serve_is_not_promised_of_one(tmp_path: Path) -> None:
    server = f"""{SERVER_TITLES}
triton-server,{GPU_A},500.0,0.0,14.3
triton-server,{GPU_B},500.0,0.0,14.3
"""
    gpu = f"""{GPU_TITLES}
head,{GPU_A},1,4,head_config_default,1:GPU,Yes,1500.0,40.0,50.0
head,{GPU_B},1,4,head_config_default,1:GPU,Yes,1600.0,41.0,50.0
"""
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=gpu, server=server)
    )

    (head,) = profiles.select("head").records
    assert head.gpu_memory_used_bytes == 1600 * MB
    assert head.throughput_infer_per_sec is None
    assert "2 GPUs together" in head.missing["throughput_infer_per_sec"]
    assert head.latency_p99_us is None


def test_tables_of_different_runs_are_noticed(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(
        write_export(
            tmp_path,
            inference=INFERENCE,
            gpu=GPU_TABLE.replace("head", "other"),
            server=SERVER,
        )
    )

    assert any("no GPU readings of 'head'" in note for note in profiles.notes)
    with pytest.raises(MissingReadingError, match=r"no row of 'head', only of 'other'"):
        gpupack.place(profiles, gpus="T4")


def test_a_reading_column_that_is_not_understood_is_named(tmp_path: Path) -> None:
    export = write_export(
        tmp_path,
        inference=INFERENCE,
        gpu=GPU_TABLE.replace("GPU Memory Usage (MB)", "GPU Memory Weight (MB)"),
        server=SERVER,
    )
    profiles = gpupack.read_profiles(export)

    with pytest.raises(MissingReadingError, match="not understood: 'GPU Memory Weight"):
        gpupack.place(profiles, gpus="T4")
    with pytest.raises(InvalidInputError, match="there is no column 'weight'"):
        gpupack.read_profiles(export, columns={"weight": "gpu_memory_used_mib"})
    told = gpupack.read_profiles(
        export, columns={"GPU Memory Weight (MB)": "gpu_memory_used_mib"}
    )
    (head,) = told.select("head").records
    # What the title says, it is in: Model Analyzer's MB.
    assert head.gpu_memory_used_bytes == 1500 * MB


def test_without_the_server_only_file_what_is_assumed_of_the_server_is_named(
    tmp_path: Path,
) -> None:
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=GPU_TABLE)
    )

    placement = gpupack.place(profiles, gpus="T4")

    (told,) = (one for one in placement.warnings if "without a model" in one)
    assert "metrics-server-only.csv" in told
    assert "counts in full" in told


def test_a_load_point_survives_its_spelling() -> None:
    for text in ("2x4", "2@16/s", "1@0.5/s", "unet_config_2:2x4", "a_0:1@16/s"):
        assert str(LoadPoint.parse(text)) == text


def test_tables_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    other = GPU_TABLE.replace("unet_config_2,2:GPU", "unet_config_2,3:GPU")

    with pytest.raises(
        ProfileDataError, match=r"gpu\.csv', row 2: instance_group .*'3"
    ):
        gpupack.read_profiles(write_export(tmp_path, inference=INFERENCE, gpu=other))

    # An older release wrote the same in another way.
    older = GPU_TABLE.replace(":GPU", "/GPU")
    profiles = gpupack.read_profiles(
        write_export(tmp_path, inference=INFERENCE, gpu=older, server=SERVER)
    )
    assert len(profiles) == 3


def test_tables_under_other_names_are_found_in_a_folder(tmp_path: Path) -> None:
    for name, text in (("i.csv", INFERENCE), ("g.csv", GPU_TABLE), ("s.csv", SERVER)):
        (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("unrelated")

    profiles = gpupack.read_profiles(tmp_path)

    assert profiles.baselines[0].gpu_memory_used_bytes == 446 * MB
    assert profiles.select("head").records[0].gpu_memory_used_bytes == 1500 * MB

    (tmp_path / "i2.csv").write_text(INFERENCE)
    with pytest.raises(
        ProfileDataError, match=r"i\.csv and i2\.csv; give those of one"
    ):
        gpupack.read_profiles(tmp_path)
