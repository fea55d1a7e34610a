"""Write the licences and notices of everything that an environment carries.

Read from the metadata of the Python distributions, by pip-licenses, and from Debian's
list of packages::

    python deploy/container/notices.py --python .venv/bin/python > NOTICES.txt

Exit status 1 if a distribution states no licence, or one that is not in ``ACCEPTED``:
somebody has to read it before it is handed on.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "UNKNOWN"
"""What pip-licenses writes where a distribution says nothing."""
ACCEPTED = (
    "0BSD",
    "3-Clause BSD License",
    "Apache 2.0",
    "Apache License 2.0",
    "Apache Software License",
    "Apache-2.0",
    "BSD",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "HPND",
    "ISC License (ISCL)",
    "MIT",
    "MIT License",
    "MIT-CMU",
    "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "Python Software Foundation License",
    "The Unlicense (Unlicense)",
    "ZPL-2.1",
    "Zlib",
)
"""Licences as distributions spell them, of which somebody who passes on unchanged files
has to do no more than keep the text, which this program writes."""
_SEPARATORS = re.compile(r";|\bAND\b|\bOR\b|[()]")
_BAR = "=" * 78


@dataclass(frozen=True)
class Distribution:
    """A Python distribution with what it says about itself."""

    name: str
    version: str
    licence: str
    url: str
    texts: tuple[str, ...]
    libraries: tuple[str, ...]
    """Names of the shared libraries that its wheel bundles."""

    @property
    def is_accepted(self) -> bool:
        """Whether every licence that it names is in ``ACCEPTED``."""
        if self.licence in ACCEPTED:
            return True
        parts = [part.strip() for part in _SEPARATORS.split(self.licence)]
        named = [part for part in parts if part]
        return bool(named) and all(part in ACCEPTED for part in named)


def read_distributions(python: Path) -> list[Distribution]:
    """Return what is installed for an interpreter, by name."""
    command = [sys.executable, "-m", "piplicenses", "--python", str(python)]
    command += ["--from=mixed", "--with-system", "--with-urls", "--format=json"]
    command += ["--with-license-file", "--with-notice-file", "--no-license-path"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    libraries = _bundled_libraries(python)
    return [
        Distribution(
            one["Name"],
            one["Version"],
            one["License"],
            one["URL"],
            tuple(
                text.strip()
                for text in (one["LicenseText"], one["NoticeText"])
                if text.strip() and text != UNKNOWN
            ),
            libraries.get(normal_name(one["Name"]), ()),
        )
        for one in sorted(json.loads(done.stdout), key=lambda one: one["Name"].lower())
    ]


def _bundled_libraries(python: Path) -> dict[str, tuple[str, ...]]:
    """Return what auditwheel put beside packages, by the distribution's name."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    )
    return {
        normal_name(folder.name.removesuffix(".libs")): tuple(
            sorted(one.name for one in folder.iterdir())
        )
        for folder in Path(done.stdout.strip()).glob("*.libs")
    }


def normal_name(name: str) -> str:
    """Return a distribution's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_debian_packages(database: Path) -> list[tuple[str, str]]:
    """Return names and versions of a Debian system's packages."""
    done = subprocess.run(
        ["dpkg-query", f"--admindir={database}", "-W", "-f", "${Package} ${Version}\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = [line.split() for line in done.stdout.splitlines()]
    return sorted((name, version) for name, version in pairs)


def document(
    environments: list[list[Distribution]], packages: list[tuple[str, str]]
) -> str:
    """Return the notices as text: a list first, then every licence in full."""
    every = sorted(
        {one for environment in environments for one in environment},
        key=lambda one: (one.name.lower(), one.version),
    )
    lines = [
        "Licences and notices of what is carried here",
        "",
        "Python distributions:",
    ]
    lines += [f"  {one.name} {one.version}: {one.licence}" for one in every]
    if packages:
        lines += [
            "",
            "Debian packages, each with its licence in /usr/share/doc/NAME/copyright:",
        ]
        lines += [f"  {name} {version}" for name, version in packages]
    for one in every:
        lines += ["", _BAR, f"{one.name} {one.version}", f"Licence: {one.licence}"]
        lines += [f"From: {one.url}"] if one.url != UNKNOWN else []
        if one.libraries:
            lines += ["Its wheel bundles: " + ", ".join(one.libraries)]
        lines += ["", *one.texts] if one.texts else ["", "It comes without a text."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the notices to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=Path, action="append", required=True)
    parser.add_argument(
        "--debian", type=Path, help="Debian's database, such as /var/lib/dpkg."
    )
    asked = parser.parse_args()
    environments = [read_distributions(one) for one in asked.python]
    packages = read_debian_packages(asked.debian) if asked.debian else []
    sys.stdout.write(document(environments, packages))
    refused = [
        one
        for environment in environments
        for one in environment
        if not one.is_accepted
    ]
    for one in refused:
        sys.stderr.write(
            f"{one.name} {one.version} is under {one.licence!r}, which is not in "
            "ACCEPTED: read it, then add it there or do without the distribution\n"
        )
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
