"""ONNX operators that pick elements by their index or find the index of elements, as torch functions."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.engines.pytorch_attributes import Attributes, Function, integers, only


def split(attributes: Attributes) -> Function:
    """Split into given sizes, or into `num_outputs` like ones, the last one smaller."""
    axis, count = attributes.get("axis", 0), attributes.get("num_outputs", 0)

    def call(x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        return torch.split(x, -(-x.shape[axis] // count) if sizes is None else integers(sizes), axis)

    return call


def sliced(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    """Slice, also backwards: torch has no negative step, so positions are listed."""
    begin, end = integers(starts), integers(ends)
    along = range(len(begin)) if axes is None else integers(axes)
    stride = [1] * len(begin) if steps is None else integers(steps)
    for first, last, axis, step in zip(begin, end, along, stride):
        positions = range(x.shape[axis])[first:last:step]
        x = x.index_select(axis, torch.tensor(list(positions), dtype=torch.int64))
    return x


def gather(attributes: Attributes) -> Function:
    """Gather: the indices, of any shape, take the place of one axis."""
    axis = attributes.get("axis", 0)
    return lambda x, indices: x[(slice(None),) * (axis % x.ndim) + (indices,)]


def top_k(attributes: Attributes) -> Function:
    """TopK: the largest or smallest values along an axis in order, the first of equal ones first, and their indices."""
    axis, largest = attributes.get("axis", -1), bool(attributes.get("largest", 1))

    def call(x: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        ordered = torch.sort(x, dim=axis, descending=largest, stable=True)
        return tuple(each.narrow(axis, 0, integers(k)[0]) for each in ordered)

    return call


def gather_elements(attributes: Attributes) -> Function:
    """GatherElements; indices below 0 count from the end."""
    axis = attributes.get("axis", 0)
    return lambda x, indices: x.gather(axis, indices.long() % x.shape[axis])


def scatter_elements(attributes: Attributes) -> Function:
    """ScatterElements, in place of what was there."""
    only(attributes, reduction=("none",))
    axis = attributes.get("axis", 0)
    return lambda x, indices, values: x.scatter(axis, indices.long() % x.shape[axis], values)


def arg_max(attributes: Attributes) -> Function:
    """ArgMax; the first of equal ones, as torch does on a CPU."""
    only(attributes, select_last_index=(0,))
    axis, keep = attributes.get("axis", 0), bool(attributes.get("keepdims", 1))
    return lambda x: x.argmax(axis, keep)
