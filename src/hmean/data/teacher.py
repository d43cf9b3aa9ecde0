"""Distillation: a teacher's probability map, seen as a training sample sees its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmean import geometry
from hmean.data.views import PageView
from hmean.errors import InputError
from hmean.geometry import Matrix
from hmean.types import Page


class TeacherMap(Protocol):
    """A probability map of a page, such as ``hmean.runs.maps`` reads from disk."""

    @property
    def probability(self) -> NDArray[Any]:
        """P, uint8 (h, w), 0..255."""

    @property
    def to_page(self) -> Matrix:
        """From the map's pixels to the page's."""

    @property
    def page_width(self) -> int:
        """Width of the page in pixels."""

    @property
    def page_height(self) -> int:
        """Height of the page in pixels."""


# The teacher's map of the page with this name.
ReadTeacher = Callable[[str], TeacherMap]


def teacher_in_view(teacher: TeacherMap, page: Page, view: PageView) -> Tensor:
    """The teacher's map, uint8 (H, W), in a view of the page, warped once, as the image is.

    Raises:
        InputError: if the map is of a page of another size.
    """
    if (teacher.page_width, teacher.page_height) != (page.width, page.height):
        raise InputError(
            f"{page.name}: the teacher's map is of another image: {teacher.page_width} x {teacher.page_height} pixels, "
            f"the page is {page.width} x {page.height}"
        )
    planes = np.repeat(teacher.probability[..., None], 3, axis=2)  # warp takes images of three channels
    matrix = view.matrix @ teacher.to_page
    warped = geometry.warp(planes, matrix, view.width, view.height)
    return torch.from_numpy(warped[..., 0].copy())


def blend(shrink: Tensor, teacher: Tensor, weight: float) -> Tensor:
    """The shrink map of the labels and the teacher's map as one target, uint8; ``weight`` is the teacher's share."""
    return torch.lerp(shrink.float(), teacher.float(), weight).round().to(torch.uint8)
