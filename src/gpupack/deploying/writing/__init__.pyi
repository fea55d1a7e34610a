from .digesting import digests
from .folder import check_folder, write_folder
from .generated_files import GeneratedFiles
from .repository import check_repository, repository_digests

__all__ = [
    "GeneratedFiles",
    "check_folder",
    "check_repository",
    "digests",
    "repository_digests",
    "write_folder",
]
