"""Models that Model Analyzer measured together: evidence for a calibration."""

from pathlib import Path

import pytest

import gpupack
from gpupack.errors import InvalidInputError, MissingReadingError, ProfileDataError
from gpupack.importers.model_analyzer.colocations import is_export, read_colocations
from gpupack.records.environment import SharingMode
from tests.importers.test_model_analyzer import (
    GPU_A,
    GPU_TITLES,
    INFERENCE_TITLES,
    SERVER,
    write_export,
)

TOGETHER = f"""{INFERENCE_TITLES}
"a,b","1,1","1,1","a_config_7,b_config_9","1:GPU,2:GPU","8,4",Yes,\
"130.0, [60.0,70.0]","20.7, [23.9,17.4]"
"""
ALONE = f"""{INFERENCE_TITLES}
a,1,1,a_config_default,1:GPU,8,Yes,100.0,9.0
a,1,1,a_config_1,2:GPU,8,Yes,120.0,9.0
b,1,1,b_config_0,2:GPU,4,Yes,100.0,9.0
"""
GPU_ALONE = f"""{GPU_TITLES}
a,{GPU_A},1,1,a_config_default,1:GPU,Yes,900.0,80.0,59.7
a,{GPU_A},1,1,a_config_1,2:GPU,Yes,900.0,90.0,59.7
b,{GPU_A},1,1,b_config_0,2:GPU,Yes,900.0,70.0,59.7
"""


@pytest.fixture
def together(tmp_path: Path) -> Path:
    folder = tmp_path / "together"
    folder.mkdir()
    return write_export(folder, inference=TOGETHER)


@pytest.fixture
def alone(tmp_path: Path) -> gpupack.ProfileSet:
    folder = tmp_path / "alone"
    folder.mkdir()
    export = write_export(folder, inference=ALONE, gpu=GPU_ALONE, server=SERVER)
    return gpupack.read_profiles(export, gpu="T4")


def test_sets_are_joined_with_the_same_configuration_alone(
    together: Path, alone: gpupack.ProfileSet
) -> None:
    assert is_export(together)

    found = read_colocations(together, alone, SharingMode.STREAMS)

    (of_set,) = [one for one in found if len(one.models) > 1]
    assert [one.throughput_infer_per_sec for one in of_set.models] == [60.0, 70.0]
    # Searches number configurations anew: one GPU instance of a, two of b.
    assert [str(one.load_point.variant) for one in of_set.models] == [
        "a_config_default",
        "b_config_0",
    ]
    solos = {one.models[0].model_name: one for one in found if len(one.models) == 1}
    assert solos["a"].gpu_utilization_mean_percent == 80


def test_a_calibration_is_fitted_to_them(
    together: Path, alone: gpupack.ProfileSet
) -> None:
    found = gpupack.calibrate(
        [], read_colocations(together, alone, SharingMode.STREAMS)
    )

    assert found.gpu_type_name == "T4"
    assert found.sharing_mode is SharingMode.STREAMS
    assert found.num_sets == 1
    assert found.contention_factor > 0


def test_what_was_never_measured_alone_is_named(
    together: Path, alone: gpupack.ProfileSet
) -> None:
    with pytest.raises(MissingReadingError, match=r"b at 1x1, 2:GPU.*profile it alone"):
        read_colocations(together, alone.select("a"), SharingMode.STREAMS)


def test_an_export_of_single_models_is_no_evidence(
    tmp_path: Path, alone: gpupack.ProfileSet
) -> None:
    with pytest.raises(ProfileDataError, match="no models were measured together"):
        read_colocations(tmp_path / "alone", alone, SharingMode.STREAMS)


def test_profiles_of_an_unknown_gpu_cannot_be_calibrated(
    together: Path, tmp_path: Path, alone: gpupack.ProfileSet
) -> None:
    unknown = gpupack.read_profiles(tmp_path / "alone")

    with pytest.raises(InvalidInputError, match="gpupack read EXPORT --gpu T4 --to"):
        read_colocations(together, unknown, SharingMode.STREAMS)
