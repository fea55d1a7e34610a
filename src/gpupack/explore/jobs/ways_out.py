"""The smallest single changes after which a question has an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpupack.errors import GpupackError, InfeasibleError
from gpupack.explore.telling import as_asked
from gpupack.packing import Deadline
from gpupack.planning import place
from gpupack.quoting import printable_name
from gpupack.records.gpu import Headroom
from gpupack.records.record import Record
from gpupack.records.request import GpuSupply, ModelWishes, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profile_set import ProfileSet

LIMIT_S = 10.0
"""For all ways out together."""
TRIAL_LIMIT_S = 1.0
MOST_GPUS = 1 << 20
MOST_LEFT_OUT = 3
LONGER = 6.0
"""Times as long a search may take that found nothing and proved nothing."""


class WayOut(Record):
    """One change after which there is an answer."""

    text: str
    path: tuple[str, ...]
    """Of the field that changes."""
    request: dict[str, Any]
    """What to ask, as the page holds it."""


@dataclass(frozen=True)
class _Search:
    """Tries changed requests until time is up."""

    profiles: ProfileSet
    request: Request
    deadline: Deadline

    def does(self, request: Request) -> bool:
        """Return whether a placement is found for a request."""
        limit_s = min(TRIAL_LIMIT_S, self.deadline.remaining_s, request.time_limit_s)
        try:
            place(
                self.profiles,
                request=request.model_copy(update={"time_limit_s": limit_s}),
            )
        except GpupackError:
            return False
        return True

    def least(
        self, number_of_steps: int, changed: Callable[[int], Request]
    ) -> int | None:
        """Return the first step, from 1, that does; None if the last does not.

        Args:
            number_of_steps: Each at least as easy to answer as the one before.
            changed: Returns the request of a step.
        """
        if number_of_steps < 1 or self.deadline.has_passed:
            return None
        if not self.does(changed(number_of_steps)):
            return None
        low, high = 0, number_of_steps
        while high - low > 1 and not self.deadline.has_passed:
            middle = (low + high) // 2
            if self.does(changed(middle)):
                high = middle
            else:
                low = middle
        return high


def ways_out(
    profiles: ProfileSet, request: Request, error: GpupackError
) -> Iterator[WayOut]:
    """Yield the smallest change of each limit that clashes, those that suffice alone.

    Args:
        profiles: What was planned with.
        request: What has no answer.
        error: Which limits clash.
    """
    if not isinstance(error, InfeasibleError):
        yield _longer(request)
        return
    search = _Search(profiles, request, Deadline.after(LIMIT_S))
    paths = list(error.fields) or [("headroom",)]
    if not any(path[0] in ("gpus", "max_gpus") for path in paths):
        paths += [("gpus",)] if isinstance(request.gpus, int) else []
    for path in dict.fromkeys(as_asked(one, request) for one in paths):
        yield from _by_field(search, path)
    if any(path[-1] == "demand" for path in paths) and request.growth > 1:
        yield from _less_growth(search)
    for name in error.model_names[:MOST_LEFT_OUT]:
        without = _asking(request, name, left_out=True)
        if not search.deadline.has_passed and search.does(without):
            yield _way(
                f"without {printable_name(name)}", ("models", name, "left_out"), without
            )


def _longer(request: Request) -> WayOut:
    """Return that a search which proved nothing may take longer."""
    limit_s = max(10.0, LONGER * request.time_limit_s)
    return _way(
        f"search for up to {limit_s:g} s instead of {request.time_limit_s:g}",
        ("time_limit_s",),
        request.model_copy(update={"time_limit_s": limit_s}),
    )


def _by_field(search: _Search, path: tuple[str, ...]) -> Iterator[WayOut]:
    match path:
        case ("headroom",):
            yield from _more_headroom(search)
        case ("gpus",) | ("gpus", _, "count"):
            yield from _more_of_a_type(search, path)
        case ("max_gpus",) | ("max_price_per_hour",):
            yield from _more_in_all(search, path[0])
        case ("models", name, "demand"):
            yield from _less_demand(search, name)
        case ("models", name, "latency_limit_ms"):
            yield from _later(search, name)
        case ("models", name, "min_retention"):
            yield from _less_kept(search, name)
        case ("models", name, "replicas"):
            yield from _fewer_replicas(search, name)


def _way(text: str, path: tuple[str, ...], request: Request) -> WayOut:
    # As the page holds it: only what differs from the defaults.
    asked = request.model_dump_json(
        exclude_none=True, exclude_defaults=True, exclude={"kind", "schema_version"}
    )
    return WayOut(text=text, path=path, request=json.loads(asked))


def _asking(request: Request, name: str, **wish: object) -> Request:
    models = dict(request.models)
    models[name] = models.get(name, ModelWishes()).model_copy(update=wish)
    return request.model_copy(update={"models": models})


def _more_headroom(search: _Search) -> Iterator[WayOut]:
    now = search.request.headroom
    shares = dict(now) if isinstance(now, Headroom) else None
    lowest = min(shares.values()) if shares else now
    if isinstance(lowest, Headroom) or lowest >= 1:
        return
    percent = int(lowest * 100 + 1e-9)

    def changed(step: int) -> Request:
        share = (percent + step) / 100
        headroom: float | Headroom = share
        if shares is not None:
            headroom = Headroom(
                **{one.value: max(share, had) for one, had in shares.items()}
            )
        return search.request.model_copy(update={"headroom": headroom})

    step = search.least(100 - percent, changed)
    if step is not None:
        yield _way(
            f"headroom from {lowest:g} to {(percent + step) / 100:g}",
            ("headroom",),
            changed(step),
        )


def _more_of_a_type(search: _Search, path: tuple[str, ...]) -> Iterator[WayOut]:
    gpus = search.request.gpus
    if isinstance(gpus, int):
        now, name = gpus, ""
    elif gpus and (len(path) > 1 or len(gpus) == 1):
        name = path[1] if len(path) > 1 else next(iter(gpus))
        counted = gpus.get(name, GpuSupply()).count
        if counted is None:
            return
        now = counted
    else:
        return

    def changed(count: int) -> Request:
        if not isinstance(gpus, dict):
            return search.request.model_copy(update={"gpus": count})
        supply = gpus.get(name, GpuSupply()).model_copy(update={"count": count})
        return search.request.model_copy(update={"gpus": gpus | {name: supply}})

    count = _doubled(search, now, changed)
    if count is not None:
        of_type = f" {printable_name(name)}" if name else ""
        yield _way(f"{count:,}{of_type} GPUs instead of {now:,}", path, changed(count))


def _more_in_all(search: _Search, field: str) -> Iterator[WayOut]:
    now = getattr(search.request, field)

    def changed(steps: int) -> Request:
        # Prices in steps of a hundredth of today's.
        value = steps if field == "max_gpus" else float(f"{now * steps / 100:.6g}")
        return search.request.model_copy(update={field: value})

    start = now if field == "max_gpus" else 100
    steps = _doubled(search, start, changed)
    if steps is not None:
        value = getattr(changed(steps), field)
        what = "GPUs in all" if field == "max_gpus" else "per hour in all"
        yield _way(f"{value:g} {what} instead of {now:g}", (field,), changed(steps))


def _doubled(
    search: _Search, now: int, changed: Callable[[int], Request]
) -> int | None:
    """Return the least number above today's that does, None if none was found."""
    most = max(2, 2 * now)
    while most <= MOST_GPUS and not search.deadline.has_passed:
        if search.does(changed(most)):
            step = search.least(most - now, lambda one: changed(now + one))
            return None if step is None else now + step
        if most > 64 * max(now, 16):
            return None  # it is not the number that is in the way
        most *= 4
    return None


