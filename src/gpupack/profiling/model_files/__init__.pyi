from .file_options import ModelFileOptions
from .file_repository import (
    FileRepository,
    write_file_repository,
)

__all__ = [
    "FileRepository",
    "ModelFileOptions",
    "write_file_repository",
]
