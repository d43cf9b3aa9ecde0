import numpy as np
import pytest

from hmean.data.photometric import Photometric


def test_defaults_change_nothing(rng):
    image = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(Photometric()(image, rng), image)


def test_photometric_is_a_function_of_its_generator(rng):
    image = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    before = image.copy()
    every = Photometric(
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1,
        p_noise=1,
        p_blur=1,
        p_sharpen=1,
        p_jpeg=1,
        p_gray=0.5,
        p_shadow=1,
        p_fog=1,
        p_fade=1,
        p_crease=1,
        p_stain=1,
        p_light=1,
        p_faint=1,
        p_gamma=1,
        p_invert=0.5,
        p_motion=1,
        p_small=1,
        p_dark=1,
        p_specks=1,
    )
    a, b = (every(image, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a, b)
    assert a.dtype == np.uint8
    assert a.shape == image.shape
    assert not np.array_equal(a, image)
    assert np.array_equal(image, before)


def test_each_colour_change_is_what_it_is_called(rng):
    """Against torchvision's, but for hue: a turn about luma instead of one in HSV."""
    torch = pytest.importorskip("torch")
    from torchvision.transforms.v2 import functional as tv

    image = rng.integers(60, 190, (32, 32, 3), dtype=np.uint8)  # nothing is cut off at 0 or 255
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    kinds = {"brightness": tv.adjust_brightness, "contrast": tv.adjust_contrast, "saturation": tv.adjust_saturation}
    for place, (name, theirs) in enumerate(kinds.items()):
        ours = Photometric(**{name: 0.3})(image, np.random.default_rng(5))
        draws = np.random.default_rng(5)
        draws.random(4)
        factor = draws.uniform(1 - 0.3 * np.eye(3)[place], 1 + 0.3 * np.eye(3)[place])[place]
        assert factor != 1
        expected = theirs(tensor, factor).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(ours - expected).max() <= 2
    grey = Photometric(p_gray=1, p_color=0)(image, rng)
    assert np.abs(grey.astype(int) - tv.rgb_to_grayscale(tensor, 3).permute(1, 2, 0).numpy()).max() <= 1
    image = rng.integers(100, 150, (32, 32, 3), dtype=np.uint8)
    turned = Photometric(hue=0.2)(image, np.random.default_rng(5))
    assert np.abs(turned.astype(int) - image).mean() > 5
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs((turned - image.astype(float)) @ luma).max() < 1.5
    flat = np.full((8, 8, 3), 77, np.uint8)
    assert np.array_equal(Photometric(hue=0.5, saturation=1)(flat, rng), flat)


def test_noise_has_the_spread_that_was_drawn(rng):
    image = np.full((200, 200, 3), 128, np.uint8)
    spreads = [Photometric(p_noise=1, noise=0.2)(image, rng).astype(float).std() / 255 for _ in range(200)]
    assert max(spreads) == pytest.approx(0.2, abs=0.01)
    assert np.mean(spreads) == pytest.approx(0.1, abs=0.015)


NEW = ("fade", "crease", "stain", "light", "faint", "gamma", "invert", "motion", "small", "dark", "specks")


@pytest.mark.parametrize("name", NEW)
def test_each_change_acts_where_it_is_asked_for(name, rng):
    image = rng.integers(0, 255, (90, 110, 3), dtype=np.uint8)
    assert not np.array_equal(Photometric(**{f"p_{name}": 1})(image, rng), image)


def test_changes_without_a_probability_draw_nothing(rng):
    """So the views of presets that do not name them are those of earlier versions: eight draws, and no more."""
    image = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    drawn, counted = np.random.default_rng(4), np.random.default_rng(4)
    Photometric()(image, drawn)
    counted.random(8)
    assert drawn.random() == counted.random()
