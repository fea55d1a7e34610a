"""Answer a question: what is found, what is proved, what would help."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, InfeasibleError, NotFoundInTimeError
from gpupack.explore.jobs.asked_for import RefusedError, read_asked
from gpupack.explore.jobs.ways_out import ways_out
from gpupack.explore.telling import (
    answer_view,
    command_of,
    comparison_view,
    places_of,
)
from gpupack.explore.workers import Event
from gpupack.planning import explain, place, recommend
from gpupack.quoting import printable
from gpupack.records.request import Request

if TYPE_CHECKING:
    from gpupack.explore.workers import Bench
    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet
    from gpupack.records.explanation import SavingChange

EXPLANATION_LIMIT_S = 8.0
RECOMMENDATION_STEP_S = 2.0
"""For each of the questions behind a recommendation, at most."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """An answer to compare with.

    Args:
        data_id: Of the profiles that it is about.
        request: What it was asked, as JSON.
        placement: What ``keep()`` made of it; None where the server has it no more, so
            that it is asked again.
    """

    data_id: str
    request: str
    placement: bytes | None = None


def keep(placement: Placement) -> bytes:
    """Return a placement without its profiles, which are known by their id, pickled."""
    bare = placement.model_copy(
        update={"profiles": (), "baselines": (), "calibrations": ()}
    )
    return pickle.dumps(bare)


def kept(pickled: bytes, profiles: ProfileSet) -> Placement:
    """Return a placement as it was, profiles included.

    Args:
        pickled: What ``keep()`` returned.
        profiles: What was planned with.
    """
    placement: Placement = pickle.loads(pickled)
    request = placement.request or Request()
    records = tuple(
        one for one in profiles.records if not request.of_model(one.model_name).left_out
    )
    return placement.model_copy(
        update={
            "profiles": records,
            "baselines": profiles.baselines,
            "calibrations": profiles.calibrations,
        }
    )


@dataclass(frozen=True, slots=True)
class AskJob:
    """A question, answered as far as there is time.

    Args:
        data_id: Of the profiles.
        request: What is asked, as JSON.
        source: Words of the command line that name the profiles.
        beside: What the table of the profiles asks, as JSON; None if nothing.
        pinned: An answer to compare with.
    """

    data_id: str
    request: str
    source: tuple[str, ...]
    beside: str | None = None
    pinned: Pinned | None = None

    @property
    def data_ids(self) -> tuple[str, ...]:
        """The profiles that it needs."""
        if self.pinned is None:
            return (self.data_id,)
        return tuple(dict.fromkeys((self.data_id, self.pinned.data_id)))

    def run(self, bench: Bench) -> None:
        """Answer, then say what would help.

        Tells ``command``, then ``answer`` again and again, or ``clash`` and
        ``way_out``, or ``refused``; then ``comparison``, ``recommendation``,
        ``change`` and ``reasons``.
        """
        profiles = bench.profiles(self.data_id)
        names = profiles.model_names
        try:
            request = read_asked(self.request)
            beside = None if self.beside is None else read_asked(self.beside)
            command = command_of(request, names, self.source, beside=beside)
            bench.tell(Event("command", command.model_dump_json()))
            placement = self._placed(bench, profiles, request)
        except (InfeasibleError, NotFoundInTimeError) as err:
            self._tell_clash(bench, profiles, request, err)
            return
        except RefusedError as err:
            _tell(bench, "refused", message=str(err), path=err.path)
            return
        except GpupackError as err:
            # Its notes say what was asked twice.
            _tell(bench, "refused", message=printable(str(err)), path=())
            return
        self._compare(bench, placement)
        self._recommend(bench, profiles, request)
        self._explain(bench, placement, profiles)

    def _placed(
        self, bench: Bench, profiles: ProfileSet, request: Request
    ) -> Placement:
        def tell(placement: Placement, *, is_final: bool) -> None:
            view = answer_view(placement, profiles.model_names, is_final=is_final)
            pickled = keep(placement) if is_final else None
            bench.tell(Event("answer", view.model_dump_json(), pickled))

        placement = place(
            profiles,
            request=request,
            progress=lambda one: tell(one, is_final=False),
        )
        tell(placement, is_final=True)
        return placement

    def _tell_clash(
        self,
        bench: Bench,
        profiles: ProfileSet,
        request: Request,
        error: InfeasibleError | NotFoundInTimeError,
    ) -> None:
        _tell(
            bench,
            "clash",
            message=printable(str(error)),
            places=[one.path for one in places_of(error, request)],
            is_proved=isinstance(error, InfeasibleError),
        )
        for way in ways_out(profiles, request, error):
            bench.tell(Event("way_out", way.model_dump_json()))
        _tell(bench, "ways_out_end")

    def _compare(self, bench: Bench, placement: Placement) -> None:
        if self.pinned is None:
            return
        profiles = bench.profiles(self.pinned.data_id)
        if self.pinned.placement is not None:
            before = kept(self.pinned.placement, profiles)
        else:
            try:
                before = place(profiles, request=read_asked(self.pinned.request))
            except GpupackError as err:
                _tell(bench, "no_comparison", message=printable(str(err)))
                return
            view = answer_view(before, profiles.model_names, is_final=True)
            bench.tell(Event("pinned", view.model_dump_json(), keep(before)))
        now = bench.profiles(self.data_id).model_names
        view_of_both = comparison_view(before, placement, now)
        bench.tell(Event("comparison", view_of_both.model_dump_json()))

    def _recommend(self, bench: Bench, profiles: ProfileSet, request: Request) -> None:
        limit_s = min(RECOMMENDATION_STEP_S, request.time_limit_s)
        quick = request.model_copy(update={"time_limit_s": limit_s})
        try:
            found = recommend(profiles, request=quick)
        except GpupackError as err:
            _tell(bench, "recommendation", lines=[], without=printable(str(err)))
            return
        asked = found.buy.request.model_copy(
            update={"time_limit_s": request.time_limit_s}
        )
        _tell(
            bench,
            "recommendation",
            lines=list(map(printable, found.lines)),
            assumptions=[
                f"{printable(one.text)} ({printable(one.flag)})"
                for one in found.assumptions
            ],
            request=json.loads(plain_json(asked)),
        )

    def _explain(
        self, bench: Bench, placement: Placement, profiles: ProfileSet
    ) -> None:
        def tell(change: SavingChange) -> None:
            _tell(
                bench,
                "change",
                text=printable(str(change)),
                request=None
                if change.request is None
                else json.loads(plain_json(change.request)),
            )

        try:
            why = explain(
                placement,
                profiles,
                time_limit_s=EXPLANATION_LIMIT_S,
                progress=tell,
            )
        except GpupackError as err:
            _tell(bench, "reasons", summary="", proof=printable(str(err)), notes=[])
            return
        _tell(
            bench,
            "reasons",
            summary=printable(why.summary),
            proof=printable(why.proof),
            needs=[
                f"{one.resource.value} alone: "
                f"{placement.objective_unit.told(one.value)}"
                for one in why.needs
            ],
            notes=list(map(printable, why.notes)),
        )


def plain_json(request: Request) -> str:
    """Return a request as the page holds it: only what differs from the defaults."""
    return request.model_dump_json(
        exclude_none=True, exclude_defaults=True, exclude={"kind", "schema_version"}
    )


def _tell(bench: Bench, name: str, **values: object) -> None:
    bench.tell(Event(name, json.dumps(values, ensure_ascii=False)))
