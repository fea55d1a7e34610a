"""What tells whether a file is still as gpupack wrote it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.deploying.writing.generated_files import GeneratedFiles


def digests(files: GeneratedFiles) -> dict[str, str]:
    """Return what tells whether a file is still as gpupack wrote it, by path."""
    found = {path: digest_of(text.encode()) for path, text in files.texts.items()}
    found |= {path: f"link to {target}" for path, target in files.links.items()}
    return dict(sorted(found.items()))


def digest_of(content: bytes) -> str:
    """Return what no other content has."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
