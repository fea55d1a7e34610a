"""Tables that are unclear or contradict themselves: told apart, or refused by name."""

import gzip
import json
import re
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import (
    InvalidInputError,
    NotProfilesError,
    ProfileDataError,
    StoreError,
)
from gpupack.importers.reader import examine
from gpupack.store import read_profile_file
from tests.factories import MIB

TITLES = (
    "model_name,batch_size,concurrency,throughput_infer_per_sec,latency_p99_ms,"
    "gpu_utilization_percent,gpu_memory_used_mib"
)


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(path: Path, **knowledge: object) -> str:
    with pytest.raises(ProfileDataError) as caught:
        gpupack.read_profiles(path, **knowledge)  # type: ignore[arg-type]
    return str(caught.value)


class TestRepeats:
    def test_repeats_within_noise_are_one_record_with_a_word(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path,
            f"{TITLES}\n,,,,,9,309\n,,,,,8,311\n"
            "m,1,4,100,7,50,1461\nm,1,4,104,8,55,1470\nm,1,4,101,7.5,52,1465\n",
        )

        profiles = gpupack.read_profiles(path)

        (record,) = profiles.records
        assert record.throughput_infer_per_sec == 101  # the median of 100, 101, 104
        assert record.latency_p99_us == 7500
        assert record.gpu_utilization_percent == 55  # the highest that was seen
        assert record.gpu_memory_used_bytes == 1470 * MIB
        assert profiles.baselines[0].gpu_memory_used_bytes == 311 * MIB
        (note,) = profiles.notes
        assert "'m' at 1x4 in row 4, row 5, row 6" in note
        assert "BLS" not in note

    def test_contradictions_are_named_by_row_and_figure(self, tmp_path: Path) -> None:
        path = write(tmp_path, f"{TITLES}\nm,1,4,100,7,50,1461\nm,1,4,180,7,50,1461\n")

        message = refusal(path)

        assert "throughput_infer_per_sec is 100 in row 2 and 180 in row 3" in message
        assert "BLS" not in message

    def test_a_column_kept_aside_may_tell_configurations_apart(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path,
            f"{TITLES},precision\nm,1,4,100,7,50,1461,fp32\nm,1,4,180,7,50,961,fp16\n",
        )

        assert "columns={'precision': 'variant'}" in refusal(path)
        profiles = gpupack.read_profiles(path, columns={"precision": "variant"})
        assert [str(one.load_point) for one in profiles.records] == [
            "fp32:1x4",
            "fp16:1x4",
        ]

    def test_rows_of_other_instance_counts_are_no_repeats(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            f"{TITLES},instances\nm,1,4,100,7,50,1461,1\nm,1,4,100,7,50,1461,2\n",
        )

        assert "num_model_instances is 1 in row 2 and 2 in row 3" in refusal(path)

    def test_files_of_a_folder_that_contradict_are_both_named(
        self, tmp_path: Path
    ) -> None:
        write(tmp_path, f"{TITLES}\nm,1,4,100,7,50,1461\n", "a.csv")
        write(tmp_path, f"{TITLES}\nm,1,4,300,7,50,1461\n", "b.csv")

        message = refusal(tmp_path)

        assert "100 in '" in message
        assert "a.csv' and 300 in '" in message
        assert "b.csv'" in message

    def test_a_table_of_people_naming_triton_is_not_model_analyzers(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path,
            "Model,Batch,Concurrency,Throughput,Memory (MB)\n"
            "triton-server,,,,309\nm,1,1,10,900\nm,1,1,90,900\n",
        )

        message = refusal(path)

        assert "10 in row 3 and 90 in row 4" in message
        assert "BLS" not in message

    def test_one_config_of_two_searches_is_refused(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,"
            "Throughput (infer/sec)\n"
            "m,1,1,m_config_2,2:GPU,4,20\nm,1,1,m_config_2,1:GPU,4,10\n",
        )

        message = refusal(path)

        assert "row 3: instance_group of 'm_config_2' is '1:GPU'" in message
        assert "row 2" in message


