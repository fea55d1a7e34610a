from .bin_saving import BackgroundSearch, BinSaving

__all__ = [
    "BackgroundSearch",
    "BinSaving",
]
