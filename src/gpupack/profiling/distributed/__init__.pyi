from .ray_sweep import profile_on_ray

__all__ = [
    "profile_on_ray",
]
