"""How large the container image is, and what takes the room.

    python -m benchmarks.image_size ROOT            print one JSON line
    python -m benchmarks.image_size ROOT --append   and keep it in results/

``ROOT`` is where the image's files can be seen: what ``buildah mount`` prints, or where
``docker export`` was unpacked. Bytes are those of the files, hard links once;
compressed is what gzip at level 6, as registries keep layers, makes of them all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path

from benchmarks.environment import benchmark_environment

RESULTS = Path(__file__).parent / "results" / "image_size.jsonl"
SERVER = "opt/gpupack/cache"
PACKAGES = "opt/gpupack/env/lib/python3.11/site-packages"
NUM_LARGEST = 6


def count_bytes(root: Path, *, inside: str = "") -> int:
    """Return the bytes of the files below a folder of the image."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(root / inside):
        for name in names:
            found = (Path(folder) / name).lstat()
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total


def count_compressed_bytes(root: Path) -> int:
    """Return the bytes of a compressed archive of the image."""
    with subprocess.Popen(
        ["tar", "--create", "--directory", root, "."], stdout=subprocess.PIPE
    ) as archive:
        packed = subprocess.Popen(
            ["gzip", "-6"], stdin=archive.stdout, stdout=subprocess.PIPE
        )
        assert packed.stdout is not None
        total = 0
        while block := packed.stdout.read(1 << 20):
            total += len(block)
    if archive.returncode or packed.wait():
        raise RuntimeError(f"cannot pack {root}")
    return total


def measure(root: Path) -> dict[str, object]:
    """Return the sizes of an image by its parts, in bytes."""
    whole = count_bytes(root)
    server, own = count_bytes(root, inside=SERVER), count_bytes(root, inside="opt")
    packages = {
        folder.name: count_bytes(folder)
        for folder in (root / PACKAGES).iterdir()
        if folder.is_dir()
    }
    largest = sorted(packages, key=lambda name: -packages[name])[:NUM_LARGEST]
    bytecode = sum(path.stat().st_size for path in (root / "opt").rglob("*.pyc"))
    return {
        "whole_bytes": whole,
        "compressed_bytes": count_compressed_bytes(root),
        "debian_bytes": whole - own,
        "debian_documentation_bytes": count_bytes(root, inside="usr/share"),
        "gpupack_bytes": own - server,
        "server_bytes": server,
        "bytecode_bytes": bytecode,
        "largest_packages_bytes": {name: packages[name] for name in largest},
    }


def main() -> None:
    """Measure one image."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--append", action="store_true")
    asked = parser.parse_args()
    environment = benchmark_environment(seed=0)
    line = measure(asked.root) | {
        "environment": environment.model_dump(mode="json", exclude_none=True)
    }
    text = json.dumps(line)
    print(text)
    if asked.append:
        with RESULTS.open("a") as results:
            results.write(text + "\n")


if __name__ == "__main__":
    main()
