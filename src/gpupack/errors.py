"""Everything gpupack raises on purpose.

The tree::

    GpupackError
    ├── InvalidInputError        what the caller gave cannot be used (exit code 2)
    │   ├── UnknownNameError     no such example, GPU, objective, resource, model
    │   ├── ProfileDataError     a table or record with values that cannot be
    │   │   ├── MissingReadingError   a reading that the question needs is absent
    │   │   └── NotProfilesError      a file that holds no profiles at all
    │   ├── ItemTooLargeError    an item larger than every empty bin
    │   └── MissingExtraError    an optional dependency is not installed
    ├── StoreError               a file that cannot be read or written (exit code 2)
    ├── DeviceError              a GPU or driver that cannot be used (exit code 2)
    ├── ServerError              a server that cannot do what was asked (exit code 2)
    │   ├── ServerUnavailableError   the embedded server cannot be had here
    │   └── LoadPointError           a load point could not be measured
    ├── InfeasibleError          no placement exists under the limits (exit code 3)
    ├── NotFoundInTimeError      none was found in time, none is ruled out (exit code 5)
    └── CheckError               an answer failed its own independent check: a bug

A class exists only where a caller would handle it differently. Time limits and
unstable measurements are answers, not errors: they are values of a status. Only where
the time limit left nothing at all to hand back is it an error, of its own: it proves
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.quoting import MAX_MESSAGE, shortened, with_short_words

if TYPE_CHECKING:
    from collections.abc import Sequence


class GpupackError(Exception):
    """Base of every error that gpupack raises deliberately."""

    exit_code: int = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(with_short_words(message), MAX_MESSAGE))


class InvalidInputError(GpupackError):
    """What the caller gave cannot be used; the message says why and the way out."""

    exit_code = 2


class UnknownNameError(InvalidInputError):
    """A name that gpupack does not know: example, GPU, objective, resource, model."""


class ProfileDataError(InvalidInputError):
    """A table of profiles holds something that cannot be a measurement."""


class MissingReadingError(ProfileDataError):
    """A question needs a reading that the profiles do not have."""


class NotProfilesError(ProfileDataError):
    """A file holds no profiles at all: among others in a folder it is passed over."""


class ItemTooLargeError(InvalidInputError):
    """An item does not fit into any empty bin."""


class MissingExtraError(InvalidInputError):
    """A feature needs an optional dependency that is not installed."""


class StoreError(GpupackError):
    """A file that cannot be read or written, or holds something else."""

    exit_code = 2


class ServerError(GpupackError):
    """A Triton or Prometheus that cannot be reached, or refuses or fails a request."""

    exit_code = 2


class ServerUnavailableError(ServerError):
    """The embedded server cannot be installed or started on this machine."""


class LoadPointError(ServerError):
    """A load point that could not be measured.

    Attributes:
        stage: Where it failed: ``load``, ``inputs``, ``warmup``, ``measure``.
        model_name: The model that failed.
    """

    def __init__(self, message: str, *, stage: str, model_name: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.model_name = model_name


class DeviceError(GpupackError):
    """A GPU or its driver cannot be used: none there, lost, or not permitted."""

    exit_code = 2


class InfeasibleError(GpupackError):
    """No placement exists under the given limits.

    Attributes:
        model_names: The models that cannot be placed, sorted by name.
        resource: The binding resource, or None when several combine.
        suggestion: The smallest change that would help, in words.
        limits: With ``model_names``, the smallest set of limits that clash: leaving
            out any one of them, or of the models, would make it possible. Without
            models, the limits that were kept to.
        fields: Where a request asks for these limits, each as the path of a field:
            ``("models", "resnet", "demand")``. Empty where it is not known.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        model_names: Sequence[str] = (),
        resource: str | None = None,
        suggestion: str | None = None,
        limits: Sequence[str] = (),
        fields: Sequence[tuple[str, ...]] = (),
    ) -> None:
        super().__init__(message)
        self.fields = tuple(fields)
        self.model_names = tuple(model_names)
        self.resource = resource
        self.suggestion = suggestion
        self.limits = tuple(limits)


class NotFoundInTimeError(GpupackError):
    """No placement was found within the time limit, and none is proved impossible.

    Attributes:
        suggestion: What would help, in words.
        limits: That were kept to.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        suggestion: str | None = None,
        limits: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.limits = tuple(limits)


class CheckError(GpupackError):
    """An answer failed its independent check; this is a bug in gpupack."""
