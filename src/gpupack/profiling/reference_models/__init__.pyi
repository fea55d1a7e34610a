from .repository import REFERENCE_MODELS, ReferenceModel, write_reference_models

__all__ = ["REFERENCE_MODELS", "ReferenceModel", "write_reference_models"]
