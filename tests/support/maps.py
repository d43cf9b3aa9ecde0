"""Probability maps that tests draw."""

import cv2
import numpy as np
from hypothesis import strategies as st

from hmean.postprocess.decoding import PageMap, detect


def found(probability, params, to_page=None, size=None):
    """What is detected on a map; without ``to_page`` the page is of the map's size."""
    height, width = probability.shape
    page_width, page_height = size or (width, height)
    if to_page is None:
        to_page = np.eye(3)
    return detect(PageMap("page", probability, to_page, page_width, page_height), params)


def blocks(*boxes, shape=(100, 200), values=0.9):
    """A map that is 0 but for boxes (x0, y0, x1, y1), whose values are one for all, or one for each."""
    probability = np.zeros(shape, np.float32)
    for (x0, y0, x1, y1), value in zip(boxes, np.broadcast_to(values, len(boxes)), strict=True):
        probability[y0:y1, x0:x1] = value
    return probability


@st.composite
def maps(draw):
    """Noise of any grain, blocks, holes, lines and single pixels; also maps of odd widths, empty and full ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    probability = rng.random(shape)
    grain = draw(st.sampled_from([0, 0.7, 1.5, 4]))
    if grain:
        probability = cv2.GaussianBlur(probability, (0, 0), grain).reshape(shape)
        probability = (probability - probability.min()) / max(np.ptp(probability), 1e-9)
    for _ in range(draw(st.integers(0, 6))):
        y0, y1 = np.sort(rng.integers(0, shape[0] + 1, 2))
        x0, x1 = np.sort(rng.integers(0, shape[1] + 1, 2))
        probability[y0:y1, x0:x1] = rng.choice([0.0, 0.6, 1.0])
    if draw(st.booleans()):
        return np.round(probability * 255).astype(np.uint8)
    return probability.astype(np.float32)


def rectangles_by_opencv(probability, thresh):
    """(score, rectangle of pixel centres, contour) of each component, by OpenCV's contours, one after another."""
    scale = 1
    if probability.dtype == np.uint8:
        scale = 255
    bitmap = (probability > thresh * scale).astype(np.uint8)
    contours, hierarchy = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour, links in zip(contours, [] if hierarchy is None else hierarchy[0], strict=True):
        if links[3] >= 0:
            continue
        mask = filled(contour, probability.shape)
        score = probability[mask > 0].mean(dtype=np.float64) / scale
        found.append((score, cv2.minAreaRect(contour[:, 0].astype(np.float32)), contour[:, 0]))
    return found


def filled(contour, shape):
    """A bitmap of what a contour encloses."""
    return cv2.drawContours(np.zeros(shape, np.uint8), [contour], -1, 1, cv2.FILLED)