class TestUnitColumns:
    def test_each_row_is_in_the_unit_beside_it(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "model,batch,concurrency,throughput,throughput unit,p99,latency_unit,"
            "memory,unit\n"
            "a,2,1,100,infer/s,7,ms,1461,MiB\nb,2,1,50,req/s,9000,us,5,GB\n",
        )

        if_rates_mix = refusal(path)
        assert "rates of requests and of their inputs" in if_rates_mix
        path.write_text(path.read_text().replace("infer/s", "req/s"))
        a, b = gpupack.read_profiles(path).records

        assert a.throughput_infer_per_sec == 200
        assert b.throughput_infer_per_sec == 100
        assert (a.latency_p99_us, b.latency_p99_us) == (7000, 9000)
        assert a.gpu_memory_used_bytes == 1461 * MIB
        assert b.gpu_memory_used_bytes == 5 * 1024 * MIB

    def test_a_unit_after_each_reading_is_its_own(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "model,batch,concurrency,p99,unit,memory,unit\nm,1,1,7,ms,2,GB\n",
        )

        reading = examine(path)

        (record,) = reading.profiles.records
        assert record.latency_p99_us == 7000
        assert record.gpu_memory_used_bytes == 2048 * MIB
        notes = [one.note for one in reading.sources[0].columns if "unit" in one.title]
        assert notes == [
            "the unit of 'p99', row by row",
            "the unit of 'memory', row by row",
        ]

    @pytest.mark.parametrize(
        ("titles", "row", "message"),
        [
            ("memory,memory unit", "5,stones", "row 2: memory unit is 'stones'"),
            ("memory,unit", "5,stones", "row 2: unit is 'stones', no unit of any"),
            ("memory,memory unit", "5,ms", "'ms', no unit of memory; it may be bytes"),
            ("gpu_memory_used_mib,memory unit", "5,GB", "title of gpu_memory_used_mib"),
            ("p99,latency_unit", "5,\nm,2,1,6,ms", "row 2: latency_unit is empty"),
        ],
    )
    def test_what_is_no_unit_of_the_reading_is_refused(
        self, tmp_path: Path, titles: str, row: str, message: str
    ) -> None:
        path = write(tmp_path, f"model,batch,concurrency,{titles}\nm,1,1,{row}\n")

        assert message in refusal(path)


class TestMemoryUnits:
    @pytest.mark.parametrize(
        ("server", "unit"), [("309000", "KiB"), ("0.3", "GiB"), ("324009984", "bytes")]
    )
    @pytest.mark.parametrize("title", ["gpu_memory_used_mib", "memory"])
    def test_a_server_in_another_unit_is_noticed_and_mended(
        self, tmp_path: Path, server: str, unit: str, title: str
    ) -> None:
        titles = TITLES.replace("gpu_memory_used_mib", title)
        path = write(tmp_path, f"{titles}\n,,,,,9,{server}\nm,1,4,10,7,50,1461\n")

        assert "'server memory': '" in refusal(path)
        profiles = gpupack.read_profiles(path, units={"server memory": unit})
        (baseline,) = profiles.baselines
        assert baseline.gpu_memory_used_bytes is not None
        assert 300 * MIB < baseline.gpu_memory_used_bytes < 315 * MIB
        assert profiles.records[0].gpu_memory_used_bytes == 1461 * MIB

    def test_the_same_in_a_table_of_its_own(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            "Model,Batch,Concurrency,Model Config Path,Throughput (infer/sec)\n"
            "m,1,1,m_config_1,20\n",
            "metrics-model-inference.csv",
        )
        write(
            tmp_path,
            "Model,GPU UUID,Batch,Concurrency,Model Config Path,GPU Memory Usage (MB)\n"
            "m,GPU-a,1,1,m_config_1,1400\n",
            "metrics-model-gpu.csv",
        )
        write(
            tmp_path,
            "Model,GPU UUID,GPU Memory Usage (MB)\ntriton-server,GPU-a,446000\n",
            "metrics-server-only.csv",
        )

        assert "units={'server memory': 'KiB'}" in refusal(tmp_path)
        profiles = gpupack.read_profiles(tmp_path, units={"server memory": "KB"})
        assert profiles.baselines[0].gpu_memory_used_bytes == 446_000_000
        assert profiles.records[0].gpu_memory_used_bytes == 1_400_000_000

    def test_a_unit_for_a_server_that_is_not_there_is_refused(
        self, tmp_path: Path
    ) -> None:
        path = write(tmp_path, f"{TITLES}\nm,1,4,10,7,50,1461\n")

        with pytest.raises(InvalidInputError, match="no row is of the server alone"):
            gpupack.read_profiles(path, units={"server memory": "GB"})

    def test_one_model_in_another_unit_is_named(self, tmp_path: Path) -> None:
        rows = "a,1,1,10,7,50,5\nb,1,1,10,7,50,5035\n"
        without = write(tmp_path, f"{TITLES}\n{rows}", "without.csv")
        beside = write(tmp_path, f"{TITLES}\n,,,,,9,309\n{rows}", "beside.csv")

        assert "'a' at 1x1" in refusal(without)
        assert "'a' at 1x1" in refusal(beside)


