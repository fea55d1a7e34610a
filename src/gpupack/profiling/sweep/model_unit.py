"""One model loaded alone, with the models that it needs, and nothing beside them."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, ServerError, UnknownNameError
from gpupack.profiling.measuring import wait_until_settled
from gpupack.profiling.server import UNLOAD_TIMEOUT_S, config_in
from gpupack.quoting import quoted
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import HelperMemory

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from gpupack.profiling.server import ModelSetup, ModelSignature
    from gpupack.profiling.session import ServerSession

logger = logging.getLogger(__name__)

_NOT_THERE = ("not ready", "not found", "unknown model", "unavailable", "no version")
"""What Triton says of a model that another one calls and that is not loaded."""
_MAX_CODE_BYTES = 1 << 20
QUIET_S = {DeviceKind.HOST: 0.1, DeviceKind.GPU: 0.5}
"""Memory has settled after so long without change, where the server has said that no
model is being loaded or unloaded."""


class NotAloneError(ServerError):
    """Somebody else has models loaded on the server that is measured."""


class ModelUnits:
    """Loads models one at a time, each with what it needs, and unloads all of it.

    An ensemble's steps are loaded by Triton. What a model calls in its own code
    (business logic scripting, BLS) is given, or learned from the error of a call. Each
    of them is loaded by itself first, one after another, and what it takes is read.

    Args:
        session: An open session.
        helpers: Models to load before a model, by its name.
        versions: The version of a model to measure, by its name; ``""`` for all others.
        load_timeout_s: How long each load may take.
    """

    def __init__(
        self,
        session: ServerSession,
        *,
        helpers: Mapping[str, Sequence[str]],
        versions: Mapping[str, int],
        load_timeout_s: float,
    ) -> None:
        self._session = session
        self._helpers = {name: list(needed) for name, needed in helpers.items()}
        self._versions = versions
        self._load_timeout_s = load_timeout_s
        self._memory: dict[str, HelperMemory | None] = {}
        """What each model took that was loaded for another one; None: not read."""
        self._ours: set[str] = set()
        """What this object loaded, or made Triton load, and has not seen unloaded."""

    def check_names(self, known: Collection[str]) -> None:
        """Refuse options for models that the repository does not have.

        Raises:
            UnknownNameError: One is.
        """
        given = {*self._helpers, *self._versions} - {""}
        for helpers in self._helpers.values():
            given.update(helpers)
        unknown = sorted(given.difference(known))
        if unknown:
            raise UnknownNameError(
                "helpers or versions are given for "
                f"{', '.join(map(quoted, unknown))}, which the repository of "
                f"{self._session.server.url} does not have; it has "
                f"{', '.join(known) or 'none'}"
            )

    def load(self, name: str, setup: ModelSetup | None = None) -> ModelSignature:
        """Load a model with what it needs, on a server with no other model.

        Raises:
            InvalidInputError: It has no such variant.
            NotAloneError: The server is not ours and has models of somebody else.
            ServerError: A model did not load, or not in time.
        """
        self._clear()
        try:
            return self._load(name, setup)
        except BaseException:
            if self._session.embedded is None:
                self._take_back()
            raise

    def _load(self, name: str, setup: ModelSetup | None) -> ModelSignature:
        server = self._session.server
        for helper in self._helpers.get(name, ()):
            self._load_helper(helper, name)
        self._ours.add(name)
        version = self._versions.get(name, self._versions.get(""))
        if setup is not None and setup.variant is not None:
            if version is not None:
                raise InvalidInputError(
                    f"model {name}: a version and variants cannot be asked for "
                    "together; keep the version alone in its repository"
                )
            server.load_variant(name, setup, timeout_s=self._load_timeout_s)
        elif version is None:
            server.load(name, timeout_s=self._load_timeout_s)
        else:
            embedded = self._session.embedded
            server.load_version(
                name,
                version,
                config=(
                    config_in(embedded.model_repository / name) if embedded else None
                ),
                timeout_s=self._load_timeout_s,
            )
        signature = server.signature(name, version=version)
        steps = self._add_steps(signature)
        if not self._memory.keys() >= {step.name for step in steps}:
            # Only now its steps are known: once more, with each of them by itself.
            self.unload(name, timeout_s=UNLOAD_TIMEOUT_S)
            for step in reversed(steps):
                self._load_helper(step.name, name)
            return self._load(name, setup)
        # An ensemble is what its steps are; its own configuration does not say it.
        return replace(
            signature,
            is_sequence=signature.is_sequence or any(one.is_sequence for one in steps),
            is_decoupled=signature.is_decoupled
            or any(one.is_decoupled for one in steps),
        )

    def helpers_of(self, name: str) -> tuple[str, ...]:
        """Return the models that are loaded beside a model, which all are its own.

        Raises:
            NotAloneError: Not all are: the server is not ours.
        """
        beside = self._session.server.ready_models() - {name}
        strangers = beside - self._ours
        if self._session.embedded is not None:
            # Nobody else has this server: the model itself had them loaded.
            self._ours |= strangers
        elif strangers:
            raise NotAloneError(self._told(strangers))
        return tuple(sorted(beside))

    def memory_of(self, helpers: Sequence[str]) -> tuple[HelperMemory, ...]:
        """Return what each of these models takes by itself, where it was read."""
        found = [self._memory.get(one) for one in helpers]
        return tuple(one for one in found if one is not None)

    def _load_helper(self, helper: str, caller: str) -> None:
        """Load a model that another one needs, and read once what it takes.

        Raises:
            ServerError: It did not load, or not in time.
        """
        server = self._session.server
        self._ours.add(helper)
        is_known = helper in self._memory
        before = None if is_known else self._settled_bytes()
        try:
            there = server.ready_models()
            if helper in there:
                return  # a step of two ensembles that are steps
            server.load(helper, timeout_s=self._load_timeout_s)
        except ServerError as err:
            raise ServerError(f"{helper}, which {caller} needs: {err}") from err
        if is_known:
            return
        after = self._settled_bytes()
        loaded = {one.name: one for one in server.repository() if one.is_ready}
        # An ensemble, as a step, brings its own: what they take is not told apart.
        is_alone = set(loaded) - there == {helper}
        self._memory[helper] = (
            HelperMemory(
                model_name=helper,
                memory_bytes=max(0, after - before),
                versions=loaded[helper].versions,
            )
            if is_alone and before is not None and after is not None
            else None
        )

    def _settled_bytes(self) -> int | None:
        device = self._session.device
        settled = wait_until_settled(
            device.memory_used_bytes, quiet_s=QUIET_S[device.gpu_type.kind]
        )
        return settled.memory_used_bytes if settled.is_settled else None

    def learn(self, name: str, message: str) -> tuple[str, ...]:
        """Return further models that a failed call shows to be needed.

        They are those that the server says are not loaded. Where the message names
        none, and the model's code makes calls, they are the models of the repository
        whose names stand in that code.
        """
        try:
            known = {model.name for model in self._session.server.repository()}
        except ServerError:
            return ()
        known -= {name, *self._helpers.get(name, ())}
        found: list[str] = []
        if any(sign in message.lower() for sign in _NOT_THERE):
            found = [one for one in sorted(known) if _is_named(one, message)]
        if not found:
            code = self._code_of(name)
            if "InferenceRequest" in code:
                found = [one for one in sorted(known) if _is_quoted(one, code)]
        if found:
            logger.info("%s calls %s, which it is loaded with", name, ", ".join(found))
            self._helpers.setdefault(name, []).extend(found)
        return tuple(found)

    def unload(self, name: str, *, timeout_s: float, wait: bool = True) -> None:
        """Unload a model and what was loaded with it.

        Raises:
            ServerError: One of them did not unload in time.
        """
        server = self._session.server
        server.unload(name, timeout_s=timeout_s, wait=wait)
        left = server.ready_models()
        if self._session.embedded is None:
            left &= self._ours
        for one in sorted(left - {name}):
            server.unload(one, timeout_s=timeout_s, wait=wait)
        self._ours.clear()

    def _clear(self) -> None:
        server = self._session.server
        loaded = server.ready_models()
        is_ours = self._session.embedded is not None
        strangers = frozenset() if is_ours else loaded - self._ours
        if strangers:
            raise NotAloneError(self._told(strangers))
        for name in sorted(loaded):
            server.unload(name)
        self._ours.clear()

    def _take_back(self) -> None:
        """Unload what a load left behind that failed, such as an ensemble's steps."""
        server = self._session.server
        with suppress(ServerError):
            # There was nothing before it.
            self._ours |= server.ready_models()
            for name in sorted(server.ready_models()):
                server.unload(name)

    def _add_steps(self, signature: ModelSignature) -> list[ModelSignature]:
        """Take an ensemble's steps, and theirs, for ours, and return them."""
        steps = []
        for step in signature.steps:
            self._ours.add(step)
            found = self._session.server.signature(step)
            steps += [found, *self._add_steps(found)]
        return steps

    def _told(self, strangers: frozenset[str]) -> str:
        return (
            f"the server at {self._session.server.url} has models loaded that are not "
            f"part of this sweep: {', '.join(sorted(strangers))}; each model is "
            "measured alone, so unload them and run the same command again (a model "
            "that loads others in its own code needs them named with --helpers)"
        )

    def _code_of(self, name: str) -> str:
        """Return a model's code and configuration, '' where they cannot be read."""
        if self._session.embedded is None:
            return ""
        folder = self._session.embedded.model_repository / name
        paths = (*folder.glob("config.pbtxt"), *folder.glob("*/*.py"))
        return "\n".join(_text(path) for path in paths)


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_CODE_BYTES)
    except OSError:
        return ""


def _is_named(name: str, message: str) -> bool:
    """Whether a message speaks of a model of that name."""
    pattern = rf"""['"]{re.escape(name)}['"]|[Mm]odel:? {re.escape(name)}(?![\w.-])"""
    return re.search(pattern, message) is not None


def _is_quoted(name: str, code: str) -> bool:
    return re.search(rf"""(['"]){re.escape(name)}\1""", code) is not None
