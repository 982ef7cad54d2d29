"""Max pooling with places, and unpooling: torch's own operators, ties and overlapping windows included."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.unpool import max_pool, max_unpool  # noqa: E402

KERNELS = pytest.mark.parametrize("kernel", [2, 3])


def images(*shape: int) -> torch.Tensor:
    """Integers of a few values, both signs: nearly every window has a tie."""
    return torch.randint(-3, 3, shape, generator=torch.Generator().manual_seed(0)).float()


@KERNELS
def test_maxima_and_places_unpool_as_torch_unpools(kernel: int) -> None:
    x = images(2, 5, 12, 20)
    pooled, places = max_pool(x, kernel)
    expected, indices = torch.nn.functional.max_pool2d(x, kernel, 2, kernel // 3, return_indices=True)
    assert torch.equal(pooled, expected)
    y = torch.rand_like(pooled)
    assert torch.equal(max_unpool(y, places, kernel), unpooled_in_order(y, indices, x.shape))


@KERNELS
def test_gradient_is_that_of_torch(kernel: int) -> None:
    x, twin = (images(1, 3, 8, 8).requires_grad_() for _ in range(2))
    weights = torch.rand(1, 3, 4, 4)
    (max_pool(x, kernel)[0] * weights).sum().backward()
    (torch.nn.functional.max_pool2d(twin, kernel, 2, kernel // 3) * weights).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)


def test_windows_without_overlap_unpool_as_the_module_does() -> None:
    x = images(2, 5, 12, 20)
    pooled, indices = torch.nn.MaxPool2d(2, return_indices=True)(x)
    assert torch.equal(max_unpool(pooled, max_pool(x, 2)[1], 2), torch.nn.MaxUnpool2d(2)(pooled, indices))


def unpooled_in_order(y: torch.Tensor, indices: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """max_unpool2d on one thread: the values written row by row, a later one over an earlier one."""
    planes = torch.zeros(shape[0] * shape[1], shape[2] * shape[3])
    for plane, values, places in zip(planes, y.flatten(0, 1).flatten(1), indices.flatten(0, 1).flatten(1)):
        for value, place in zip(values.tolist(), places.tolist()):
            plane[place] = value
    return planes.view(shape)