class TestShares:
    @pytest.mark.parametrize(
        "title", ["gpu_utilization_percent", "gpu utilization", "avg gpu utilization"]
    )
    def test_shares_beside_percents_are_named_by_row(
        self, tmp_path: Path, title: str
    ) -> None:
        path = write(
            tmp_path, f"model,batch,concurrency,{title}\na,1,1,61\nb,1,1,0.61\n"
        )

        message = refusal(path)

        assert f"{title} is a share of 1 in row 3" in message
        assert "61 in row 2" in message
        a, b = gpupack.read_profiles(path, units={title: "percent"}).records
        field = "gpu_utilization_mean_percent" if "avg" in title else title
        if field == title.replace(" ", "_"):
            return
        assert (getattr(a, field, 61), getattr(b, field, 0.61)) == (61, 0.61)

    def test_a_share_beside_cells_with_percent_signs_is_named(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path,
            "model,batch,concurrency,gpu utilization\na,1,1,61 %\nb,1,1,0.61\n",
        )

        assert "0.61 in row 3" in refusal(path)

    def test_an_average_below_one_percent_is_read_with_a_word(
        self, tmp_path: Path
    ) -> None:
        title = "avg gpu utilization (%)"
        path = write(
            tmp_path, f"model,batch,concurrency,{title}\na,1,1,61\nb,1,1,0.61\n"
        )

        profiles = gpupack.read_profiles(path)

        assert profiles.records[1].gpu_utilization_mean_percent == 0.61
        assert any("0.61 in row 3" in note for note in profiles.notes)

    def test_nothing_but_ones_may_be_all_or_one_percent(self, tmp_path: Path) -> None:
        path = write(tmp_path, "model,batch,concurrency,gpu utilization\na,1,1,1\n")

        assert "1 may be 1 % or all of it" in refusal(path)


