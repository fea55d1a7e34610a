"""What a server's counters tell of a restart in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from gpupack.profiling.server.server_url import ServerUrl
from gpupack.profiling.session import restart_watch
from gpupack.profiling.session.restart_watch import RestartWatch

if TYPE_CHECKING:
    from gpupack.profiling.server import TritonServer


ELSEWHERE = ServerUrl.parse("http://192.0.2.1:8000")


@dataclass
class Counting:
    """A server elsewhere whose counters read as given, the last one from then on."""

    readings: list[int]
    url: ServerUrl = ELSEWHERE
    asked: list[str] = field(default_factory=list)

    def statistics(self, name: str) -> SimpleNamespace:
        self.asked.append(name)
        now = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        return SimpleNamespace(num_requests=now)


def watch(*readings: int) -> RestartWatch:
    return RestartWatch({"m": cast("TritonServer", Counting(list(readings)))})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_watch, "SETTLING_S", 0.0)


def test_a_count_below_the_last_shows_a_restart() -> None:
    found = watch(100, 12).find_restart()
    assert found is not None
    assert "had counted or answered 100 requests of m, and has counted 12 now" in found


def test_a_model_loaded_anew_is_found_though_it_has_counted_more_since() -> None:
    found = watch(100, 150).find_restart({"m": 180})
    assert found is not None
    assert "had counted or answered 280 requests of m, and has counted 150" in found


def test_requests_of_warming_up_and_of_strangers_are_no_restart() -> None:
    one = watch(100, 300, 500)
    assert one.find_restart({"m": 180}) is None
    assert one.find_restart({"m": 200}) is None


def test_what_is_counted_a_moment_after_its_answer_is_no_restart() -> None:
    assert watch(100, 279, 280).find_restart({"m": 180}) is None


def test_a_reload_that_was_asked_for_begins_the_count_anew() -> None:
    one = watch(100, 3, 50)
    one.expect_reload("m")
    assert one.find_restart({"m": 40}) is None
