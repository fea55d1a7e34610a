from .asked_sweep import AskedSweep, SweepArguments, takes_sweep_arguments
from .exports import prepare_folder, write_article_tables
from .loads import checked_loads
from .point_grid import load_points
from .run import profile, run_sweep
from .sweep_progress import SilentProgress, SweepProgress
from .sweep_store import INPUTS_STAGE, RETRIED_STAGES, SERVER_STAGE, SweepStore
from .swept_models import SweptModels

__all__ = [
    "INPUTS_STAGE",
    "RETRIED_STAGES",
    "SERVER_STAGE",
    "AskedSweep",
    "SilentProgress",
    "SweepArguments",
    "SweepProgress",
    "SweepStore",
    "SweptModels",
    "checked_loads",
    "load_points",
    "prepare_folder",
    "profile",
    "run_sweep",
    "takes_sweep_arguments",
    "write_article_tables",
]