class TestLayout:
    def test_excels_separator_line_is_read(self, tmp_path: Path) -> None:
        text = f"sep=;\n{TITLES.replace(',', ';')}\nm;1;4;10,5;7;50;1461\n"
        path = write(tmp_path, text)

        (record,) = gpupack.read_profiles(path).records

        assert record.throughput_infer_per_sec == 10.5
        path.write_text(text.replace("10,5", "fast"))
        assert "row 3: throughput_infer_per_sec is 'fast'" in refusal(path)

    def test_comments_and_titles_again_are_left_out_with_a_word(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path,
            f"# perf_analyzer --header secret\n{TITLES}\nm,1,4,10,7,50,1461\n"
            f"#m,1,8,10,7,50,1461\n{TITLES}\nn,1,4,10,7,50,1461\n",
        )

        profiles = gpupack.read_profiles(path)

        assert profiles.model_names == ("m", "n")
        told = " ".join(profiles.notes)
        assert "a comment above the titles" in told
        assert "row 4, 5: left out" in told
        assert "secret" not in told

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name,city\na,b\n", r"not profiles: none of its columns \(name, city\)"),
            ("# A heading\n\nText.\n", "not profiles: it is text without columns"),
            (
                "model,a,b\nbatch_size,1,2\nconcurrency,1,1\nthroughput,5,6\n",
                "titles stand in the first column",
            ),
            (
                "model,batch,concurrency,metric,value\nm,1,1,p99_ms,7\n",
                "one reading a row",
            ),
        ],
    )
    def test_what_is_no_table_of_profiles_says_what_it_is(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        path = write(tmp_path, text)

        with pytest.raises(NotProfilesError, match=message) as caught:
            gpupack.read_profiles(path)
        assert "missing columns" not in str(caught.value)

    @pytest.mark.parametrize("above", ["Results,,,,,,", ",,,,Latency (ms),GPU,", "Run"])
    def test_rows_above_the_titles_are_to_be_removed(
        self, tmp_path: Path, above: str
    ) -> None:
        path = write(tmp_path, f"{above}\n{TITLES}\nm,1,4,10,7,50,1461\n")

        assert "remove the rows above them" in refusal(path)

    def test_a_folder_tells_what_of_it_is_no_profiles(self, tmp_path: Path) -> None:
        write(tmp_path, "name,city\na,b\n", "people.csv")
        write(tmp_path, "# Notes\n", "README.md")

        with pytest.raises(StoreError, match=r"README\.md, people\.csv: not profiles"):
            gpupack.read_profiles(tmp_path)
        write(tmp_path, f"{TITLES}\nm,1,4,10,7,50,1461\n", "runs.csv")
        profiles = gpupack.read_profiles(tmp_path)
        assert profiles.model_names == ("m",)
        assert profiles.notes == ("not profiles, and not read: README.md, people.csv",)

    @pytest.mark.parametrize("shape", ["list", "lines", "columns", "split"])
    def test_a_table_as_json_is_the_table(self, tmp_path: Path, shape: str) -> None:
        rows = [
            {"model": "a", "batch": 1, "concurrency": 2, "throughput": 10.5},
            {"model": "b", "batch": 1, "concurrency": 2, "throughput": None},
        ]
        cells = [list(one.values()) for one in rows]
        text = {
            "list": json.dumps(rows),
            "lines": "\n".join(map(json.dumps, rows)),
            "columns": json.dumps(
                {name: [one[name] for one in rows] for name in rows[0]}
            ),
            "split": json.dumps(
                {"columns": list(rows[0]), "index": [0, 1], "data": cells}
            ),
        }[shape]

        a, b = gpupack.read_profiles(write(tmp_path, text, "t.json")).records

        assert (a.model_name, a.throughput_infer_per_sec) == ("a", 10.5)
        assert (b.model_name, b.throughput_infer_per_sec) == ("b", None)

    def test_a_row_of_units_below_the_titles_is_part_of_them(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path, "model,batch,concurrency,p99,memory\n,,,(ms),[GB]\nm,1,1,7,4\n"
        )

        (record,) = gpupack.read_profiles(path).records

        assert record.latency_p99_us == 7000
        assert record.gpu_memory_used_bytes == 4096 * MIB
        path.write_text(path.read_text().replace("(ms)", "GB"))
        assert "row 2 has units, of p99 'GB'" in refusal(path)

    def test_a_table_in_markdown_is_read(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "| model | batch | concurrency | tput |\n|---|--:|---|---|\n"
            "| m | 1 | 2 | 5 |\n",
            "t.md",
        )

        (record,) = gpupack.read_profiles(path).records

        assert str(record.load_point) == "1x2"
        assert record.throughput_infer_per_sec == 5

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"PAR1\x15\x00PAR1", r"a Parquet file; .*read_parquet"),
            ("m,b".encode("utf-16-le"), "binary, or UTF-16"),
        ],
    )
    def test_binary_files_are_named(
        self, tmp_path: Path, content: bytes, told: str
    ) -> None:
        path = tmp_path / "t.parquet"
        path.write_bytes(content)

        with pytest.raises(StoreError, match=told):
            gpupack.read_profiles(path)

    @pytest.mark.parametrize(
        "text", ['["a", "b"]', '[{"model": "m", "more": {"batch": 1}}]', "[[1, 2]]"]
    )
    def test_json_that_is_no_table_is_named(self, tmp_path: Path, text: str) -> None:
        path = write(tmp_path, text, "t.json")

        with pytest.raises(NotProfilesError, match="a JSON list, but not of objects"):
            gpupack.read_profiles(path)


