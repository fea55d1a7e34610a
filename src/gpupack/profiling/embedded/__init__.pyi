from .embedded_server import (
    EmbeddedServer,
    find_repository,
)
from .installation import (
    PACKAGE_NAME,
    PACKAGE_VERSION,
    TRITON_VERSION,
    InstallProgress,
    cache_folder,
    check_platform,
    find_installation,
    install_server,
    installation_folder,
    remove_server,
)
from .model_python import inspect_python
from .model_runtimes import (
    ModelRuntime,
    RuntimeInstallation,
    find_runtimes,
    install_runtimes,
    remove_runtimes,
    runtimes_folder,
)
from .mps import (
    PIPE_VARIABLE,
    MpsDaemon,
)

__all__ = [
    "PACKAGE_NAME",
    "PACKAGE_VERSION",
    "PIPE_VARIABLE",
    "TRITON_VERSION",
    "EmbeddedServer",
    "InstallProgress",
    "ModelRuntime",
    "MpsDaemon",
    "RuntimeInstallation",
    "cache_folder",
    "check_platform",
    "find_installation",
    "find_repository",
    "find_runtimes",
    "inspect_python",
    "install_runtimes",
    "install_server",
    "installation_folder",
    "remove_runtimes",
    "remove_server",
    "runtimes_folder",
]
