"""What a placement costs, derived by hand."""

import pytest

import gpupack
from gpupack.cost import cost_of
from gpupack.records.gpu import Fleet, FleetEntry
from gpupack.records.placement import PlacementRecord
from gpupack.report.text import format_placement
from tests.factories import GPU
from tests.report.placements import make_assignment, make_placement


def priced(placement: PlacementRecord, price: float = 0.5) -> PlacementRecord:
    entry = FleetEntry(gpu_type=GPU, price_per_hour=price)
    return placement.model_copy(update={"fleet": Fleet(entries=(entry,))})


TWO_GPUS = priced(
    make_placement(
        (
            # 30 % and 10 % of the GPU are their largest shares: 3 : 1.
            make_assignment("a", gpu_utilization_percent=30, served_infer_per_sec=50),
            make_assignment("b", gpu_utilization_percent=5, memory_mib=100),
        ),
        (make_assignment("a", gpu_utilization_percent=25, served_infer_per_sec=25),),
    )
)


def test_the_prices_of_models_are_shares_of_their_gpus() -> None:
    cost = cost_of(TWO_GPUS)

    assert cost is not None
    assert cost.price_per_hour == 1.0
    assert cost.price_per_month == pytest.approx(730)
    assert cost.price_per_year == pytest.approx(8760)
    assert cost.by_model["a"].price_per_hour == pytest.approx(0.5 * 3 / 4 + 0.5)
    assert cost.by_model["b"].price_per_hour == pytest.approx(0.5 / 4)


def test_a_million_inferences_cost_what_their_time_costs() -> None:
    cost = cost_of(TWO_GPUS)

    # a: 75 infer/sec for 0.875 per hour; b has no demand: 100 infer/sec alone.
    assert cost is not None
    assert cost.by_model["a"].price_per_million_inferences == pytest.approx(
        0.875 / (75 * 3600) * 1e6
    )
    assert cost.price_per_million_inferences == pytest.approx(1 / (175 * 3600) * 1e6)


def test_idle_time_is_what_no_kernel_uses() -> None:
    cost = cost_of(TWO_GPUS)

    # Busy are 35 % of one GPU and 25 % of the other, of the same price.
    assert cost is not None
    assert cost.idle_share == pytest.approx((0.65 + 0.75) / 2)


def test_a_gpu_that_is_asked_for_too_much_is_not_less_than_idle() -> None:
    over = make_placement(
        (make_assignment("a", gpu_utilization_percent=90),) * 2,
    )

    cost = cost_of(priced(over))

    assert cost is not None
    assert cost.idle_share == 0


def test_without_a_price_there_is_no_cost() -> None:
    assert cost_of(make_placement((make_assignment("a"),))) is None
    assert "cost" not in format_placement(make_placement((make_assignment("a"),)))


def test_cost_is_told_below_the_table() -> None:
    text = format_placement(TWO_GPUS)

    assert "cost: 1 per hour, 730 per month, 8,760 per year" in text
    assert "70% of it for idle GPU time" in text
    assert "per month by model: a 638.75 (3.24 per million), b 91.25" in text


def test_a_placement_knows_its_cost() -> None:
    placed = gpupack.place("medical", "min_cost", prices={"16GB": 0.35})

    assert placed.cost is not None
    assert placed.cost.price_per_hour == pytest.approx(4 * 0.35)
    by_model = sum(one.price_per_hour for one in placed.cost.by_model.values())
    assert by_model == pytest.approx(placed.cost.price_per_hour)