class TestRows:
    @pytest.mark.parametrize(
        "row",
        [
            "Total,9,6,30,14,100,5000",
            "Average,4.5,3,15,7,50,2500",
            "Summe,,,30,,,5000",
        ],
    )
    def test_sums_and_averages_of_every_column_are_left_out(
        self, tmp_path: Path, row: str
    ) -> None:
        path = write(
            tmp_path, f"{TITLES}\na,1,4,10,7,50,2000\nb,8,2,20,7,50,3000\n{row}\n"
        )

        profiles = gpupack.read_profiles(path)

        assert profiles.model_names == ("a", "b")
        assert any("row 4 was left out: it sums up" in one for one in profiles.notes)

    def test_a_model_called_total_is_a_model(self, tmp_path: Path) -> None:
        path = write(tmp_path, f"{TITLES}\na,1,4,10,7,50,2000\ntotal,1,1,7,7,50,900\n")

        assert gpupack.read_profiles(path).model_names == ("a", "total")

    def test_an_idle_row_with_a_load_of_zero_is_the_server(
        self, tmp_path: Path
    ) -> None:
        path = write(tmp_path, f"{TITLES}\nidle,0,0,,,9,309\na,1,4,10,7,50,2000\n")

        profiles = gpupack.read_profiles(path)

        assert profiles.baselines[0].gpu_memory_used_bytes == 309 * MIB

    def test_a_row_of_several_gpus_is_refused(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            f"{TITLES},num_gpus\na,1,4,10,7,50,2000,1\nb,1,4,40,7,50,2000,4\n",
        )

        assert "row 3: num_gpus is 4: what 4 GPUs reach together" in refusal(path)

    @pytest.mark.parametrize("name", ["2x T4", "0", "A100 MIG 1g.5gb"])
    def test_a_gpu_that_is_no_type_has_a_way_out(
        self, tmp_path: Path, name: str
    ) -> None:
        path = write(tmp_path, f"{TITLES},gpu\na,1,4,10,7,50,2000,{name}\n")

        assert "(columns={'gpu': 'ignore'}" in refusal(path)

    def test_percentiles_that_fall_are_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, "model,batch,concurrency,p50 ms,p99 ms\nm,1,1,90,20\n")

        assert "'m' at 1x1 has percentiles that fall (p50 90 ms, p99 20 ms)" in (
            refusal(path)
        )

    @pytest.mark.parametrize(("latency", "is_told"), [(7, False), (0.007, True)])
    def test_latencies_that_the_throughput_rules_out_are_told(
        self, tmp_path: Path, latency: float, is_told: bool
    ) -> None:
        # 4 in flight at 400 a second are 10 ms each.
        path = write(tmp_path, f"{TITLES}\nm,1,4,400,{latency},50,2000\n")

        notes = gpupack.read_profiles(path).notes

        assert any("take 10 ms on average" in one for one in notes) is is_told

    def test_tokens_a_second_are_no_throughput(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "model,batch,concurrency,throughput (tokens/s),p99 (ms)\nm,1,8,4000,900\n",
        )

        profiles = gpupack.read_profiles(path)

        assert profiles.records[0].throughput_infer_per_sec is None
        assert any("tokens are no requests" in one for one in profiles.notes)

    def test_the_same_holds_for_exports(self, tmp_path: Path) -> None:
        summary = {
            "request_throughput": {"unit": "requests/sec", "avg": 10},
            "request_latency": {"unit": "ms", "avg": 0.02},
            "input_config": {
                "endpoint": {"model_names": ["x"]},
                "loadgen": {"concurrency": 2},
            },
        }
        path = write(tmp_path, json.dumps(summary), "x_aiperf.json")

        (note,) = gpupack.read_profiles(path).notes

        assert "'x' at 1x2 take 200 ms on average" in note

    def test_memory_of_less_than_a_mib_is_in_another_unit(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "Concurrency,Inferences/Second,p99 latency,Max GPU Memory Usage\n"
            "1,100,12000,GPU-0:900;\n",
        )

        assert "--unit memory=MiB" in refusal(path)
        (record,) = gpupack.read_profiles(path, units={"memory": "MiB"}).records
        assert record.gpu_memory_used_bytes == 900 * MIB

    def test_a_second_table_of_model_analyzer_beside_the_first_is_named(
        self, tmp_path: Path
    ) -> None:
        text = (
            "Model,Batch,Concurrency,Model Config Path,Throughput (infer/sec)\n"
            "m,1,1,m_config_1,20\n"
        )
        write(tmp_path, text, "metrics-model-inference.csv")
        write(tmp_path, text, "metrics-model-inference (1).csv")

        notes = gpupack.read_profiles(tmp_path).notes

        assert any("metrics-model-inference (1).csv" in one for one in notes)


