from .nodes import gpu_type_notes, node_selector, repository_notes
from .object_names import Names, Object, container_ports, pod_ports
from .pods import (
    FOLDER,
    config_map,
    configurations,
    deployment,
    deployment_of,
    digest,
    layout_of,
    pod_labels,
    probes,
    volume_mounts,
    volumes,
)
from .services import http_routes, model_services

__all__ = [
    "FOLDER",
    "Names",
    "Object",
    "config_map",
    "configurations",
    "container_ports",
    "deployment",
    "deployment_of",
    "digest",
    "gpu_type_notes",
    "http_routes",
    "layout_of",
    "model_services",
    "node_selector",
    "pod_labels",
    "pod_ports",
    "probes",
    "repository_notes",
    "volume_mounts",
    "volumes",
]
