"""Of the sdist and the wheel: what is in them, and that they work on their own."""

from __future__ import annotations

import email
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest
from packaging.utils import parse_wheel_filename

import gpupack
from benchmarks.environment import benchmark_environment
from deploy.container import notices
from gpupack.profiling.devices import HostDevice
from gpupack.profiling.measuring import Circumstances
from tests.release.conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.release.conftest import Distributions, Environment

pytestmark = [pytest.mark.release, pytest.mark.timeout(600)]

LISTED = ("-z", "--cached", "--others", "--exclude-standard")
KERNELS = re.compile(r"gpupack/packing/kernels/kernels-[0-9a-f]{16}-linux-\w+\.so")


def tracked(*folders: str) -> set[str]:
    """Return the files that belong to the project."""
    if not (PROJECT / ".git").exists():
        pytest.skip("what belongs to the project is known to git, and this is no clone")
    done = subprocess.run(
        ["git", "ls-files", *LISTED, "--", *folders],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    named = {name for name in done.stdout.split("\0") if name}
    return {name for name in named if (PROJECT / name).exists()}


def test_the_wheel_holds_the_package_with_its_kernels_and_nothing_else(
    distributions: Distributions,
) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    info = f"gpupack-{gpupack.__version__}.dist-info/"
    own = {name for name in names if not name.startswith(info)}
    compiled = {name for name in own if KERNELS.fullmatch(name)}

    assert len(compiled) == 1
    expected = {name.removeprefix("src/") for name in tracked("src")}
    assert own - compiled == expected
    assert {name.removeprefix(info) for name in names - own} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_the_wheel_is_tagged_as_what_its_library_runs_on(
    distributions: Distributions,
) -> None:
    _, _, _, tags = parse_wheel_filename(distributions.wheel.name)
    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", distributions.wheel],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    # Any Python 3, no extension module: the library is called through ctypes.
    assert {(tag.interpreter, tag.abi) for tag in tags} == {("py3", "none")}
    # An index takes no linux_x86_64, of which nobody knows which glibc it needs.
    assert all(tag.platform.startswith("manylinux_") for tag in tags)
    assert any(f'"{tag.platform}"' in shown for tag in tags)


def test_the_sdist_holds_the_project_and_nothing_that_was_built(
    distributions: Distributions,
) -> None:
    with tarfile.open(distributions.sdist) as sdist:
        members = [one.name.partition("/")[2] for one in sdist if one.isfile()]
        roots = {one.name.partition("/")[0] for one in sdist}
    assert roots == {f"gpupack-{gpupack.__version__}"}
    expected = tracked("src", "tests", "docs", "benchmarks", "deploy")
    expected |= tracked("*.md", "LICENSE", "Makefile", "pyproject.toml")
    expected |= tracked("hatch_build.py", ".dockerignore")

    assert sorted(members) == sorted(expected | {".gitignore", "PKG-INFO"})
    assert not [name for name in members if name.endswith((".so", ".pyc", ".log"))]


def test_the_version_is_that_of_the_package_everywhere(
    distributions: Distributions, environment: Environment, tmp_path: Path
) -> None:
    version = gpupack.__version__
    with zipfile.ZipFile(distributions.wheel) as wheel:
        text = wheel.read(f"gpupack-{version}.dist-info/METADATA").decode()
    stated = environment.run("gpupack", "--version", cwd=tmp_path).stdout

    assert email.message_from_string(text)["Version"] == version
    assert distributions.sdist.name == f"gpupack-{version}.tar.gz"
    assert stated.strip() == f"gpupack {version}"
    # Nobody has to change it in two places.
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert "version" not in project


def test_records_name_the_version_that_runs_and_not_one_installed_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpupack, "__version__", "9.8.7")

    measured = Circumstances("triton", "2.51.0").environment(HostDevice())

    assert measured.gpupack_version == measured.client_version == "9.8.7"
    assert benchmark_environment(seed=0).gpupack_version == "9.8.7"
    # What pip wrote when it installed an editable copy is as old as that.
    asks = re.compile(r"""version\(\s*["']gpupack["']""")
    folders = (PROJECT / "src", PROJECT / "benchmarks")
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    assert [path for path in sources if asks.search(path.read_text())] == []


def test_the_changelog_knows_the_version() -> None:
    headings = re.findall(
        r"^## (.+)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    released = [one for one in headings if one != "Unreleased"]

    # Until the first release everything is unreleased.
    assert not released or released[0].split(" ")[0] == gpupack.__version__


def test_an_empty_environment_needs_the_wheel_alone(
    environment: Environment, tmp_path: Path
) -> None:
    checked = environment.run("python", "-m", "pip", "check", cwd=tmp_path)
    demo = environment.run("gpupack", "demo", "--no-live", cwd=tmp_path)
    report = environment.run(
        "gpupack", "report", "demo-output/four_gpus.json", "-o", "r.html", cwd=tmp_path
    )
    init = environment.run(
        "gpupack", "init", "plan.yaml", "--from", "h200", cwd=tmp_path
    )
    asked = environment.run(
        "gpupack", "place", "h200", "--request", "plan.yaml", cwd=tmp_path
    )

    assert checked.returncode == 0, checked.stdout
    assert demo.returncode == 0, demo.stderr
    placement = json.loads((tmp_path / "demo-output" / "four_gpus.json").read_text())
    assert placement["status"] == "OPTIMAL"
    assert report.returncode == 0, report.stderr
    assert "<svg" in (tmp_path / "r.html").read_text()
    assert init.returncode == 0, init.stderr
    assert asked.returncode == 0, asked.stderr


def test_the_installed_kernels_run_without_a_compiler(
    environment: Environment, tmp_path: Path
) -> None:
    code = (
        "from gpupack.packing import build_kernels\n"
        "from gpupack.packing.runtime import kernels_are_ready\n"
        "print(kernels_are_ready(wait_s=0))\n"
        "print(build_kernels())"
    )
    done = environment.run("python", "-c", code, cwd=tmp_path)

    ready, path = done.stdout.splitlines()
    assert ready == "True", done.stderr
    assert path.startswith(str(environment.folder))
    assert not (tmp_path / ".cache").exists()


def test_everything_that_is_installed_states_an_accepted_licence(
    environment: Environment, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, notices.__file__, "--python", environment.python],
        capture_output=True,
        text=True,
        check=False,
    )
    listed = environment.run(
        "python", "-m", "pip", "list", "--format=json", cwd=tmp_path
    )
    names = {
        (notices.normal_name(one["name"]), one["version"])
        for one in json.loads(listed.stdout)
    }
    head, *texts = done.stdout.split("=" * 78)
    stated = {
        (notices.normal_name(name), version)
        for name, version in re.findall(r"^  (\S+) (\S+): ", head, re.MULTILINE)
    }

    assert done.returncode == 0, done.stderr
    assert stated == names
    assert len(texts) == len(names)
    assert any("Apache License" in text and "gpupack" in text for text in texts)
    assert sum("It comes without a text." in text for text in texts) <= 1


@pytest.mark.parametrize(
    ("licence", "is_accepted"),
    [
        ("MIT", True),
        ("Apache-2.0 AND (MIT OR BSD-3-Clause)", True),
        ("MIT License; Apache Software License", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_a_licence_is_accepted_if_every_part_is(
    licence: str, is_accepted: bool
) -> None:
    one = notices.Distribution("x", "1", licence, "", (), ())

    assert one.is_accepted is is_accepted
