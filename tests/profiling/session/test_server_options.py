"""One description of a server for profiling and for verifying."""

from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.errors import InvalidInputError
from tests.factories import make_profiles, make_record


def test_a_url_and_a_repository_are_short_for_options(tmp_path: Path) -> None:
    options = gpupack.ServerOptions

    assert options.of("http://there:8000") == options(url="http://there:8000")
    assert options.of(None, model_repository=tmp_path, gpu="host") == options(
        model_repository=tmp_path, gpu="host"
    )
    full = options(url="http://there:8000", load_timeout_s=9)
    assert options.of(full, gpu=1) == options(
        "http://there:8000", None, 1, load_timeout_s=9
    )


@pytest.mark.parametrize("beside", [{"model_repository": "elsewhere"}, {"gpu": 0}])
def test_what_is_given_twice_is_refused(beside: dict[str, Any]) -> None:
    given = gpupack.ServerOptions(model_repository="here", gpu=0)

    with pytest.raises(InvalidInputError, match="given both in server= and beside it"):
        gpupack.ServerOptions.of(given, **beside)


def test_profile_and_verify_take_the_same_options(tmp_path: Path) -> None:
    server = gpupack.ServerOptions(
        model_repository=tmp_path / "none", gpu="host", root=tmp_path
    )
    placement = gpupack.place(make_profiles(make_record("a")))

    with pytest.raises(gpupack.GpupackError, match=str(tmp_path)):
        gpupack.profile(server=server)
    with pytest.raises(gpupack.GpupackError, match=str(tmp_path)):
        gpupack.verify(placement, server=server)
    with pytest.raises(InvalidInputError, match="--url"):
        gpupack.profile(server=gpupack.ServerOptions(gpu="host"))
    with pytest.raises(InvalidInputError, match="got neither"):
        gpupack.verify(placement, server=gpupack.ServerOptions(gpu="host"))


def test_a_server_is_known_by_its_url_or_by_the_folder_of_its_models(
    tmp_path: Path,
) -> None:
    assert gpupack.ServerOptions("grpc://there:8001").name == "grpc://there:8001"
    named = gpupack.ServerOptions(model_repository=tmp_path / "x" / "..")
    assert named.name == str(tmp_path.resolve())
