"""Linear layers on a CPU with weights in oneDNN's blocked order.

Torch multiplies float32 with MKL, which on some processors reaches less than half of oneDNN's speed, and
passes 16-bit weights to oneDNN in an order that it must change at every call. Constant weights can be
reordered once. The products are equal up to the order of summation. Torch's compiler uses the same two
operators; they are undocumented, so one layer is tested first, and no layer is replaced where that fails.
"""

from __future__ import annotations

import torch

_ROWS = 128  # number of rows that the order suits best; any other works
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.02, torch.float16: 0.01}


class ReorderedLinear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer for inference; the weights it was made from can be freed."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map (…, in) to (…, out)."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            values, self._weight, self._bias, "none", [], ""
        )
        return product


def reorder_weights(model: torch.nn.Module) -> bool:
    """Reorder the weights of all linear layers where torch and the processor can; return whether it did."""
    layers = [(name, layer) for name, layer in model.named_modules() if type(layer) is torch.nn.Linear]
    if not layers or not _works(layers[0][1]):
        return False
    for name, layer in layers:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, ReorderedLinear(layer))
    return True


def _works(layer: torch.nn.Linear) -> bool:
    """Return whether a reordered layer gives the same products for few and for many rows."""
    weight = layer.weight
    if weight.device.type != "cpu" or weight.dtype not in _TOLERANCE:
        return False
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.inference_mode():
            reordered = ReorderedLinear(layer)
            for rows in (1, 3, _ROWS):
                values = torch.randn(rows, weight.shape[1], generator=generator).to(weight.dtype)
                wanted = layer(values)
                apart = (reordered(values) - wanted).abs().max()
                if not apart <= _TOLERANCE[weight.dtype] * wanted.abs().max():
                    return False
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return True
