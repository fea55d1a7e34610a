"""What a deployment may be told beside the placement, and what of it cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.arguments import by_name, require_kind
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number, whole_number
from gpupack.quoting import quoted
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

KUBERNETES_VERSIONS = ("1.34", "1.35", "1.36", "1.37")
"""Whose API the manifests were checked against; 1.34 is the first with claims GA."""
DEFAULT_IMAGE = "nvcr.io/nvidia/tritonserver:26.07-py3"
MAX_PORT = 65535
PORTS_PER_SERVER = 3
"""HTTP, gRPC and metrics, in this order."""

_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z][0-9A-Za-z/-]{0,100}")
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DNS_RULE = (
    "a DNS name: words of small letters, digits and dashes, joined by single dots, and "
    "no dash first or last in a word"
)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,400}")
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
_LEAST_SHARE_PERCENT = 1
"""Less is no multiprocessor of any GPU that has MPS."""


@dataclass(frozen=True)
class DeployOptions:
    """What runs a placement, as far as the placement does not say it.

    Attributes:
        name: Of the whole: objects in a cluster and compose's project begin with it.
        in_repository: Write the configurations into the model repository itself, as
            ``<model>/configs/<gpu>.pbtxt``, rather than into an overlay.
        one_server: One server per GPU, whatever way of sharing was measured.
        server_url: A running Triton that completes configurations which the
            repository leaves to it.
        server_batching_delay_us: Clients send single inputs: the server waits this long
            to make batches of the planned size of them. None leaves dynamic batching
            as it was measured.
        gpu_uuids: By index in the placement, the one GPU to run on.
        mps_shares_percent: By model, the share of the GPU's multiprocessors that its
            processes may use, under MPS.
        mps_memory_limits: Whether a server under MPS may take no more device memory
            than was planned for it.
        first_port: The HTTP port of the first server; each takes three.
        ports: By GPU index, the first port of its servers.
        router_port: Where the router in front of the servers listens, on the host;
            no server is given it.
        image: Container image with ``tritonserver``.
        shared_memory_mib: ``/dev/shm`` of each container, for Python models and
            clients' shared memory.
        kubernetes_version: Whose API is written for.
        model_claim: The PersistentVolumeClaim that holds the model repository.
        gpu_products: By the placement's GPU type, the label ``nvidia.com/gpu.product``
            of nodes that have it.
        hami: Write HAMi's resources and annotations into Kubernetes' pods.
        gateway: The Gateway that routes of the Gateway API are attached to.
    """

    name: str = "gpupack"
    in_repository: bool = False
    one_server: bool = False
    server_url: str | None = None
    server_batching_delay_us: int | None = None
    gpu_uuids: Mapping[int, str] = field(default_factory=dict)
    mps_shares_percent: Mapping[str, float] = field(default_factory=dict)
    mps_memory_limits: bool = True
    first_port: int = 8000
    ports: Mapping[int, int] = field(default_factory=dict)
    router_port: int = 8080
    image: str = DEFAULT_IMAGE
    shared_memory_mib: int = 1024
    kubernetes_version: str = "1.34"
    model_claim: str = "models"
    gpu_products: Mapping[str, str] = field(default_factory=dict)
    hami: bool = False
    gateway: str = "gateway"

    def check(self) -> None:
        """Refuse what no deployment could be made with.

        Raises:
            InvalidInputError: Naming the option, and what it may be.
            UnknownNameError: A version of Kubernetes that was not checked against.
        """
        self._check_names()
        for option, number, least, most in (
            ("first_port", self.first_port, 1, MAX_PORT - PORTS_PER_SERVER + 1),
            ("router_port", self.router_port, 1, MAX_PORT),
            ("shared_memory_mib", self.shared_memory_mib, 1, 2**24),
            ("server_batching_delay_us", self.server_batching_delay_us, 0, 10**9),
        ):
            if number is None:
                continue
            whole = whole_number(number)
            if whole is None or not least <= whole <= most:
                raise InvalidInputError(
                    f"{_given(option, number)}: give a whole number from "
                    f"{least} to {most}"
                )
        for index, port in self.ports.items():
            whole = whole_number(port)
            if whole is None or not 1 <= whole <= MAX_PORT - PORTS_PER_SERVER + 1:
                raise InvalidInputError(
                    f"GPU {index} is given port {quoted(port)}; a server takes three "
                    f"from 1 to {MAX_PORT}: give a number such as 8000"
                )
        for index, uuid in self.gpu_uuids.items():
            if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
                raise InvalidInputError(
                    f"GPU {index} is given the UUID {quoted(uuid)}; nvidia-smi -L "
                    "prints it, and it begins with GPU- or MIG-"
                )
        by_name("mps_shares_percent", self.mps_shares_percent, '{"bert": 70}')
        for model, percent in self.mps_shares_percent.items():
            share = real_number(percent)
            if share is None or not _LEAST_SHARE_PERCENT <= share <= 100:
                raise InvalidInputError(
                    f"model {quoted(model)} is given {quoted(percent)} % of the GPU "
                    f"under MPS; give a number from {_LEAST_SHARE_PERCENT} to 100"
                )

    def _check_names(self) -> None:
        if self.kubernetes_version not in KUBERNETES_VERSIONS:
            raise UnknownNameError(
                f"no manifests for Kubernetes {quoted(self.kubernetes_version)}; there "
                f"are for {', '.join(KUBERNETES_VERSIONS)}"
            )
        for option, text, pattern, rule in (
            (
                "name",
                self.name,
                _LABEL,
                "up to 20 small letters, digits and dashes, the first a letter",
            ),
            ("image", self.image, _IMAGE, "a container image, such as NAME:TAG"),
            ("model_claim", self.model_claim, _SUBDOMAIN, _DNS_RULE),
            ("gateway", self.gateway, _SUBDOMAIN, _DNS_RULE),
        ):
            if not isinstance(text, str) or not pattern.fullmatch(text):
                raise InvalidInputError(f"{_given(option, text)}: give {rule}")
        by_name("gpu_products", self.gpu_products, '{"T4": "Tesla-T4"}')
        for gpu_type, product in self.gpu_products.items():
            require_kind("a GPU product", product, str, "the label's text")
            if not _LABEL_VALUE.fullmatch(product):
                raise InvalidInputError(
                    f"GPU type {quoted(gpu_type)} is given the product "
                    f"{quoted(product)}; kubectl get nodes -L nvidia.com/gpu.product "
                    "prints it: up to 63 letters, digits, dots and dashes"
                )


def _given(option: str, value: object) -> str:
    """Return an option with what was given, on one line whatever it is."""
    return setting(option, python=quoted(value), shell=quoted(value))
