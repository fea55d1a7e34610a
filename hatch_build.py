"""Compiles the kernels when gpupack is installed or packed into a wheel.

On a machine without a C compiler the package ``ziglang``, which brings one, is asked
for; it is only needed while building. If nothing works gpupack is installed all the
same, plans with less, and says so.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from types import ModuleType

KERNELS = Path("src/gpupack/packing/kernels")
COMPILER = (
    "ziglang>=0.13; sys_platform == 'linux' "
    "and (platform_machine == 'x86_64' or platform_machine == 'aarch64')"
)


class KernelsHook(BuildHookInterface[Any]):
    """Builds the library beside its sources, for editable installs and wheels."""

    def dependencies(self) -> list[str]:
        """Return what has to be installed in order to build."""
        build = self._build_module()
        return [] if build.has_compiler() else [COMPILER]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library and put it into the wheel."""
        build = self._build_module()
        try:
            library = build.build_library(build.SOURCES)
        except (build.KernelsNotBuiltError, OSError) as err:
            self.app.display_warning(f"the kernels were not compiled: {err}")
            return
        build_data["artifacts"].append((KERNELS / library.name).as_posix())
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def _build_module(self) -> ModuleType:
        """Load the module that compiles; gpupack itself cannot be imported yet."""
        path = Path(self.root) / KERNELS / "build.py"
        spec = importlib.util.spec_from_file_location("gpupack_kernels_build", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
