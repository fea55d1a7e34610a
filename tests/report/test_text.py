"""Profiles and placements as text."""

from gpupack.profile_set import ProfileSet
from gpupack.records.profile import FailedLoadPoint, LoadPoint
from tests.factories import ENVIRONMENT, GPU


def test_a_failure_of_several_load_points_is_one_line_of_a_profile_set() -> None:
    failures = tuple(
        FailedLoadPoint(
            model_name=name,
            load_point=LoadPoint(batch_size=batch_size, concurrency=1),
            gpu_type=GPU,
            stage="load",
            message="CUDA out of memory\n\n  at layer 3\n",
            environment=ENVIRONMENT,
        )
        for name in ("large", "larger")
        for batch_size in (1, 2)
    )

    lines = str(ProfileSet(failures=failures)).splitlines()

    assert lines[-2:] == [
        "failed: large at 1x1, 2x1, load: CUDA out of memory at layer 3",
        "failed: larger at 1x1, 2x1, load: CUDA out of memory at layer 3",
    ]
