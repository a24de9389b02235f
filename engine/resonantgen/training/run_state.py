"""A training run on disk: one safetensors file with everything that the next step depends on.

It is written whole or not at all, so that a kill at any instant leaves the state of some step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from resonantgen.errors import BadValue, ModelDamaged
from resonantgen.session.files import storage_errors, write_file
from resonantgen.training.history import History

STATE_NAME = "state.safetensors"
LAYOUT = "resonantgen-training-1"
_MODULE, _AVERAGED, _OPTIMIZER, _PARTS, _LOSSES = "module.", "averaged.", "optimizer.", "history.", "losses"


def write_state(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: Mapping[str, Tensor],
    history: History,
    identity: Mapping[str, Any],
) -> None:
    """Raises StorageError."""
    tensors = {_MODULE + name: tensor for name, tensor in module.state_dict().items()}
    tensors |= {_AVERAGED + name: tensor for name, tensor in averaged.items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    # Copies: a module may have one tensor under two names, which safetensors refuses
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    tensors |= {_PARTS + name: torch.tensor(values, dtype=torch.float64) for name, values in history.parts.items()}
    tensors[_LOSSES] = torch.tensor(history.losses, dtype=torch.float64)
    metadata = {
        "format": LAYOUT,
        "identity": json.dumps(identity, sort_keys=True),
        "parts": json.dumps(list(history.parts)),  # in their order
        "evaluations": json.dumps(history.evaluations),
    }
    with storage_errors(path):
        write_file(path, safetensors_bytes(tensors, metadata))


def read_state(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor],
    identity: Mapping[str, Any],
) -> History:
    """Put a run's state where it belongs. Raises BadValue for a run with another identity, and ModelDamaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != LAYOUT:
                raise _damaged(path, "is not the state of a training run")
            _check(path, json.loads(metadata["identity"]), json.loads(json.dumps(identity)))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        history = History(
            tensors[_LOSSES].tolist(),
            {name: tensors[_PARTS + name].tolist() for name in json.loads(metadata["parts"])},
            [(step, figures) for step, figures in json.loads(metadata["evaluations"])],
        )
        module.load_state_dict(_within(tensors, _MODULE))
        for name, tensor in _within(tensors, _AVERAGED).items():
            averaged[name].copy_(tensor)
        _put(optimizer, _within(tensors, _OPTIMIZER))
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, BadValue):
            raise
        raise _damaged(path, f"cannot be read ({str(error).splitlines()[0][:100]})") from None
    return history


def read_module(path: Path, module: nn.Module) -> None:
    """Only what was learned, into a module: its averaged weights where the run has them. Raises ModelDamaged."""
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names if name.startswith((_MODULE, _AVERAGED))}
        module.load_state_dict(_within(tensors, _MODULE) | _within(tensors, _AVERAGED))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise _damaged(path, f"cannot be read ({str(error).splitlines()[0][:100]})") from None


def _within(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _put(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _check(path: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for name in sorted(there.keys() | here.keys()):
        before, now = there.get(name), here.get(name)
        if before != now:
            raise BadValue(
                f"{path.parent} holds a run with another {name.replace('_', ' ')} ({_short(before)}, not "
                f"{_short(now)}). Go on with the same command, or choose another folder with --out."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _damaged(path: Path, what: str) -> ModelDamaged:
    return ModelDamaged(f"{path} {what}. Remove it to begin again, or choose another folder with --out.")
