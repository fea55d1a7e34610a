"""The image of ``deploy/container``: built by buildah on debootstrap's Debian.

No base image can be pulled where the tests run, and no daemon is there; the file that
is built is the one that a release is made from. ``GPUPACK_TEST_DEBIAN`` may name a
folder with a Debian 12 that debootstrap made before.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import gpupack
from tests.factories import MIB, make_profiles, make_record
from tests.profiling.served_models import write_model
from tests.release.cluster import command_of, pod_of, render
from tests.release.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.release, pytest.mark.triton, pytest.mark.timeout(1500)]

MIRROR = "http://deb.debian.org/debian"
BASE, IMAGE = "localhost/debian:bookworm", "localhost/gpupack:test"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
LARGEST_BYTES = 750_000_000
"""Of the image on a full Debian of debootstrap's; docs/howto/run_in_containers.md."""
LARGE_PLAN = """
import gpupack, pathlib
placement = gpupack.place("/data/many.jsonl", "max_throughput", time_limit_s=20)
mapped = pathlib.Path("/proc/self/maps").read_text().splitlines()
print(placement.status.value, [one for one in placement.warnings if "compiled" in one])
print({line.split()[-1] for line in mapped if "/kernels-" in line})
"""


@dataclass(frozen=True)
class Buildah:
    """buildah with a storage of its own, that needs no daemon and no mounts."""

    folder: Path

    def __call__(
        self, *arguments: object, timeout_s: float = 1200
    ) -> subprocess.CompletedProcess[str]:
        storage = ("--root", self.folder / "storage", "--runroot", self.folder / "run")
        command = ["buildah", *storage, "--storage-driver", "vfs", *arguments]
        return subprocess.run(
            [str(one) for one in command],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def succeed(self, *arguments: object) -> str:
        """Return what it prints."""
        done = self(*arguments)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """The image, and a container made from it."""

    buildah: Buildah
    container: str
    root: Path
    """Where the container's files can be looked at."""

    def configuration(self) -> dict[str, object]:
        text = self.buildah.succeed("inspect", "--type", "image", IMAGE)
        stated: dict[str, object] = json.loads(text)["OCIv1"]["config"]
        return stated

    def run(
        self,
        *command: str,
        mounts: Mapping[str, Path] | None = None,
        user: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the working directory, as the image's user or another."""
        options = [f"--user={user}"] if user else []
        options += [
            f"--volume={folder}:{mounted}:{'ro' if mounted == '/models' else 'rw'}"
            for mounted, folder in (mounts or {}).items()
        ]
        return self.buildah(
            *("run", "--isolation", "chroot", *options, self.container, "--"), *command
        )


def make_debian(folder: Path) -> Path:
    """Return a Debian 12, made here unless one is named; skip where that fails."""
    named = os.environ.get("GPUPACK_TEST_DEBIAN")
    if named:
        return PROJECT / named
    debian = folder / "debian"
    for _ in range(2):
        shutil.rmtree(debian, ignore_errors=True)
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", "bookworm", debian, MIRROR],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            break
    else:
        pytest.skip(f"no Debian from {MIRROR}: {(done.stdout + done.stderr)[-300:]}")
    for path in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(debian / path)
        (debian / path / "partial").mkdir(parents=True)
    return debian


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here; .ci/install-buildah installs it")
    if os.geteuid() != 0:
        pytest.skip("debootstrap makes a system as root only")
    folder = tmp_path_factory.mktemp("image")
    buildah = Buildah(folder)
    debian = make_debian(folder)
    empty = buildah.succeed("from", "scratch")
    buildah.succeed("add", "--quiet", empty, debian, "/")
    buildah.succeed("commit", "--quiet", "--rm", empty, BASE)
    certificates: Sequence[str] = ()
    if os.path.exists(CERTIFICATES):  # noqa: PTH110
        # A proxy on the way to the index may have a certificate of its own.
        mounted = "/run/certificates.crt"
        certificates = (
            f"--volume={CERTIFICATES}:{mounted}:ro",
            f"--build-arg=PIP_CERT={mounted}",
        )
    buildah.succeed(
        *("bud", "--isolation", "chroot", "--pull-never", "--layers=false"),
        *(f"--build-arg=BASE={BASE}", *certificates),
        *("--file", "deploy/container/Dockerfile", "--tag", IMAGE, "."),
    )
    container = buildah.succeed("from", "--pull-never", IMAGE)
    root = buildah.succeed("mount", container)
    yield Image(buildah, container, PROJECT / root)
    shutil.rmtree(folder, ignore_errors=True)


def test_it_starts_as_gpupack_and_as_nobody_who_owns_it(image: Image) -> None:
    stated = image.configuration()
    who = image.run("id", "-u").stdout.strip()
    written = image.run("touch", "/opt/gpupack/env/x", "/usr/x")

    assert stated["Entrypoint"] == ["gpupack"]
    assert stated["User"] == "10001:10001"
    assert stated["WorkingDir"] == "/work"
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in stated["Env"]  # type: ignore[operator]
    assert who == "10001"
    assert written.returncode != 0
    assert image.run("gpupack", "--version").stdout == (
        f"gpupack {gpupack.__version__}\n"
    )


def test_it_works_for_any_other_user(image: Image) -> None:
    done = image.run("gpupack", "demo", "--no-live", "--output=other", user="4711:0")

    assert done.returncode == 0, done.stderr
    assert (image.root / "work" / "other" / "four_gpus.json").stat().st_uid == 4711


def test_no_compiler_pip_or_source_is_left_in_it(image: Image) -> None:
    left = image.run(
        "sh", "-c", "command -v gcc cc pip pip3; ls /source /root/.cache; true"
    )

    assert left.stdout == ""
    assert not list((image.root / "opt").rglob("pip"))


def test_the_demo_runs_in_it_with_its_own_server(image: Image) -> None:
    done = image.run("gpupack", "demo")

    assert done.returncode == 0, done.stderr
    written = {one.name for one in (image.root / "work" / "demo-output").iterdir()}
    assert {"four_gpus.json", "six_gpus.json", "live_placement.json"} <= written, (
        written
    )
    assert "on a real Triton" in done.stdout


def test_a_large_plan_finds_its_kernels_compiled(image: Image, tmp_path: Path) -> None:
    dice = random.Random(7)
    records = [
        make_record(
            f"model {number}",
            gpu_memory_used_bytes=dice.randrange(150, 500) * MIB,
            gpu_utilization_percent=dice.randrange(15, 60),
            memory_utilization_percent=dice.randrange(10, 55),
        )
        for number in range(120)
    ]
    data = tmp_path / "data"
    data.mkdir()  # tmp_path is nobody's but its owner's
    gpupack.write_profiles(make_profiles(*records), data / "many.jsonl")

    planned = image.run("python3", "-c", LARGE_PLAN, mounts={"/data": data})

    assert planned.returncode == 0, planned.stderr
    said, loaded = planned.stdout.splitlines()
    assert said in ("OPTIMAL []", "FEASIBLE []")
    assert loaded.startswith("{'/opt/gpupack/env/")
    assert not (image.root / "work" / ".cache").exists()


def test_the_articles_command_writes_its_three_tables(
    image: Image, tmp_path: Path
) -> None:
    models, tables = tmp_path / "models", tmp_path / "tables"
    tables.mkdir()
    tables.chmod(0o777)
    for name in ("a", "b"):
        write_model(models, name)
    command = "profile --batch 1,2,4 --concurrency 1,2,4 --model-names a,b"
    command += " --model-folder /models --export --export-path /tables"
    command += " --max-seconds 0.2 --warm-up 0.05 --gpu host"

    done = image.run(
        "gpupack", *command.split(), mounts={"/models": models, "/tables": tables}
    )

    assert done.returncode == 0, done.stderr
    names = {one.name for one in tables.glob("*.csv")}
    assert names == {
        "metrics-server-only.csv",
        "metrics-model-inference.csv",
        "metrics-model-gpu.csv",
    }
    rows = (tables / "metrics-model-inference.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 3 * 3


def test_the_charts_job_runs_in_it(image: Image, tmp_path: Path) -> None:
    models, store = tmp_path / "models", tmp_path / "store"
    store.mkdir()
    store.chmod(0o777)
    write_model(models, "only")
    profiled = pod_of(
        render(
            tmp_path,
            {
                "modelRepository": {"volume": {"emptyDir": {}}},
                "profile": {
                    "batch": [1],
                    "concurrency": [1],
                    "gpu": "host",
                    "arguments": ["--max-seconds=0.2"],
                },
            },
        )
    )
    planned = pod_of(
        render(tmp_path, {"mode": "plan", "plan": {"arguments": ["--allow-unstable"]}})
    )
    containers = [
        *profiled["containers"],
        *planned["initContainers"],
        *planned["containers"],
    ]

    for container in containers:
        done = image.run(
            *("gpupack", *command_of(container, {})),
            mounts={"/models": models, "/store": store},
        )
        assert done.returncode == 0, done.stderr

    assert {one.name for one in store.iterdir()} >= {
        "placement.json",
        "placement.md",
        "profiles.jsonl",
        "report.html",
        "tables",
    }


def test_notices_name_everything_that_it_carries(image: Image) -> None:
    text = (image.root / "opt/gpupack/THIRD_PARTY_NOTICES.txt").read_text()
    found = {
        re.sub(r"[-_.]+", "-", folder.name.split("-")[0]).lower()
        for folder in (image.root / "opt").rglob("*.dist-info")
    }
    named = {
        re.sub(r"[-_.]+", "-", name).lower()
        for name in re.findall(r"^  (\S+) \S+: ", text, re.MULTILINE)
    }
    packages = image.run("dpkg-query", "-W", "-f", "${Package}\n").stdout.split()
    listed = re.findall(r"^  (\S+) [^:\s]+(?::\S+)?$", text, re.MULTILINE)

    assert {"gpupack", "nvidia-pytriton", "ortools"} <= found
    assert named == found
    assert set(packages) <= set(listed)
    for package in packages:
        copyright_file = image.root / "usr/share/doc" / package / "copyright"
        assert copyright_file.exists() or copyright_file.is_symlink(), package
    assert (image.root / "opt/gpupack/LICENSE").read_text() == (
        (PROJECT / "LICENSE").read_text()
    )


def test_it_is_no_larger_than_the_page_says(image: Image) -> None:
    (listed,) = json.loads(image.buildah.succeed("images", "--json", IMAGE))
    size = subprocess.run(
        ["du", "-s", "--block-size=1", image.root],
        capture_output=True,
        text=True,
        check=True,
    )

    assert listed["names"] == [IMAGE]
    assert int(size.stdout.split()[0]) < LARGEST_BYTES
