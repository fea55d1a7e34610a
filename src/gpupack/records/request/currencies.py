"""Currencies in a request: said once for all prices, since gpupack converts none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import currency_in
from gpupack.quoting import quoted
from gpupack.records.request.request_fault import as_path
from gpupack.records.request.wish_types import NAME_KEYS

_PRICES = ("price", "reserved_price")


def require_one_currency(value: Mapping[Any, Any]) -> None:
    """Check that no GPU of a request's data has a currency of its own.

    Args:
        value: The data of a request; what else is wrong with it is told elsewhere.

    Raises:
        InvalidInputError: Naming two entries where currencies differ, or the one and
            how to say it.
    """
    found = list(_said(value))
    of_all = value.get("currency")
    if not found:
        return
    if isinstance(of_all, str):
        found.insert(0, ("currency", of_all, of_all))
    first_place, first, currency = found[0]
    for place, told, other in found[1:]:
        if other.casefold() != currency.casefold():
            raise InvalidInputError(
                f"currencies are mixed: {first_place} is {quoted(first)}, but {place} "
                f"is {quoted(told)}; gpupack converts none, so give all prices in one, "
                f"as numbers, and say which once: currency: {currency}"
            )
    place, told, currency = found[-1]
    raise InvalidInputError(
        f"{place} is {quoted(told)}; prices are numbers, and their currency is said "
        f"once for all of them: currency: {currency}"
    )


def _said(value: Mapping[Any, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each currency of a GPU's own: its place, what stands there, and itself."""
    for name, supply in _supplies(value.get("gpus")):
        if not isinstance(supply, Mapping):
            continue
        if isinstance(own := supply.get("currency"), str):
            yield as_path(("gpus", name, "currency")), own, own
        for which in _PRICES:
            price = supply.get(which)
            currency = currency_in(price)
            if currency is not None:
                yield as_path(("gpus", name, which)), str(price), currency


def _supplies(gpus: object) -> Iterator[tuple[str, object]]:
    """Yield the supplies of a request, by name or in a list, with their names."""
    if isinstance(gpus, Mapping):
        for name, supply in gpus.items():
            yield str(name), supply
    elif isinstance(gpus, list | tuple):
        for entry in gpus:
            if isinstance(entry, Mapping):
                name = next((entry[key] for key in NAME_KEYS if key in entry), None)
                if name is None:
                    yield from _supplies(entry)
                else:
                    yield str(name), entry
