"""A whole question to ``place()`` as plain data, so that it can be written and asked.

A written question is two files: ``NAME.jsonl``, the profiles, and ``NAME.json``, the
arguments with GPU types by name and ``gpu_memory_bytes`` for what the names mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gpupack
from gpupack.records.gpu import Fleet, FleetEntry, GpuType

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet


@dataclass(frozen=True)
class Question:
    """What is asked of ``place()``.

    Args:
        profiles: What was measured.
        objective: By its name.
        arguments: Keyword arguments; ``gpus`` is counts by type name, or left out.
        gpu_memory_bytes: Of the GPU types that ``gpus`` names.
        time_limit_s: For the search.
        drawn_as: What kind of question it was drawn as, for people.
    """

    profiles: ProfileSet
    objective: str = "min_gpus"
    arguments: dict[str, Any] = field(default_factory=dict)
    gpu_memory_bytes: dict[str, int] = field(default_factory=dict)
    time_limit_s: float = 2.0
    drawn_as: str = ""

    def keywords(self) -> dict[str, Any]:
        """Return the keyword arguments as ``place()`` takes them."""
        keywords = dict(self.arguments)
        if isinstance(keywords.get("gpus"), dict):
            keywords["gpus"] = Fleet(
                entries=tuple(
                    FleetEntry(
                        gpu_type=GpuType(
                            name=name, memory_bytes=self.gpu_memory_bytes[name]
                        ),
                        num_gpus=count,
                    )
                    for name, count in keywords["gpus"].items()
                )
            )
        return keywords

    def ask(self) -> Placement:
        """Return what ``place()`` answers."""
        return gpupack.place(
            self.profiles,
            self.objective,
            time_limit_s=self.time_limit_s,
            **self.keywords(),
        )

    def write(self, folder: Path, name: str, **remarks: Any) -> Path:
        """Write the question into a folder, with remarks; return the JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        profiles = folder / f"{name}.jsonl"
        profiles.unlink(missing_ok=True)
        gpupack.write_profiles(self.profiles, profiles)
        path = folder / f"{name}.json"
        content = {
            "objective": self.objective,
            "time_limit_s": self.time_limit_s,
            "drawn_as": self.drawn_as,
            "arguments": self.arguments,
            "gpu_memory_bytes": self.gpu_memory_bytes,
            **remarks,
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Question:
        """Return the question that was written to ``NAME.json``."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            profiles=gpupack.read_profiles(path.with_suffix(".jsonl")),
            objective=content["objective"],
            arguments=content["arguments"],
            gpu_memory_bytes=content.get("gpu_memory_bytes", {}),
            time_limit_s=content["time_limit_s"],
            drawn_as=content.get("drawn_as", ""),
        )
