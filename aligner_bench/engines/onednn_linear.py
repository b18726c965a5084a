"""Linear layers on a CPU with their weights in oneDNN's own order.

Torch multiplies float32 with MKL, which on some processors reaches less than half of what oneDNN does, and
hands oneDNN weights of 16 bits in an order that it must change at every call. Weights that never change can
be put in order once. The products are the same up to the order of summing. Torch's compiler uses the same
two operators; they are not documented, so one layer is tried first, and all stay as they are where it fails.
"""

from __future__ import annotations

import torch

_ROWS = 128  # the number of rows that the order suits best; any other works
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.02, torch.float16: 0.01}


class PackedLinear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer for inference; the weights it was made from can be freed."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            values, self._weight, self._bias, "none", [], ""
        )
        return product


def pack(model: torch.nn.Module) -> bool:
    """Put the weights of all linear layers in order, where this torch and processor can; has it been done?"""
    layers = [(name, layer) for name, layer in model.named_modules() if type(layer) is torch.nn.Linear]
    if not layers or not _works(layers[0][1]):
        return False
    for name, layer in layers:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, PackedLinear(layer))
    return True


def _works(layer: torch.nn.Linear) -> bool:
    """Does a packed layer give the same for a few rows and for many?"""
    weight = layer.weight
    if weight.device.type != "cpu" or weight.dtype not in _TOLERANCE:
        return False
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.inference_mode():
            packed = PackedLinear(layer)
            for rows in (1, 3, _ROWS):
                values = torch.randn(rows, weight.shape[1], generator=generator).to(weight.dtype)
                wanted = layer(values)
                apart = (packed(values) - wanted).abs().max()
                if not apart <= _TOLERANCE[weight.dtype] * wanted.abs().max():
                    return False
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return True
