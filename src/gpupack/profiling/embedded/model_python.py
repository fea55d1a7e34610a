"""The Python that the embedded server runs models in."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gpupack.errors import InvalidInputError
from gpupack.profiling.embedded.installation import STUB_PYTHONS

_ASK_PYTHON = """\
import sys, sysconfig, importlib.util
print("%d.%d" % sys.version_info[:2])
print(sysconfig.get_config_var("INSTSONAME") or "")
print(sysconfig.get_config_var("LIBDIR") or "")
print(sys.base_prefix)
print("yes" if importlib.util.find_spec("numpy") else "no")
"""


@dataclass(frozen=True)
class ModelPython:
    """The interpreter that models run in, and where its shared library is.

    Attributes:
        executable: The ``python3`` itself, in an environment that has numpy.
        version: Minor version, such as ``3.11``.
        library: Its ``libpython``; None where the backend's stub carries one.
    """

    executable: Path
    version: str
    library: Path | None


def inspect_python(executable: Path) -> ModelPython:
    """Return what the server needs to know about a Python that models shall run in.

    Raises:
        InvalidInputError: It does not run, has no stub, no ``libpython``, or no numpy.
    """
    found = shutil.which(str(executable))
    if found is None:
        raise InvalidInputError(
            f"no Python at {executable} to run models in; name one with --server-python"
        )
    # -I: the backend's stub is isolated too, so PYTHONPATH must not help here.
    done = subprocess.run(
        [found, "-I", "-c", _ASK_PYTHON], capture_output=True, text=True, check=False
    )
    answers = done.stdout.splitlines()
    if done.returncode != 0 or len(answers) != 5:
        raise InvalidInputError(
            f"{found} does not run as a Python: {done.stderr.strip()[-300:]}"
        )
    version, soname, libdir, base_prefix, has_numpy = answers
    if version not in STUB_PYTHONS:
        raise InvalidInputError(
            f"{found} is Python {version}; the embedded server runs models in "
            f"{STUB_PYTHONS[0]} to {STUB_PYTHONS[-1]}: name one with --server-python"
        )
    if has_numpy != "yes":
        raise InvalidInputError(
            f"{found} has no numpy, which Triton's Python backend needs: run "
            f"`{found} -m pip install numpy`, or name another with --server-python"
        )
    shared = f"libpython{version}.so.1.0"
    folders = [libdir, f"{base_prefix}/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    names = [name for name in (soname, shared) if name.startswith("libpython")]
    library = next(
        (
            path
            for folder in folders
            for name in names
            if ".so" in name and (path := Path(folder, name)).is_file()
        ),
        None,
    )
    if library is None and version != "3.13":  # the stub for 3.13 carries its own
        raise InvalidInputError(
            f"{found} has no {shared} (looked in {', '.join(folders)}), which Triton's "
            f"Python backend loads: install it (Debian, Ubuntu: `apt install "
            f"libpython{version}`; pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared), or "
            "name another Python with --server-python"
        )
    return ModelPython(executable=Path(found), version=version, library=library)
