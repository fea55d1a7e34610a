"""Prices of room: those of one program at one set of values after another."""

import numpy as np
import pytest

from gpupack.packing.capacity.model import Knapsack


def test_prices_stay_the_best_however_often_values_change():
    rng = np.random.default_rng(1)
    sizes, most = rng.uniform(0.01, 0.4, (40, 3)), rng.uniform(0.2, 3.0, 40)
    knapsack = Knapsack(sizes, most)
    for _ in range(20):
        worth = np.maximum(0.0, rng.uniform(-0.5, 1.0, 40))

        prices = np.array(knapsack.room_prices(worth))

        assert (prices >= 0).all()
        bound = prices.sum() + most @ np.maximum(0.0, worth - sizes @ prices)
        others = np.array(Knapsack(sizes, most).room_prices(worth))
        assert bound == pytest.approx(
            others.sum() + most @ np.maximum(0.0, worth - sizes @ others), rel=1e-9
        )
        # No nearby prices bound what the bin is worth more closely.
        for nearby in prices * rng.uniform(0.9, 1.1, (20, 3)):
            gained = np.maximum(0.0, worth - sizes @ nearby)
            assert nearby.sum() + most @ gained >= bound * (1 - 1e-9)


def test_nothing_of_worth_makes_room_worth_nothing():
    knapsack = Knapsack(np.full((3, 2), 0.5), np.ones(3))

    assert knapsack.room_prices(np.zeros(3)) == [0.0, 0.0]
