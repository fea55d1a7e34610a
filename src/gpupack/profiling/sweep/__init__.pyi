from .exports import prepare_folder, write_article_tables
from .loads import checked_loads
from .point_grid import load_points
from .run import profile
from .sweep_progress import SilentProgress, SweepProgress
from .sweep_store import INPUTS_STAGE, RETRIED_STAGES, SERVER_STAGE, SweepStore

__all__ = [
    "INPUTS_STAGE",
    "RETRIED_STAGES",
    "SERVER_STAGE",
    "SilentProgress",
    "SweepProgress",
    "SweepStore",
    "checked_loads",
    "load_points",
    "prepare_folder",
    "profile",
    "write_article_tables",
]
