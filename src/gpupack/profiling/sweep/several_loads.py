"""A sweep whose models are loaded several times, or once where that is enough."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.profiling.sweep.loads import LOADS_IF_THEY_DIFFER, point_to_check
from gpupack.profiling.sweep.sweep_work import Sweep
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import ProfileRecord
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import LoadPoint

logger = logging.getLogger(__name__)

_CHECK_S = {DeviceKind.HOST: 0.5, DeviceKind.GPU: 2.0}
_CHECK_FACTOR = 4
"""Another load, to find out whether one is enough, is measured for at most so many
times as long as any point is at least."""


class SweepInLoads(Sweep):
    """The work of one ``profile`` call on an open session, in all its loads."""

    def run(self, names: Sequence[str] | None) -> None:
        """Measure the baseline, then every model that has work left."""
        names = self.prepare(names)
        to_do = self.to_do(names)
        self.progress.begin(*self.counts(names))
        try:
            self._check_isolation()
            if self.store.baseline is None:
                self.measure_baseline()
            self.refuse(to_do)
            with_work = [name for name in names if to_do.get(name)]
            for name in with_work:
                self.measure_loads(name, to_do[name], is_last=name == with_work[-1])
        finally:
            self.end()

    def measure_loads(
        self, name: str, points: Sequence[LoadPoint], *, is_last: bool
    ) -> None:
        """Measure load points of one model in as many loads as are wanted.

        Every load but the first has a fresh server process where the server is not a
        running one. By default one point is measured in a second load, and all of them
        in three where its loads differ. ``is_last`` is that of ``measure_model``.
        """
        left = [one for one in points if not self._has_enough(name, one, 1)]
        more = range(2, (self.loads or 1) + 1)
        is_embedded = self.session.embedded is not None
        finds_out = self.loads is None and is_embedded
        if left:
            self.measure_model(
                name,
                left,
                is_last=is_last and not more and not finds_out,
                leaves_loaded=is_embedded and (bool(more) or finds_out),
            )
        for number in more:
            left = [one for one in points if not self._has_enough(name, one, number)]
            self._measure_again(name, left, is_last=is_last and number == more[-1])
        if finds_out:
            self._find_out(name, points, is_last=is_last)

    def _has_enough(self, name: str, point: LoadPoint, number: int) -> bool:
        """Whether a point has so many loads, or failed for good."""
        taken = self._taken.get((name, point), point)
        if number > 1:
            record = self.store.record_of(name, taken)
            return record is None or record.num_loads >= number
        is_new = (name, point) not in self._tried
        return self.store.is_finished(
            name,
            taken,
            retry_failed=self.retry_failed and is_new,
            retry_unstable=self.retry_unstable and is_new,
        )

    def _measure_again(
        self, name: str, points: Sequence[LoadPoint], *, is_last: bool
    ) -> None:
        """Measure points in a further load, and add it to what is in the store."""
        if not points or self._lost is not None:
            return
        self.progress.working(f"{name}: a fresh server for another load")
        if self.session.embedded is not None:
            self._end_process()
            self.session.renew()
        self._adds_load = True
        try:
            self.measure_model(name, points, is_last=is_last)
        finally:
            self._adds_load = False

    def _check_again(self, name: str, point: LoadPoint, *, is_last: bool) -> None:
        """Measure a point in a further load, for no longer than finding out takes."""
        options = self.options
        least_s = options.min_duration_s
        if least_s is None:
            least_s = _CHECK_S[self.session.device.gpu_type.kind]
        cap_s = min(options.max_duration_s, max(_CHECK_FACTOR * least_s, least_s))
        self.options = replace(options, max_duration_s=cap_s)
        try:
            self._measure_again(name, [point], is_last=is_last)
        finally:
            self.options = options

    def _find_out(
        self, name: str, points: Sequence[LoadPoint], *, is_last: bool
    ) -> None:
        """Measure one point in a second load; all in several where it differs.

        A third load of the one point has to agree that it does.
        """
        for variant in dict.fromkeys(one.variant for one in points):
            check = point_to_check(
                one
                for one in self.store.records_of(name)
                if isinstance(one, ProfileRecord) and one.load_point.variant == variant
            )
            if check is not None:
                self._check_again(name, check.load_point, is_last=is_last)
            found = self.store.differing(name, variant)
            if found is not None and found.num_loads < LOADS_IF_THEY_DIFFER:
                self._check_again(name, found.load_point, is_last=is_last)
                found = self.store.differing(name, variant)
            if found is None:
                continue
            logger.warning(
                "%s is measured in %d loads: at %s they reached %s infer/s",
                name,
                LOADS_IF_THEY_DIFFER,
                found.load_point,
                ", ".join(
                    in_digits(one.throughput_infer_per_sec or 0, 4)
                    for one in found.loads
                ),
            )
            for number in range(2, LOADS_IF_THEY_DIFFER + 1):
                left = [
                    one
                    for one in points
                    if one.variant == variant
                    and not self._has_enough(name, one, number)
                ]
                self._measure_again(name, left, is_last=is_last)
