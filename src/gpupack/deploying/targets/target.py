"""What every target has: a name, a table of what it can express, and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from gpupack.deploying.writing import GeneratedFiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan
    from gpupack.records.running.deployment import DeployedServer


class Ability(StrEnum):
    """What a plan may need a target to express."""

    CHOSEN_GPU = "a chosen GPU"
    """This GPU of the plan is that card and no other."""
    GPU_TYPE = "a GPU type"
    """Any card of this type."""
    SEVERAL_SERVERS = "several servers on one GPU"
    MPS = "MPS"
    UNEQUAL_SHARES = "unequal MPS shares"
    """Processes of one GPU may use different shares of its multiprocessors."""
    MEMORY_LIMITS = "memory limits under MPS"
    MIG_DEVICE = "a MIG device"
    HOST = "hosts without a GPU"
    UNEQUAL_TRAFFIC = "unequal traffic to a model's GPUs"
    CONFIGURATIONS = "a configuration per GPU"
    """Of a model that runs on several GPUs, in one repository."""


class How(StrEnum):
    """How far a target expresses something."""

    EXACT = "exact"
    CHANGED = "changed"
    """In another form, which does the same but for what the words say."""
    REFUSED = "refused"


@dataclass(frozen=True)
class Expression:
    """How a target expresses an ability, in words that a user is told."""

    how: How
    words: str


@dataclass
class TargetFiles:
    """What a target makes of a plan.

    Attributes:
        files: All but ``DEPLOYMENT.md`` and ``deployment.json``.
        servers: What shall run, for ``gpupack status``.
        manifests: Paths of files with objects that a cluster shall have.
        apply: Command lines that start it, in order.
        check: Command lines that show whether it runs.
        notes: What is to be known beside the table of abilities.
    """

    files: GeneratedFiles = field(default_factory=GeneratedFiles)
    servers: tuple[DeployedServer, ...] = ()
    manifests: tuple[str, ...] = ()
    apply: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Target(Protocol):
    """One thing that a plan can be written for."""

    name: str
    """What ``--to`` takes."""
    purpose: str
    """In a line."""
    is_on_one_host: bool
    """Whether all servers share the ports of a host; else every pod has its own."""

    def expressions(self, options: DeployOptions) -> Mapping[Ability, Expression]:
        """Return how each ability is expressed; every one is in it."""
        ...

    def write(self, plan: DeploymentPlan, options: DeployOptions) -> TargetFiles:
        """Return the files for a plan whose needs were found expressible."""
        ...


def exact(words: str) -> Expression:
    """Return that something is expressed as it is meant."""
    return Expression(How.EXACT, words)


def changed(words: str) -> Expression:
    """Return that something is expressed in another form."""
    return Expression(How.CHANGED, words)


def refused(words: str) -> Expression:
    """Return that something cannot be expressed, and the way out."""
    return Expression(How.REFUSED, words)