class TestCompressed:
    CONTENT = (f"{TITLES}\n,,,,,0,300\nm,1,1,10,9,50,900\nÜ,2,1,10,9,50,900\n").encode()

    @pytest.mark.parametrize(
        "content",
        [
            gzip.compress(CONTENT),
            gzip.compress(CONTENT[:40]) + gzip.compress(CONTENT[40:]),
            gzip.compress(CONTENT.decode().encode("utf-16")),
        ],
    )
    def test_a_table_that_gzip_compressed_is_read(
        self, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "t.csv.gz").write_bytes(content)

        for source in (tmp_path / "t.csv.gz", tmp_path):
            assert gpupack.read_profiles(source).model_names == ("m", "Ü")

    def test_an_export_is_called_after_the_file_without_both_endings(
        self, tmp_path: Path
    ) -> None:
        text = "Concurrency,Inferences/Second,p99 latency\n1,5.5,9000\n"
        (tmp_path / "resnet.csv.gz").write_bytes(gzip.compress(text.encode()))

        assert gpupack.read_profiles(tmp_path / "resnet.csv.gz").model_names == (
            "resnet",
        )

    @pytest.mark.parametrize("cut", [3, 20, -1, -9])
    def test_one_that_is_cut_off_is_an_error_that_says_so(
        self, tmp_path: Path, cut: int
    ) -> None:
        (tmp_path / "t.csv.gz").write_bytes(gzip.compress(self.CONTENT)[:cut])

        with pytest.raises(StoreError, match=r"t\.csv\.gz.*damaged or cut off"):
            gpupack.read_profiles(tmp_path / "t.csv.gz")

    def test_one_that_is_changed_is_an_error(self, tmp_path: Path) -> None:
        content = bytearray(gzip.compress(self.CONTENT))
        content[-6] ^= 1  # of the check sum
        (tmp_path / "t.csv.gz").write_bytes(bytes(content))

        with pytest.raises(StoreError, match="damaged or cut off"):
            gpupack.read_profiles(tmp_path / "t.csv.gz")

    def test_what_is_large_once_unpacked_is_not_unpacked_to_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gpupack.importers.source_text.MAX_FILE_BYTES", 2**20)
        (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"0" * (2**20 + 1)))

        with pytest.raises(StoreError, match="unpacked it holds more than 1 MiB"):
            gpupack.read_profiles(tmp_path / "t.csv.gz")

    def test_nothing_is_appended_to_a_compressed_file(self, tmp_path: Path) -> None:
        path = tmp_path / "profiles.jsonl.gz"
        path.write_bytes(gzip.compress(b"{}"))

        with pytest.raises(StoreError, match="compressed by gzip; unpack it"):
            read_profile_file(path, recover=True)  # as a sweep goes on with one


class TestAssumedConcurrency:
    TABLE = (
        "model,batch,throughput,gpu%,mem MiB\n,,,0,300\nm,8,80,50,900\nn,1,5,9,400\n"
    )

    def test_a_table_without_a_concurrency_is_of_one_request_at_a_time(
        self, tmp_path: Path
    ) -> None:
        profiles = gpupack.read_profiles(write(tmp_path, self.TABLE), gpu="T4")

        assert [str(one.load_point) for one in profiles.records] == ["8x1", "1x1"]
        assert profiles.records[0].throughput_infer_per_sec == 80
        (note,) = [one for one in profiles.notes if "concurrency" in one]
        assert "no column says the concurrency: taken as 1" in note
        assert "not understood" not in note
        assert note in gpupack.place(profiles).warnings

    def test_a_column_that_may_say_it_is_named(self, tmp_path: Path) -> None:
        text = "model,batch,par,throughput,gpu%\nm,8,4,80,50\n"

        (note, *_) = gpupack.read_profiles(write(tmp_path, text)).notes

        assert "not understood: 'par'" in note
        assert "columns={'par': 'concurrency'}" in note
        (record,) = gpupack.read_profiles(
            write(tmp_path, text), columns={"par": "concurrency"}
        ).records
        assert str(record.load_point) == "8x4"

    def test_rows_of_one_batch_size_that_differ_are_no_repeats(
        self, tmp_path: Path
    ) -> None:
        text = "model,batch,par,throughput,gpu%\nm,8,4,80,50\nm,8,16,160,90\n"

        assert "'par' ('4', '16') tells configurations" in refusal(
            write(tmp_path, text)
        )

    def test_a_batch_size_for_all_rows_is_enough(self, tmp_path: Path) -> None:
        path = write(tmp_path, "model,qps,gpu%\nm,10,50\n")

        (record,) = gpupack.read_profiles(path, batch_size=8).records

        assert str(record.load_point) == "8x1"
        assert record.throughput_infer_per_sec == 80
        # Without it, what a request holds is not known.
        assert "missing columns batch_size, concurrency" in refusal(path)


