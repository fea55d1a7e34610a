"""What no public function can use, it tells in gpupack's own words."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import gpupack
from gpupack.errors import CheckError, GpupackError, InvalidInputError
from gpupack.profiling.server.server_url import ServerUrl
from tests.factories import make_profiles, make_record

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILES = make_profiles(
    make_record("a", throughput_infer_per_sec=10, latency_p99_us=5e5),
    make_record("b", latency_p99_us=5e5),
)
JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    2.5,
    float("nan"),
    10**400,
    "x",
    b"x",
    [],
    [1],
    {},
    {1: 2},
    {None: None},
    {1: 2, "a": 3},
    {"a": "x"},
    {"a": 10**400},
    (),
    ("T4",),
    ("T4", "x"),
    (1, 2, 3),
    {"T4": -1},
    object(),
    1j,
    {"x"},
    "9" * 5000 + "x1",
    "x" * 100_000,
    {"x" * 100_000: 1},
    np.float64(0.5),
    Decimal("0.5"),
]
PLACE = [
    "objective",
    "gpus",
    "prices",
    "headroom",
    "load_point",
    "demand",
    "latency_limit_ms",
    "latency_percentile",
    "replicas",
    "weights",
    "fairness",
    "optional",
    "min_retention",
    "sharing",
    "contention",
    "time_limit_s",
    "seed",
    "max_gpus",
    "max_price_per_hour",
    "max_replicas",
    "carry_memory_over",
    "allow_unstable",
    "workers",
    "request",
]
FRONTIER = ["by", "budgets", "max_points"]
MEASURE = [
    "stopping_rule",
    "half_width_ratio",
    "percentile",
    "min_duration_s",
    "max_duration_s",
    "window_s",
    "window_requests",
    "warm_up_s",
    "request_timeout_s",
]
READ = ["gpu", "model_name", "batch_size"]
SWEEP = ["models", "batch_sizes", "concurrency", "gpus", "sharing", "options", "server"]
VERIFY = ["gpu_indices", "tolerance", "options", "server", "model_repository"]


def is_told(function: Callable[[], object]) -> None:
    """Check that a call succeeds, or fails with one of gpupack's errors, not a long."""
    with suppress(GpupackError):
        try:
            function()
        except CheckError as err:
            raise AssertionError from err
        except GpupackError as err:
            if len(str(err)) > 3000:
                raise AssertionError("a long message") from err


def _check_options(**given: Any) -> None:
    gpupack.MeasureOptions(**given).check()


def _check_tls(**given: Any) -> None:
    gpupack.TlsOptions(**given).context()


@pytest.mark.parametrize("argument", PLACE)
def test_place_tells_what_it_cannot_use(argument: str) -> None:
    for junk in JUNK:
        given: dict[str, Any] = {"time_limit_s": 0.0, argument: junk}
        is_told(partial(gpupack.place, PROFILES, **given))


@pytest.mark.parametrize("argument", FRONTIER)
def test_frontier_tells_what_it_cannot_use(argument: str) -> None:
    for junk in JUNK:
        given: dict[str, Any] = {"time_limit_s": 0.0, argument: junk}
        is_told(partial(gpupack.frontier, PROFILES, **given))


def test_readers_and_writers_tell_what_they_cannot_use(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    gpupack.write_profiles(PROFILES, path)
    placement = gpupack.place(PROFILES)
    for junk in JUNK:
        for function in (
            partial(gpupack.read_profiles, junk),
            partial(gpupack.read_placement, junk),
            partial(gpupack.load_example, junk),
            partial(gpupack.write_profiles, junk, tmp_path / "p"),
            partial(gpupack.write_placement, junk, tmp_path / "q"),
            partial(gpupack.place, junk),
            partial(gpupack.frontier, junk),
            partial(gpupack.explain, junk, PROFILES),
            partial(gpupack.explain, placement, junk),
            partial(gpupack.calibrate, junk),
            partial(PROFILES.select, junk),
            partial(PROFILES.select, load_point=junk),
            partial(PROFILES.select, gpu_type=junk),
            partial(gpupack.LoadPoint.parse, junk),
        ):
            is_told(function)
        for argument in READ:
            is_told(partial(gpupack.read_profiles, path, **{argument: junk}))


def test_measuring_tells_what_it_cannot_use(tmp_path: Path) -> None:
    placement = gpupack.place(PROFILES)
    for junk in JUNK:
        for argument in MEASURE:
            is_told(partial(_check_options, **{argument: junk}))
        for argument in ("ca_path", "certificate_path", "key_path"):
            is_told(partial(_check_tls, **{argument: junk}))
        sweep: dict[str, Any] = {
            "server": gpupack.ServerOptions(
                model_repository=tmp_path, root="/nonexistent"
            ),
            "batch_sizes": [1],
            "concurrency": [1],
        }
        for argument in SWEEP:
            is_told(partial(gpupack.profile, **{**sweep, argument: junk}))
        verify: dict[str, Any] = {
            "server": gpupack.ServerOptions(
                model_repository=tmp_path, root="/nonexistent"
            ),
        }
        for argument in VERIFY:
            is_told(partial(gpupack.verify, placement, **{**verify, argument: junk}))
        is_told(partial(gpupack.verify, junk, **verify))


@pytest.mark.parametrize(
    "number", [np.float64, np.float32, Decimal, Fraction], ids=lambda one: one.__name__
)
def test_place_takes_numbers_of_every_kind(number: Callable[[float], Any]) -> None:
    def asked(real: Callable[[float], Any], whole: Callable[[int], Any]) -> str:
        found = gpupack.place(
            PROFILES,
            "max_throughput",
            gpus={"test-gpu": whole(4)},
            prices={"test-gpu": real(0.5)},
            headroom={"memory": real(0.5), "gpu_utilization": real(1.5)},
            demand={"a": real(8)},
            latency_limit_ms=real(1000),
            replicas=whole(2),
            weights={"a": real(2)},
            min_retention=real(0.125),
            time_limit_s=real(5),
            seed=whole(3),
        )
        return found.model_copy(update={"seconds": 0.0}).to_json()

    assert asked(number, np.int64) == asked(float, int)


def test_a_file_name_that_leads_nowhere_is_told_with_the_examples() -> None:
    with pytest.raises(
        InvalidInputError, match="neither a file nor a built-in example"
    ):
        gpupack.place("no such profiles.jsonl")


@pytest.mark.parametrize("kind", [str, Path])
def test_options_take_paths_as_text_too(
    tmp_path: Path, kind: Callable[[Path], Any]
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, image=np.zeros((1, 2), np.float32))

    data = gpupack.InputOptions(data={"": kind(path)})
    assert data.data_of("any") == path
    assert len(data.data_sha256_of("any") or "") == 64
    tls = gpupack.TlsOptions(ca_path=kind(tmp_path / "missing.pem"))
    assert tls == gpupack.TlsOptions(ca_path=tmp_path / "missing.pem")
    with pytest.raises(InvalidInputError, match="No such file"):
        tls.check_fits(ServerUrl.parse("https://localhost:8000"))


def test_input_data_without_end_are_not_read() -> None:
    with pytest.raises(InvalidInputError, match="it is a device"):
        gpupack.InputOptions(data={"": "/dev/zero"}).data_sha256_of("any")


@pytest.mark.parametrize("text", ["2y4", "0x1", "1x", "x1", "-1x1", "1x" + "9" * 5000])
def test_a_load_point_that_is_none_is_told(text: str) -> None:
    with pytest.raises(InvalidInputError, match="a load point is BATCHxCONCURRENCY"):
        PROFILES.select(load_point=text)