def _less_demand(search: _Search, name: str) -> Iterator[WayOut]:
    now = search.request.of_model(name).demand or 0.0

    def changed(step: int) -> Request:
        return _asking(
            search.request, name, demand=float(f"{now * (100 - step) / 100:.6g}")
        )

    step = search.least(99, changed)
    if step is not None:
        request = changed(step)
        yield _way(
            f"{request.of_model(name).demand:g} infer/sec of {printable_name(name)} "
            f"instead of {now:g}",
            ("models", name, "demand"),
            request,
        )


def _less_growth(search: _Search) -> Iterator[WayOut]:
    now = search.request.growth

    def changed(step: int) -> Request:
        growth = round(max(1.0, now - step / 100), 6)
        return search.request.model_copy(update={"growth": growth})

    step = search.least(int((now - 1) * 100 + 0.999999), changed)
    if step is not None:
        request = changed(step)
        yield _way(
            f"growth {request.growth:g} instead of {now:g}", ("growth",), request
        )


def _later(search: _Search, name: str) -> Iterator[WayOut]:
    request = search.request
    now = request.of_model(name).latency_limit_ms or 0.0
    field = f"latency_p{request.latency_percentile}_us"
    measured: Sequence[float] = sorted(
        {
            value / 1000
            for one in search.profiles.records
            if one.model_name == name
            and (value := getattr(one, field, None)) is not None
            and value / 1000 > now
        }
    )

    def changed(step: int) -> Request:
        # Rounded up, so that the load point keeps it.
        limit_ms = float(f"{measured[step - 1] * 1.0005:.4g}")
        return _asking(request, name, latency_limit_ms=limit_ms)

    step = search.least(len(measured), changed)
    if step is not None:
        found = changed(step)
        yield _way(
            f"{found.of_model(name).latency_limit_ms:g} ms for {printable_name(name)} "
            f"instead of {now:g}",
            ("models", name, "latency_limit_ms"),
            found,
        )


def _less_kept(search: _Search, name: str) -> Iterator[WayOut]:
    now = search.request.of_model(name).min_retention or 0.0
    percent = round(now * 100)

    def changed(step: int) -> Request:
        return _asking(search.request, name, min_retention=(percent - step) / 100)

    step = search.least(percent - 1, changed)
    if step is not None:
        yield _way(
            f"{printable_name(name)} keeps {percent - step} % instead of {percent} %",
            ("models", name, "min_retention"),
            changed(step),
        )


def _fewer_replicas(search: _Search, name: str) -> Iterator[WayOut]:
    now = search.request.of_model(name).replicas or 1

    def changed(step: int) -> Request:
        return _asking(search.request, name, replicas=now - step)

    step = search.least(now - 1, changed)
    if step is not None:
        yield _way(
            f"{now - step:,} replicas of {printable_name(name)} instead of {now:,}",
            ("models", name, "replicas"),
            changed(step),
        )
