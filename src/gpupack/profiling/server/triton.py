# Long because it is the one door to a server: every call of the control has its words.
"""Control of a Triton server: load, unload, describe, count; over HTTP or gRPC."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from gpupack.errors import ServerError, UnknownNameError
from gpupack.profiling.server.interrupts import interrupts_deferred, quiet_interrupts
from gpupack.profiling.server.model_config import config_of_variant
from gpupack.profiling.server.model_state import (
    LOADING,
    READY,
    UNLOADING,
    ModelStatistics,
    RepositoryModel,
)
from gpupack.profiling.server.server_url import ServerUrl, TlsOptions
from gpupack.profiling.server.signature import ModelSignature
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpupack.profiling.server.model_setup import ModelSetup

CALL_TIMEOUT_S = 10.0
"""For every call that is neither a load nor an unload."""
READY_TIMEOUT_S = 5.0
LOAD_TIMEOUT_S = 120.0
UNLOAD_TIMEOUT_S = 30.0
_UNKNOWN = "failed to poll from model repository"


class TritonServer:
    """A running Triton, by URL; every call has a time-out and one kind of error.

    Raises:
        InvalidInputError: The URL or the TLS files cannot be used.
    """

    def __init__(
        self,
        url: ServerUrl | str,
        *,
        tls: TlsOptions | None = None,
        grpc_url: ServerUrl | str | None = None,
    ) -> None:
        self.url = ServerUrl.parse(url) if isinstance(url, str) else url
        self.grpc_url = (
            ServerUrl.parse(grpc_url) if isinstance(grpc_url, str) else grpc_url
        )
        """Where it answers gRPC, beside ``url``; None if that is not known."""
        self.tls = tls or TlsOptions()
        self.tls.check_fits(self.url)
        self._grpc_client: Any = None
        self._has_answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if one is held."""
        client, self._grpc_client = self._grpc_client, None
        if client is not None:
            client.close()

    def check_ready(self, *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return once the server is up, and neither loads nor unloads a model.

        Triton calls itself ready only if every model is: one that failed to load
        would keep all others from being measured.

        Raises:
            ServerError: Nobody answers, it is no Triton, TLS does not match, or it is
                not up in time.
        """
        self.version()
        deadline = time.monotonic() + timeout_s
        while True:
            if not self._call(
                "say whether it is up",
                CALL_TIMEOUT_S,
                lambda client, options: client.is_server_live(**options),
            ):
                reason = "it is still starting, or ending; see its log"
            else:
                busy = [
                    f"{model.name} ({model.state})"
                    for model in self.repository()
                    if model.state in (LOADING, UNLOADING)
                ]
                if not busy:
                    return
                reason = f"it has models on their way: {', '.join(busy)}"
            if time.monotonic() > deadline:
                raise ServerError(f"the server at {self.url} is not ready: {reason}")
            time.sleep(0.05)

    def version(self) -> tuple[str, str]:
        """Return the server's name and version."""
        metadata = self._json("describe itself", "get_server_metadata")
        if not isinstance(metadata, dict) or "name" not in metadata:
            raise ServerError(
                f"{self.url} did not describe itself: there is no Triton at this "
                "address"
            )
        return str(metadata["name"]), str(metadata.get("version", ""))

    def repository(self) -> tuple[RepositoryModel, ...]:
        """Return the models in the server's repository, sorted by name.

        Raises:
            ServerError: Nobody answers, or not as Triton does.
        """
        purpose = "list its models"
        listing = self._json(purpose, "get_model_repository_index")
        # Over gRPC, an object without models where there are none.
        entries = (
            (listing.get("models") if listing else [])
            if isinstance(listing, dict)
            else listing
        )
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("name"), str)
            for entry in entries
        ):
            raise self._is_no_triton(purpose)
        models: dict[str, RepositoryModel] = {}
        versions: dict[str, list[int]] = {}
        for entry in entries:
            name, state = entry["name"], str(entry.get("state", ""))
            reason = str(entry.get("reason", ""))
            # One entry per version: the liveliest counts.
            if name not in models or state in (READY, UNLOADING):
                models[name] = RepositoryModel(name, state, reason)
            version = str(entry.get("version", ""))
            if state == READY and version.isdecimal():
                versions.setdefault(name, []).append(int(version))
        return tuple(
            replace(models[name], versions=tuple(sorted(versions.get(name, ()))))
            for name in sorted(models)
        )

    def ready_models(self) -> frozenset[str]:
        """Return the names of the models that answer requests."""
        return frozenset(model.name for model in self.repository() if model.is_ready)

    def load(
        self,
        model_name: str,
        *,
        timeout_s: float = LOAD_TIMEOUT_S,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Load a model and wait until it is ready.

        Args:
            model_name: As the repository names it.
            timeout_s: How long that may take.
            config: Its whole configuration, until it is unloaded; by default the
                repository's own.

        Raises:
            UnknownNameError: The repository has no such model.
            ServerError: It did not load, or not in time.
        """
        override = {} if config is None else {"config": json.dumps(config)}
        try:
            self._call(
                f"load model {model_name}",
                timeout_s,
                lambda client, options: client.load_model(
                    model_name, **override, **options
                ),
            )
        except ServerError as err:
            if not self.url.is_grpc and quote(model_name, safe="") != model_name:
                raise ServerError(
                    f"{err}; over HTTP Triton takes only letters from a to z, digits "
                    "and _ . - ~ in a model's name: rename its folder"
                ) from err
            # A model without a usable version is forgotten after its first load.
            if _UNKNOWN not in str(err):
                raise
            # Asked only now: while models load, a server does not list its repository.
            known = [model.name for model in self.repository()]
            if model_name in known:
                raise
            raise UnknownNameError(
                f"the repository of {self.url} has no model {quoted(model_name)}; it "
                f"has {', '.join(known) or 'none'}"
            ) from err

    def multiply_instances(
        self, model_name: str, factor: int, *, timeout_s: float = LOAD_TIMEOUT_S
    ) -> None:
        """Load a loaded model anew, with ``factor`` times the instances it has.

        The repository's own configuration is back once the model was unloaded.

        Raises:
            ServerError: It did not load, or not in time.
        """
        config = dict(self.configuration(model_name))
        groups = config.get("instance_group") or [{}]
        config["instance_group"] = [
            group | {"count": factor * int(group.get("count") or 1)} for group in groups
        ]
        self.load(model_name, timeout_s=timeout_s, config=config)

    def load_variant(
        self,
        model_name: str,
        setup: ModelSetup,
        *,
        timeout_s: float = LOAD_TIMEOUT_S,
    ) -> None:
        """Load a model as one of its variants.

        The repository's own configuration is back once the model was unloaded.

        Raises:
            InvalidInputError: The model has no such variant.
            ServerError: It did not load, or not in time.
        """
        config = setup.config
        if config is None:
            self.load(model_name, timeout_s=timeout_s)
            config = self.configuration(model_name)
        if setup.variant is not None:
            config = config_of_variant(config, setup.variant)
        self.load(model_name, timeout_s=timeout_s, config=config)

    def load_version(
        self,
        model_name: str,
        version: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout_s: float = LOAD_TIMEOUT_S,
    ) -> None:
        """Load one version of a model, and no other.

        The repository's own choice of versions is back once the model was unloaded.

        Args:
            model_name: The model.
            version: Its version.
            config: Its whole configuration, as its repository has it. Where that is
                not at hand, the server is asked for it, which loads the version of its
                own choice first: Triton takes a whole configuration or none.
            timeout_s: How long the load may take.

        Raises:
            UnknownNameError: The repository has no such model.
            ServerError: It has no such version, it did not load, or not in time.
        """
        if config is None:
            self.load(model_name, timeout_s=timeout_s)
            config = self.configuration(model_name)
        only = {"version_policy": {"specific": {"versions": [version]}}}
        self.load(model_name, timeout_s=timeout_s, config={**config, **only})

    def unload(
        self,
        model_name: str,
        *,
        timeout_s: float = UNLOAD_TIMEOUT_S,
        wait: bool = True,
    ) -> None:
        """Unload a model and wait until the server says that it is gone.

        What an ensemble consists of goes with it (Triton's unload with dependents),
        but not what a model calls in its own code. The server answers at once, but
        takes a second to end the model's processes; ``wait=False`` leaves it to that.

        Raises:
            ServerError: It did not unload in time.
        """
        self._call(
            f"unload model {model_name}",
            timeout_s,
            lambda client, options: client.unload_model(
                model_name, unload_dependents=True, **options
            ),
        )
        deadline = time.monotonic() + timeout_s
        while wait and any(
            model.state == UNLOADING
            or (model.name == model_name and model.state == READY)
            for model in self.repository()
        ):
            if time.monotonic() > deadline:
                raise ServerError(
                    f"model {model_name} at {self.url} is still loaded "
                    f"{timeout_s:g} s after it was told to unload; a model whose "
                    "execute() has failed can stay so until the server is restarted"
                )
            time.sleep(0.02)

    def signature(
        self, model_name: str, *, version: int | None = None
    ) -> ModelSignature:
        """Return what a loaded model takes and gives.

        ``version`` is the one that requests shall name, None if they name none.
        """
        return replace(
            ModelSignature.parse(self.configuration(model_name)), version=version
        )

    def statistics(self, model_name: str) -> ModelStatistics:
        """Return the server's counters of a model, over all its versions."""
        answer = self._json(
            f"count for model {model_name}", "get_inference_statistics", model_name
        )
        return ModelStatistics.parse(answer)

    def register_shared_memory(self, name: str, key: str, num_bytes: int) -> None:
        """Let the server read and write a system shared memory region.

        Raises:
            ServerError: The server does not share this host's memory.
        """
        self._call(
            "register shared memory",
            CALL_TIMEOUT_S,
            lambda client, options: client.register_system_shared_memory(
                name, key, num_bytes, **options
            ),
        )

    def unregister_shared_memory(self, name: str) -> None:
        """Let the server forget a region; nothing if it does not know it."""
        self._call(
            "unregister shared memory",
            CALL_TIMEOUT_S,
            lambda client, options: client.unregister_system_shared_memory(
                name, **options
            ),
        )

    def configuration(self, model_name: str) -> dict[str, Any]:
        """Return a loaded model's configuration, as the server completed it."""
        purpose = f"describe model {model_name}"
        answer = self._json(purpose, "get_model_config", model_name)
        config = answer.get("config", answer) if isinstance(answer, dict) else None
        if not isinstance(config, dict):
            raise self._is_no_triton(purpose)
        return config

    def _is_no_triton(self, purpose: str) -> ServerError:
        return ServerError(
            f"{self.url} answers what Triton does not, when asked to {purpose}: is "
            "another program at this address?"
        )

    def _json(self, purpose: str, method: str, *arguments: str) -> Any:
        def ask(client: Any, options: dict[str, Any]) -> Any:
            if self.url.is_grpc:
                options = options | {"as_json": True}
            return getattr(client, method)(*arguments, **options)

        return self._call(purpose, CALL_TIMEOUT_S, ask)

    def _call(
        self,
        purpose: str,
        timeout_s: float,
        call: Callable[[Any, dict[str, Any]], Any],
    ) -> Any:
        # Only now: the client takes a tenth of a second to import.
        from gpupack.profiling.server.server_failure import (
            FOREIGN_ERRORS,
            explain_failure,
        )

        try:
            if self.url.is_grpc:
                answer = call(self._grpc(), {"client_timeout": timeout_s})
            else:
                with interrupts_deferred():
                    client = self._http(timeout_s)
                try:
                    answer = call(client, {})
                finally:
                    with interrupts_deferred():
                        client.close()
        except FOREIGN_ERRORS as err:
            message = explain_failure(
                self.url,
                purpose,
                err,
                timeout_s=timeout_s,
                has_answered=self._has_answered,
            )
            raise ServerError(message) from err
        self._has_answered = True
        return answer

    def _http(self, timeout_s: float) -> Any:
        from tritonclient.http import InferenceServerClient

        quiet_interrupts()
        context = self.tls.context() if self.url.is_tls else None
        return InferenceServerClient(
            self.url.address + self.url.path,
            connection_timeout=min(timeout_s, CALL_TIMEOUT_S),
            network_timeout=timeout_s,
            ssl=self.url.is_tls,
            ssl_context_factory=(lambda: context) if context else None,
            insecure=not self.tls.verify,
        )

    def _grpc(self) -> Any:
        # gRPC's own log writes past Python to standard error, and repeats what its
        # errors say; the client process inherits this.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from tritonclient.grpc import InferenceServerClient

        if self._grpc_client is None:
            self._grpc_client = InferenceServerClient(
                self.url.address,
                ssl=self.url.is_tls,
                root_certificates=str(self.tls.ca_path) if self.tls.ca_path else None,
                private_key=str(self.tls.key_path) if self.tls.key_path else None,
                certificate_chain=(
                    str(self.tls.certificate_path)
                    if self.tls.certificate_path
                    else None
                ),
            )
        return self._grpc_client
