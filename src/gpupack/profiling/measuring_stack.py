"""What only measuring needs to be installed, and what to say where it is not."""

from __future__ import annotations

from gpupack.errors import MissingExtraError


def not_installed(err: ImportError) -> MissingExtraError:
    """Return the error for an install that left out what measuring needs."""
    name = (err.name or "tritonclient").partition(".")[0]
    return MissingExtraError(
        f"this needs {name}, which is not installed here: pip install "
        "nvidia-ml-py 'tritonclient[http,grpc]', which a plain install of gpupack "
        "brings along; planning alone does without"
    )
