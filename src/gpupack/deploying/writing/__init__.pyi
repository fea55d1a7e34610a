from .folder import (
    check_folder,
    check_repository,
    digests,
    write_folder,
)
from .generated_files import GeneratedFiles

__all__ = [
    "GeneratedFiles",
    "check_folder",
    "check_repository",
    "digests",
    "write_folder",
]
