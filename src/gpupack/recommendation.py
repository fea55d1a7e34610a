"""What to buy: one number, what it rests on, and the numbers beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from tabulate import tabulate

from gpupack.quoting import for_people, printable, printable_name, quoted_all
from gpupack.records.explanation import SavingChange
from gpupack.records.placement import PlacementRecord
from gpupack.records.record import Record
from gpupack.records.request import Request
from gpupack.report.text import format_number, format_price, format_rate
from gpupack.spelling import in_words_of
from gpupack.units import InferPerSec, Ratio, in_digits

HOURS_PER_MONTH = 730
"""365 × 24 ÷ 12."""
_NO_LOSS = 0.9995
"""What is kept above this is told as no slow-down."""


class BuyOption(Record):
    """A plan in the numbers that somebody decides by, and what it was asked."""

    num_gpus: int = Field(ge=0)
    num_gpus_by_type: dict[str, int]
    price_per_hour: float | None = Field(default=None, ge=0)
    """On demand; None where a GPU has no such price."""
    reserved_price_per_hour: float | None = Field(default=None, ge=0)
    is_proved: bool
    """Whether no plan with fewer GPUs, or of a lower price, does what this does."""
    bound: float
    """Proven, in GPUs or the price per hour that was counted: none is better."""
    lowest_kept_ratio: Ratio | None = None
    """Of what it serves, or of its throughput alone: what the model that is predicted
    to keep least keeps; None where nothing was predicted."""
    request: Request
    """``place(profiles, request=...)`` answers with this plan again."""


class ModelEvidence(Record):
    """One model in the plan to buy."""

    model_name: str
    num_replicas: int = Field(ge=1)
    demand_infer_per_sec: InferPerSec | None = None
    """As asked, growth included; 0 for a model that is loaded and has no traffic to
    meet; None where no demand was given."""
    served_infer_per_sec: InferPerSec | None = None
    """The traffic that was planned for: the demand and its reserve; without a demand,
    the throughput alone."""
    predicted_infer_per_sec: InferPerSec | None = None
    """Of that traffic, what the model reaches beside its neighbors."""
    latency_p99_ms: float | None = Field(default=None, ge=0)
    """Measured alone, at the slowest of its load points in use; None if unknown."""
    spare_ratio: float | None = None
    """What its replicas could reach beside their neighbors at planned traffic, above
    its demand, ÷ demand; None without a demand."""


class Assumption(Record):
    """What was taken for granted, and how to say otherwise."""

    text: str
    argument: str
    """Of ``recommend()``."""
    flag: str
    """Of ``gpupack recommend``."""


class Recommendation(Record):
    """What to buy for these models, and why.

    ``print(recommendation)`` is five lines, the assumptions and a table.
    """

    kind: Literal["recommendation"] = "recommendation"
    schema_version: Literal[1] = 1
    buy: BuyOption
    without_reserve: BuyOption | None = None
    """Less, where nothing is given up but the reserve; None if that takes no less."""
    slower: BuyOption | None = None
    """Less than with that, too, for models that may be slowed down; None if that takes
    no less."""
    slower_keeps_reserve: bool = False
    """Whether ``slower`` is planned for demands with their reserve all the same."""
    is_reserve_alone_ruled_out: bool = True
    """Whether it is proved that to give up the reserve alone would not do what
    ``slower`` does."""
    is_less_ruled_out: bool = True
    """Whether, where ``slower`` is None, it is proved that less would not do."""
    memory_only: BuyOption | None = None
    """Holds the models in memory, for models that are busy one at a time."""
    estimated: BuyOption | None = None
    """Less, by estimates on GPU types of which nothing was measured; None without
    ``estimate_unmeasured``, or if that takes no less. It promises nothing."""
    has_demands: bool
    """Whether demands are met as predicted; else all models are busy at once."""
    reserve_ratio: float = Field(ge=0)
    """Planned for above every demand; above what models shall keep without one."""
    min_kept_ratio: Ratio | None = None
    """Without demands: what every model keeps of its throughput at least."""
    changes: tuple[SavingChange, ...] = ()
    """Single changes that would save a GPU, or money."""
    is_interrupted: bool = False
    """Whether it was stopped once the plan to buy was found: None and an empty list
    then mean that nothing was asked."""
    assumptions: tuple[Assumption, ...] = ()
    models: tuple[ModelEvidence, ...]
    currency: str | None = None
    placement: PlacementRecord
    """The plan to buy, GPU by GPU."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The five lines: what to buy, what it gives, less, least, and what saves."""
        return (
            self._buy(),
            self._gives(),
            self._slower(),
            self._memory_only(),
            self._saves(),
        )

    def __str__(self) -> str:
        """Return the lines, the assumptions by argument, and the table."""
        return self.to_text()

    def to_text(self, *, for_shell: bool = False) -> str:
        """Return the lines, the assumptions and the table as text.

        Args:
            for_shell: Whether flags are told in place of arguments.
        """
        assumed = [
            f"- {for_people(one.text)} "
            f"({for_people(one.flag if for_shell else one.argument)})"
            for one in self.assumptions
        ]
        return "\n".join(
            [*self.lines, *self._by_estimates(), ""]
            + ["Assumed, and how to say otherwise:", *assumed, "", self._table()]
            + [f"warning: {for_people(one)}" for one in self.placement.warnings]
        )

    def to_json(self) -> str:
        """Return the whole recommendation as indented JSON."""
        return self.model_dump_json(indent=2, exclude_none=True)

    def _money(self, price: float) -> str:
        unit = "" if self.currency is None else f" {printable(self.currency)}"
        return f"{price:,.2f}{unit}" if price >= 0.1 else f"{format_price(price)}{unit}"

    def _cost(self, one: BuyOption) -> str:
        """Return "2.80 per hour, 2,044 a month", reserved too; empty without prices."""
        costs = []
        for price, way in (
            (one.price_per_hour, ""),
            (one.reserved_price_per_hour, "reserved "),
        ):
            if price is not None:
                month = format_number(round(price * HOURS_PER_MONTH), 0)
                costs.append(f"{way}{self._money(price)} per hour, {month} a month")
        return "; ".join(costs)

    def _buy(self) -> str:
        cost = self._cost(self.buy)
        line = f"Buy {_fleet(self.buy)}" + (f" ({cost})." if cost else ".")
        if not self.buy.is_proved:
            least = (
                f"{self._money(self.buy.bound)} per hour"
                if self.placement.objective_unit.value == "price_per_hour"
                else in_digits(self.buy.bound, 6)
            )
            line += f" Not proved to be the least: at least {least} is needed."
        return line

    def _gives(self) -> str:
        if self.has_demands:
            if not any(one.demand_infer_per_sec for one in self.models):
                return self._gives_no_traffic()
            spare = f"with {self.reserve_ratio:.0%} to spare on all at once"
            if all(one.demand_infer_per_sec is not None for one in self.models):
                return f"Every model keeps its demand as predicted, {spare}."
            return f"Every model that has a demand keeps it as predicted, {spare}."
        kept = self.buy.lowest_kept_ratio
        told = "" if kept is None else f"; none is predicted below {kept:.0%}"
        left_out = self._left_out()
        which = f"All models but {quoted_all(left_out)}" if left_out else "All models"
        return (
            f"{which} may be busy at once, each keeping at least "
            f"{self.min_kept_ratio or 0:.0%} of its throughput alone{told}."
        )

    def _gives_no_traffic(self) -> str:
        others = [
            one.model_name for one in self.models if one.demand_infer_per_sec is None
        ]
        if not others:
            return "Every model is loaded; none has traffic to meet (demand 0)."
        return (
            f"{quoted_all(others)} may be busy all the time; the others are loaded and "
            "have no traffic to meet (demand 0)."
        )

    def _left_out(self) -> list[str]:
        """Return the optional models that the plan to buy has no room for."""
        placed = {one.model_name for one in self.models}
        return [
            name
            for name, wishes in self.buy.request.models.items()
            if wishes.optional and name not in placed
        ]

    def _slower(self) -> str:
        offers = [
            f"{_fleet(one)} would do {why}{self._in_brackets(one)}"
            for one, why in (
                (self.without_reserve, self._without_reserve()),
                (self.slower, self._if_slow_downs_are_fine()),
            )
            if one is not None
        ]
        if self.slower is not None and not self.is_reserve_alone_ruled_out:
            offers.append("nothing proves that such slow-downs are needed for that")
        if offers:
            return "; ".join(offers) + "."
        if self.is_interrupted:
            return "Whether less would do was not asked: it was interrupted."
        if not self.is_less_ruled_out:
            return (
                "Nothing less was found where slow-downs are fine, and nothing proves "
                "that less would not do."
            )
        return "Less would not do, even where slow-downs are fine."

    def _without_reserve(self) -> str:
        if self.has_demands or self.without_reserve is None:
            return "without the reserve"
        wishes = self.without_reserve.request.models.values()
        kept = min((one.min_retention or 1.0 for one in wishes), default=0.0)
        return f"without the reserve, every model keeping at least {kept:.0%}"

    def _if_slow_downs_are_fine(self) -> str:
        """Return the least that is to be given up for the plan with slow-downs."""
        if self.slower is None:
            return ""
        kept = self.slower.lowest_kept_ratio
        is_without = self.has_demands and self.reserve_ratio > 0
        is_without = is_without and not self.slower_keeps_reserve
        if kept is None:
            why = "if what sharing costs does not matter"
        elif kept >= _NO_LOSS:
            return "without any reserve"
        else:
            why = f"if slow-downs of up to {1 - kept:.0%} are fine"
        return f"without the reserve and {why}" if is_without else why

    def _memory_only(self) -> str:
        one = self.memory_only
        if one is None and self.is_interrupted:
            return "What memory alone takes was not asked: it was interrupted."
        if one is None:
            return "No number for memory alone: it was not measured for every model."
        holds = "hold" if one.num_gpus > 1 else "holds"
        busy = one.lowest_kept_ratio
        if busy is not None and busy >= _NO_LOSS:
            return f"{_fleet(one)} {holds} the models in memory."
        return (
            f"{_fleet(one)} {holds} the models in memory, for models that are busy one "
            f"at a time: they must not run at the same time{self._in_brackets(one)}."
        )

    def _by_estimates(self) -> list[str]:
        """Return what would do by estimates alone; nothing if none was asked for."""
        one = self.estimated
        if one is None:
            return []
        return [
            f"By estimates {_fleet(one)} would do{self._in_brackets(one)}, without a "
            "promise: nothing was measured there, and throughput is scaled by "
            "published figures. Measure before you buy."
        ]

    def _in_brackets(self, one: BuyOption) -> str:
        cost = self._cost(one)
        return f" ({cost})" if cost else ""

    def _saves(self) -> str:
        if not self.changes:
            if self.is_interrupted:
                return "What would save one more was not asked: it was interrupted."
            if self.buy.is_proved:
                return "What would save one more: no single change of those tried."
            return (
                "What would save one more: a longer search may; no single change of "
                "those tried surely would."
            )
        first, *more = self.changes
        rest = in_words_of(python="changes", shell="what --json writes")
        others = f"; {len(more)} more in {rest}" if more else ""
        return f"What would save one more: {for_people(str(first))}{others}."

    def _table(self) -> str:
        rows = [
            [
                printable_name(one.model_name),
                f"{one.num_replicas:,}",
                *([format_rate(one.demand_infer_per_sec)] if self.has_demands else []),
                format_rate(one.served_infer_per_sec),
                format_rate(one.predicted_infer_per_sec),
                format_number(one.latency_p99_ms),
                *(
                    ["–" if one.spare_ratio is None else f"{one.spare_ratio:.0%}"]
                    if self.has_demands
                    else []
                ),
            ]
            for one in self.models
        ]
        titles = ["model", "copies"]
        titles += (
            ["demand\ninfer/sec", "planned\nfor"]
            if self.has_demands
            else ["alone\ninfer/sec"]
        )
        titles += ["predicted\ntogether", "p99 ms\nalone"]
        titles += ["spare"] if self.has_demands else []
        return tabulate(
            rows,
            headers=titles,
            tablefmt="simple",
            disable_numparse=True,
            colalign=["left"] + ["right"] * (len(titles) - 1),
        )


def _fleet(one: BuyOption) -> str:
    """Return "8 T4", or "3 T4 and 2 L4"."""
    return " and ".join(
        f"{count:,} {printable_name(name)}"
        for name, count in one.num_gpus_by_type.items()
    )
