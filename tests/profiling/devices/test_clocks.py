"""Clocks that were held back, over one measurement and several."""

from __future__ import annotations

from gpupack.profiling.devices.clocks import ClockReadings, slowdowns


def test_reasons_are_the_bits_of_the_driver() -> None:
    assert slowdowns(0) == ()
    assert slowdowns(0x1 | 0x100) == ()  # idle, display
    assert slowdowns(0x4) == ("its power limit",)
    assert slowdowns(0x40) == ("its temperature (hardware)",)


def test_several_measurements_count_by_their_lengths() -> None:
    held = ClockReadings({"its power limit": 1.0}, 1200, 1300, 1980)
    free = ClockReadings({}, 1900, 1980, 1980)
    told = ClockReadings.pooled([(1.0, held), (3.0, free)]).in_words()
    assert told == (
        "the GPU's clocks were held back in 25% of the measurement by its power limit "
        "(SM clock 1,200 to 1,980 of at most 1,980 MHz)"
    )


def test_a_moment_is_not_told() -> None:
    held = ClockReadings({"its power limit": 1.0})
    free = ClockReadings()
    assert ClockReadings.pooled([(1.0, held), (99.0, free)]).in_words() is None
    assert ClockReadings.pooled([]).in_words() is None
