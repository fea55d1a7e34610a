"""Schemas of what no bundled schema knows, each with where it was taken from."""

from __future__ import annotations

from typing import Any

DEVICE_PLUGIN: dict[str, Any] = {
    # NVIDIA/k8s-device-plugin v0.20.0, api/config/v1/{config,flags,sharing}.go: the
    # fields of Config, with their JSON names; unknown ones are errors there too.
    "type": "object",
    "additionalProperties": False,
    "required": ["version"],
    "properties": {
        "version": {"const": "v1"},
        "flags": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "migStrategy": {"enum": ["none", "single", "mixed"]},
                "failOnInitError": {"type": "boolean"},
                "mpsRoot": {"type": "string"},
                "nvidiaDriverRoot": {"type": "string"},
                "nvidiaDevRoot": {"type": "string"},
                "gdsEnabled": {"type": "boolean"},
                "mofedEnabled": {"type": "boolean"},
                "useNodeFeatureAPI": {"type": "boolean"},
                "deviceDiscoveryStrategy": {"type": "string"},
                "plugin": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "passDeviceSpecs": {"type": "boolean"},
                        "deviceListStrategy": {"type": ["string", "array"]},
                        "deviceIDStrategy": {"enum": ["uuid", "index"]},
                        "cdiAnnotationPrefix": {"type": "string"},
                        "nvidiaCTKPath": {"type": "string"},
                        "containerDriverRoot": {"type": "string"},
                        "sharedDevicesAllocationPolicy": {
                            "enum": ["distributed", "packed"]
                        },
                    },
                },
            },
        },
        "sharing": {"type": "object"},
    },
}

_NAME = {
    "type": "string",
    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "maxLength": 63,
}
HTTP_ROUTE: dict[str, Any] = {
    # kubernetes-sigs/gateway-api v1.3, config/crd/standard, HTTPRoute v1: the fields
    # that are written, with their limits.
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "gateway.networking.k8s.io/v1"},
        "kind": {"const": "HTTPRoute"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "parentRefs": {
                    "type": "array",
                    "maxItems": 32,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"name": {"type": "string", "maxLength": 253}},
                    },
                },
                "rules": {
                    "type": "array",
                    "maxItems": 16,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "matches": {
                                "type": "array",
                                "maxItems": 64,
                                "items": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {
                                        "path": {
                                            "type": "object",
                                            "additionalProperties": False,
                                            "properties": {
                                                "type": {
                                                    "enum": ["Exact", "PathPrefix"]
                                                },
                                                "value": {
                                                    "type": "string",
                                                    "maxLength": 1024,
                                                    "pattern": (
                                                        "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:"
                                                        "@]|[%][0-9a-fA-F]{2})+$"
                                                    ),
                                                },
                                            },
                                        }
                                    },
                                },
                            },
                            "backendRefs": {
                                "type": "array",
                                "maxItems": 16,
                                "items": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "required": ["name", "port"],
                                    "properties": {
                                        "name": _NAME,
                                        "port": {
                                            "type": "integer",
                                            "minimum": 1,
                                            "maximum": 65535,
                                        },
                                        "weight": {
                                            "type": "integer",
                                            "minimum": 0,
                                            "maximum": 1000000,
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