class TestOddExports:
    INFERENCE = (
        "Model,Batch,Concurrency,Model Config Path,Throughput (infer/sec)\n"
        "unet,1,4,unet_config_0,22.5\n"
    )

    @pytest.mark.parametrize("row", ["Total,,,,45", "Average,1,4,,22.5", "sum,1,4,-,9"])
    def test_sums_below_an_export_are_no_model(self, tmp_path: Path, row: str) -> None:
        path = write(tmp_path, f"{self.INFERENCE}{row}\n")

        profiles = gpupack.read_profiles(path)

        assert profiles.model_names == ("unet",)
        assert any("row 3 was left out: it sums up" in one for one in profiles.notes)

    def test_a_model_that_is_called_like_a_sum_is_one(self, tmp_path: Path) -> None:
        path = write(tmp_path, f"{self.INFERENCE}mean,1,4,mean_config_0,5\n")

        assert gpupack.read_profiles(path).model_names == ("mean", "unet")

    def test_requests_a_second_of_an_export_hold_their_batch(
        self, tmp_path: Path
    ) -> None:
        path = write(
            tmp_path,
            "Model,Batch,Concurrency,Model Config Path,Throughput (requests/sec)\n"
            "unet,8,4,unet_config_0,22.5\n",
        )

        (record,) = gpupack.read_profiles(path).records

        assert record.throughput_infer_per_sec == 180

    def test_an_answer_on_constraints_that_is_not_known_is_refused(
        self, tmp_path: Path
    ) -> None:
        titles, row = self.INFERENCE.splitlines()
        path = write(tmp_path, f"{titles},Satisfies Constraints\n{row},Nein\n")

        assert "is 'Nein'; Model Analyzer writes Yes or No" in refusal(path)

    def test_an_export_of_titles_alone_is_refused(self, tmp_path: Path) -> None:
        titles = self.INFERENCE.splitlines()[0]
        write(tmp_path, f"{titles}\n", "metrics-model-inference.csv")
        write(
            tmp_path,
            "Model,GPU UUID,GPU Memory Usage (MB)\ntriton-server,GPU-a,446\n",
            "metrics-server-only.csv",
        )

        assert "titles without a row: the search was stopped" in refusal(tmp_path)

    @pytest.mark.parametrize(
        ("title", "cell"),
        [
            ("tput [req/min]", "600"), ("request throughput (requests/min)", "600"),
            ("throughput (infer/min)", "2400"), ("qps", "10"),
        ],
    )  # fmt: skip
    def test_rates_a_minute_are_a_sixtieth_of_those_a_second(
        self, tmp_path: Path, title: str, cell: str
    ) -> None:
        path = write(tmp_path, f"model,batch,concurrency,{title}\na,4,1,{cell}\n")

        (record,) = gpupack.read_profiles(path).records

        assert record.throughput_infer_per_sec == pytest.approx(40)

    def test_the_only_row_may_be_an_object(self, tmp_path: Path) -> None:
        row = {"model": "a", "batch": 1, "concurrency": 2, "tput": 5, "demand": 3}
        path = write(tmp_path, json.dumps(row), "t.jsonl")

        assert gpupack.read_profiles(path).model_names == ("a",)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"window_boundaries": []}, "no measurement windows"),
            ({"window_boundaries": [5]}, "no measurement windows"),
            ({"requests": [{"timestamp": 9, "response_timestamps": [3]}]},
             "a response of the experiment .* is before its request"),
        ],
    )  # fmt: skip
    def test_request_times_of_a_stopped_or_edited_run(
        self, tmp_path: Path, change: dict[str, object], told: str
    ) -> None:
        experiment: dict[str, object] = {
            "experiment": {"mode": "concurrency", "value": 1},
            "requests": [{"timestamp": 1, "response_timestamps": [3]}],
            "window_boundaries": [0, 10],
        }
        path = write(
            tmp_path, json.dumps({"experiments": [experiment | change]}), "raw.json"
        )

        assert re.search(told, refusal(path))
