"""JSON Schemas of what gpupack writes: ``python -m gpupack.records.schema DIR``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gpupack.records.calibration import Calibration
from gpupack.records.colocation import CoLocation
from gpupack.records.placement import PlacementRecord
from gpupack.records.profile import FailedLoadPoint, ProfileRecord, ServerBaseline
from gpupack.records.record import Record
from gpupack.records.request import Request
from gpupack.records.running.deployment import DeploymentRecord
from gpupack.records.running.observed_cluster import ObservedClusterRecord
from gpupack.records.running.rightsizing import RightsizingRecord
from gpupack.records.running.verification import GpuVerification

CLASS_BY_FILE: dict[str, type[Record]] = {
    "calibration.schema.json": Calibration,
    "colocation.schema.json": CoLocation,
    "deployment.schema.json": DeploymentRecord,
    "failed_load_point.schema.json": FailedLoadPoint,
    "observed_cluster.schema.json": ObservedClusterRecord,
    "placement.schema.json": PlacementRecord,
    "profile_record.schema.json": ProfileRecord,
    "request.schema.json": Request,
    "rightsizing.schema.json": RightsizingRecord,
    "server_baseline.schema.json": ServerBaseline,
    "verification.schema.json": GpuVerification,
}
"""What each file in ``docs/schema`` describes."""


def schema_text(record_class: type[Record]) -> str:
    """Return the JSON Schema of a record as it stands in a file."""
    schema = record_class.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def write_schemas(folder: Path) -> None:
    """Write one schema per record class into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, record_class in CLASS_BY_FILE.items():
        (folder / file_name).write_text(schema_text(record_class), encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
