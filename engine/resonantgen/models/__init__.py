"""Neural models on this machine: which there are, where they lie, and how they come here.

    from resonantgen import models
    found = models.installed("musicgen-small")   # ModelNotFound says how to fetch it
    found.weights                                # one path, or the shards in order

`catalog.py` has them all. Looking needs nothing but the standard library and msgspec. Fetching is in `pull.py`.
"""

from resonantgen.models.catalog import Licence, ModelInfo, model_info
from resonantgen.models.folder import FileRecord, Installed, installed, is_installed, models_folder

__all__ = [
    "FileRecord",
    "Installed",
    "Licence",
    "ModelInfo",
    "installed",
    "is_installed",
    "model_info",
    "models_folder",
]
