"""A chart as helm renders it, and a cluster that knows labels, taints and counts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from tests.release.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHART = PROJECT / "deploy" / "helm" / "gpupack"
KUBERNETES = ("1.34", "1.35", "1.36", "1.37")


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the real helm."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("no helm here; .ci/install-helm installs it")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False
    )


def render(
    folder: Path, values: Mapping[str, object], *, name: str = "measured"
) -> dict[str, dict[str, Any]]:
    """Return the manifests of a release by kind, each valid in every version.

    Raises:
        RuntimeError: With what helm says, where it refuses the values.
    """
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(dict(values), allow_unicode=True))
    done = helm("template", name, CHART, "--namespace", "models", "--values", file)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    manifests = [one for one in yaml.safe_load_all(done.stdout) if one]
    for manifest in manifests:
        for version in KUBERNETES:
            # An older schema stands in for one that is not known.
            used = kubernetes_validate.validate(manifest, version, strict=True)
            assert used == version
    assert len({one["kind"] for one in manifests}) == len(manifests)
    return {one["kind"]: one for one in manifests}


def pod_of(manifests: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the Job's pod."""
    spec: dict[str, Any] = manifests["Job"]["spec"]["template"]["spec"]
    return spec


def command_of(container: Mapping[str, Any], folders: Mapping[str, Path]) -> list[str]:
    """Return a container's arguments as the kubelet hands them over.

    Args:
        container: Of a pod, whose arguments name no variables.
        folders: What is mounted where, as here.
    """
    arguments = []
    for text in container["args"]:
        for mounted, folder in folders.items():
            text = text.replace(f"{mounted}/", f"{folder}/")
            if text.endswith(f"={mounted}"):
                text = text.removesuffix(mounted) + str(folder)
        arguments.append(text.replace("$$", "$"))
    return arguments


@dataclass
class Node:
    """A node of a simulated cluster."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    """Keys; each keeps away who does not tolerate it."""
    devices: dict[str, int] = field(default_factory=dict)
    """How many of an extended resource are free."""

    def takes(self, pod: Mapping[str, Any]) -> bool:
        """Whether a scheduler that knows labels, taints and counts may choose it."""
        selected = pod.get("nodeSelector", {}).items() <= self.labels.items()
        tolerated = {
            one["key"]
            for one in pod.get("tolerations", ())
            if one.get("operator") == "Exists"
        }
        return (
            selected
            and set(self.taints) <= tolerated
            and all(
                self.devices.get(resource, 0) >= count
                for resource, count in devices_of(pod).items()
            )
        )


def devices_of(pod: Mapping[str, Any]) -> dict[str, int]:
    """Return how many of each extended resource a pod asks for."""
    wanted: dict[str, int] = {}
    for container in pod["containers"]:
        for resource, count in container["resources"].get("limits", {}).items():
            if "/" in resource:
                wanted[resource] = wanted.get(resource, 0) + int(count)
    return wanted
