from .listening import ExploreOptions, explore

__all__ = ["ExploreOptions", "explore"]
