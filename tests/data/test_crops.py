"""Multi-crop augmentation: boxes, filters and colours against torch's own, and what must stay in step."""

from __future__ import annotations

import colorsys

import pytest
import torch
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS
from deo_bench.data.crops import (
    CropParameters,
    _blur,
    _hue,
    _operate,
    clean_views,
    draw_crops,
    make_views,
    resized_crop,
)
from deo_bench.data.view_settings import Views
from deo_bench.errors import UserError
from deo_bench.features import Images

S2 = BAND_SETS["s2_10"]
RGB = [S2.index(band) for band in BAND_SETS["rgb"]]
REST = [index for index in range(10) if index not in RGB]
COLOURS = {"jitter": 0.8, "grayscale": 0.2, "blur": [1.0, 0.1, 0.5], "solarise": [0.0, 0.2, 0.0]}


def views(**changes):
    sizes = {
        "global": {"count": 2, "size": 24, "scale": [0.4, 1.0]},
        "local": {"count": 3, "size": 12, "scale": [0.05, 0.4]},
    }
    return Views.model_validate({**sizes, **changes})


def images(batch=8, size=32, unit="reflectance", scale=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Images(torch.rand(batch, 10, size, size, generator=generator) * scale, S2, unit)


def coordinates(batch, height, width, extra=()):
    """Bands that hold their pixel's column and row, in shares of the image."""
    row = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    column = ((torch.arange(width) + 0.5) / width)[None].expand(height, width)
    return torch.stack([row, column, *[row + shift for shift in extra]]).expand(batch, -1, -1, -1).contiguous()


def same(first: CropParameters, second: CropParameters, names=("box", "flip", "factors", "grey", "sigma", "solarise")):
    pairs = zip(first.views, second.views, strict=False)
    return all(getattr(a, name).equal(getattr(b, name)) for a, b in pairs for name in names)


def test_views_come_global_first_in_their_sizes_with_bands_and_unit():
    given = images()
    made = make_views(given, draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0))
    assert [view.pixels.shape for view in made] == [(8, 10, 24, 24)] * 2 + [(8, 10, 12, 12)] * 3
    assert all((view.bands, view.unit) == (S2, "reflectance") and view.pixels.isfinite().all() for view in made)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [9, 20, 48], ids=["shrinks", "near", "grows"])
def test_a_crop_is_torchs_antialiased_resize_of_its_box(interpolation, size):
    pixels = torch.randn(6, 3, 33, 40)
    boxes = [(0, 0, 33, 40), (5, 7, 20, 11), (32, 0, 1, 40), (3, 38, 30, 2), (10, 10, 9, 9), (1, 2, 30, 37)]
    flip = torch.tensor([False, True, False, True, False, True])
    shares = torch.tensor(boxes) / torch.tensor([33, 40, 33, 40])
    made = resized_crop(pixels, shares, flip, size, interpolation)
    for image, (top, left, height, width) in enumerate(boxes):
        part = pixels[[image], :, top : top + height, left : left + width]
        expected = F.interpolate(part, size=(size, size), mode=interpolation, antialias=True)[0]
        expected = expected.flip(-1) if flip[image] else expected
        torch.testing.assert_close(made[image], expected, rtol=0, atol=5e-5)


def test_the_whole_image_at_its_own_size_stays_itself():
    pixels = torch.randn(2, 3, 16, 16)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4)
    made = resized_crop(pixels, box, torch.tensor([False, True]), 16)
    torch.testing.assert_close(made, torch.stack([pixels[0], pixels[1].flip(-1)]))


def test_every_band_shows_the_same_box():
    given = coordinates(16, 32, 32, extra=(1, 2, 3, 4, 5, 6, 7, 8))
    params = draw_crops(views(), 16, 32, 32, seed=0, step=0)
    for view in make_views(Images(given, S2, "reflectance"), params):
        for band in range(2, 10):
            torch.testing.assert_close(view.pixels[:, band] - (band - 1), view.pixels[:, 0], rtol=0, atol=2e-5)


def test_each_image_shows_its_own_box():
    params = draw_crops(views(), 16, 32, 48, seed=0, step=0)
    rows_columns = Images(coordinates(16, 32, 48), ("VV", "VH"), "reflectance")
    for view, drawn in zip(make_views(rows_columns, params), params.views, strict=True):
        top, left, height, width = drawn.box.T
        # The mean of coordinates over a box is its centre, whatever the flip and nearly so whatever the filter.
        torch.testing.assert_close(view.pixels[:, 0].mean((1, 2)), top + height / 2, rtol=0, atol=0.01)
        torch.testing.assert_close(view.pixels[:, 1].mean((1, 2)), left + width / 2, rtol=0, atol=0.01)
        rises = view.pixels[:, 1, 0, -1] > view.pixels[:, 1, 0, 0]
        assert rises.equal(~drawn.flip)
        assert len(drawn.box.unique(dim=0)) > 12


def test_boxes_follow_the_scale_the_aspect_and_the_image():
    params = draw_crops(views(), 4000, 200, 300, seed=0, step=0)
    for drawn, (low, high) in zip(params.views, [(0.4, 1)] * 2 + [(0.05, 0.4)] * 3, strict=True):
        top, left, height, width = drawn.box.double().T
        assert (top >= 0).all() and (left >= 0).all()
        assert (top + height <= 1 + 1e-6).all() and (left + width <= 1 + 1e-6).all()
        area, aspect = height * width, width * 300 / (height * 200)
        assert low * 0.97 < area.min() and area.max() < high * 1.03
        assert aspect.min() > 0.73 and aspect.max() < 1.37
        if high < 1:
            edges = torch.stack([top, left, 1 - top - height, 1 - left - width])
            assert edges.amin(1).abs().max() < 1e-6, "every edge of the image is reached"
            assert area.mean().item() == pytest.approx((low + high) / 2, abs=0.01)
            assert aspect.log().mean().item() == pytest.approx(0, abs=0.02)
            assert ((top / (1 - height)).mean().item(), (left / (1 - width)).mean().item()) == pytest.approx(
                (0.5, 0.5), abs=0.02
            )


def test_where_no_box_fits_a_central_one_is_taken():
    params = draw_crops(views(**{"global": {"count": 1, "size": 8, "scale": [1.0, 1.0]}}), 5, 20, 200, seed=0, step=0)
    expected = torch.tensor([0, (200 - 27) // 2 / 200, 1, 27 / 200])
    torch.testing.assert_close(params.views[0].box, expected.expand(5, 4))


@pytest.mark.parametrize(("flip", "low", "high"), [(0.0, 0, 0), (0.5, 0.46, 0.54), (1.0, 1, 1)])
def test_images_are_flipped_as_often_as_told(flip, low, high):
    params = draw_crops(views(flip=flip), 2000, 32, 32, seed=0, step=0)
    rates = [view.flip.double().mean().item() for view in params.views]
    assert all(low <= rate <= high for rate in rates)


def test_operations_happen_as_often_as_told():
    params = draw_crops(views(**COLOURS), 2000, 32, 32, seed=0, step=0)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])
    for view, blur, solarise in zip(params.views, [1, 0.1, 0.5, 0.5, 0.5], [0, 0.2, 0, 0, 0], strict=True):
        rates = [(view.factors != neutral).any(1), view.grey, view.sigma > 0, view.solarise]
        assert [rate.double().mean().item() for rate in rates] == pytest.approx([0.8, 0.2, blur, solarise], abs=0.04)
        assert view.sigma.max() <= 2 and view.sigma[view.sigma > 0].min() >= 0.1
        factors = view.factors[(view.factors != neutral).any(1)]
        for column, (low, high) in enumerate([(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]):
            assert low - 1e-6 <= factors[:, column].min() and factors[:, column].max() <= high + 1e-6
            assert factors[:, column].mean().item() == pytest.approx((low + high) / 2, abs=0.02)


def test_seed_and_step_are_all_that_crops_depend_on():
    outside = torch.get_rng_state()
    first = draw_crops(views(**COLOURS), 8, 32, 32, seed=1, step=5)
    torch.rand(3)
    assert same(first, draw_crops(views(**COLOURS), 8, 32, 32, seed=1, step=5))
    torch.set_rng_state(outside)
    draw_crops(views(**COLOURS), 8, 32, 32, seed=1, step=5)
    assert torch.get_rng_state().equal(outside)
    assert not same(first, draw_crops(views(**COLOURS), 8, 32, 32, seed=1, step=6), ["box"])
    assert not same(first, draw_crops(views(**COLOURS), 8, 32, 32, seed=2, step=5), ["box"])
    assert len({tuple(view.box[0].tolist()) for view in first.views}) == len(first.views)


def test_what_is_switched_on_shifts_nothing_else():
    plain = draw_crops(views(), 8, 32, 32, seed=0, step=0)
    assert same(plain, draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0), ["box", "flip"])
    fewer = draw_crops(views(local=None), 8, 32, 32, seed=0, step=0)
    assert len(fewer.views) == 2 and same(fewer, plain)
    one = draw_crops(views(jitter=0.8), 8, 32, 32, seed=0, step=0)
    assert same(one, draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0), ["factors"])


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_slices_are_the_whole(ranks):
    given, params = images(), draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0)
    share = 8 // ranks
    parts = []
    for rank in range(ranks):
        start, stop = rank * share, (rank + 1) * share
        parts.append(make_views(Images(given.pixels[start:stop], S2, "reflectance"), params.slice(start, stop)))
    for whole, *pieces in zip(make_views(given, params), *parts, strict=True):
        torch.testing.assert_close(torch.cat([piece.pixels for piece in pieces]), whole.pixels, rtol=0, atol=1e-6)


def test_crops_repeat_to_the_bit():
    given, params = images(), draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0)
    before = given.pixels.clone()
    first, second = make_views(given, params), make_views(given, params)
    assert all(a.pixels.equal(b.pixels) for a, b in zip(first, second, strict=True))
    assert given.pixels.equal(before)


def test_colours_touch_red_green_and_blue_only():
    given = images(64)
    plain = make_views(given, draw_crops(views(), 64, 32, 32, seed=0, step=0))
    params = draw_crops(views(**COLOURS), 64, 32, 32, seed=0, step=0)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])
    for before, after, drawn in zip(plain, make_views(given, params), params.views, strict=True):
        assert after.pixels[:, REST].equal(before.pixels[:, REST])
        touched = (drawn.factors != neutral).any(1) | drawn.grey | (drawn.sigma > 0) | drawn.solarise
        changed = (after.pixels != before.pixels).flatten(1).any(1)
        assert changed.equal(touched) and changed.any()
        for band in RGB:
            assert (after.pixels[touched, band] != before.pixels[touched, band]).any()


def test_colours_find_their_bands_by_name():
    given, params = images(), draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0)
    order = [7, 2, 9, 0, 1, 3, 4, 5, 6, 8]
    moved = Images(given.pixels[:, order], tuple(S2[index] for index in order), "reflectance")
    for straight, other in zip(make_views(given, params), make_views(moved, params), strict=True):
        torch.testing.assert_close(other.pixels, straight.pixels[:, order], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("dn", 1e4), ("uint8", 255 / 0.3), ("display", 1 / 0.3)])
def test_colours_do_not_depend_on_the_unit(unit, factor):
    given = images()
    other = Images(given.pixels * factor, S2, unit)
    params = draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0)
    for straight, scaled in zip(make_views(given, params), make_views(other, params), strict=True):
        torch.testing.assert_close(scaled.pixels / factor, straight.pixels, rtol=0, atol=1e-5)
        assert (scaled.unit, scaled.rgb_unit) == (unit, None)
    params = draw_crops(views(rgb_range="max", **COLOURS), 8, 32, 32, seed=0, step=0)
    for straight, scaled in zip(make_views(given, params), make_views(other, params), strict=True):
        torch.testing.assert_close(scaled.pixels[:, RGB], straight.pixels[:, RGB], rtol=0, atol=1e-5)
        torch.testing.assert_close(scaled.pixels[:, REST] / factor, straight.pixels[:, REST], rtol=0, atol=1e-5)
        assert (scaled.unit, scaled.rgb_unit) == (unit, "display")


def test_display_range_is_white_or_the_crops_own_maximum():
    bright = Images(torch.full((4, 10, 16, 16), 0.6), S2, "reflectance")
    small = {"global": {"count": 1, "size": 8, "scale": [0.5, 1]}, "local": None, "solarise": [1.0]}
    bright.pixels[:, RGB[0]] = 0.2
    pixels = {}
    for rgb_range in ("white", "max"):
        params = draw_crops(views(rgb_range=rgb_range, **small), 4, 16, 16, seed=0, step=0)
        pixels[rgb_range] = make_views(bright, params)[0].pixels[0, RGB, 0, 0]
    # Red is 0.2: two thirds of white, which turns; one third of the maximum, which stays, and stays a third.
    torch.testing.assert_close(pixels["white"], torch.tensor([0.1, 0.0, 0.0]))
    torch.testing.assert_close(pixels["max"], torch.tensor([1 / 3, 0.0, 0.0]))


def test_every_crop_is_scaled_by_its_own_maximum_even_where_no_colour_changes():
    given = images()
    for made in make_views(given, draw_crops(views(rgb_range="max"), 8, 32, 32, seed=0, step=0)):
        torch.testing.assert_close(made.pixels[:, RGB].amax((1, 2, 3)), torch.ones(8))
        assert made.pixels[:, REST].max() <= 0.3 + 1e-6
    plain = make_views(given, draw_crops(views(), 8, 32, 32, seed=0, step=0))[0].pixels[:, RGB]
    scaled = make_views(given, draw_crops(views(rgb_range="max"), 8, 32, 32, seed=0, step=0))[0].pixels[:, RGB]
    torch.testing.assert_close(scaled, plain / plain.amax((1, 2, 3), keepdim=True))


@pytest.mark.parametrize("rgb_range", ["white", "max"])
def test_clean_views_are_the_same_global_crops_without_a_change_of_colours(rgb_range):
    given = images()
    clean = clean_views(given, draw_crops(views(rgb_range=rgb_range, **COLOURS), 8, 32, 32, seed=0, step=0))
    plain = make_views(given, draw_crops(views(), 8, 32, 32, seed=0, step=0))
    assert len(clean) == 2
    assert all(a.pixels.equal(b.pixels) and a.rgb_unit is None for a, b in zip(clean, plain[:2], strict=True))


def drawn(batch=1, order=(0, 1, 2, 3), **changes):
    """Parameters of one view that do nothing but what is said."""
    view = draw_crops(views(), batch, 32, 32, seed=0, step=0).views[0]
    changed = {
        name: torch.as_tensor(value).expand(batch, *torch.as_tensor(value).shape) for name, value in changes.items()
    }
    return type(view)(
        **{**{name: getattr(view, name) for name in view.__dataclass_fields__}, **changed, "order": order}
    )


def test_colours_are_torchvisions():
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    rgb = torch.rand(1, 3, 30, 30)
    made = _operate(rgb, drawn(factors=[0.7, 1.3, 0.8, 0.07], grey=False, sigma=1.5, solarise=True, order=(2, 0, 3, 1)))
    expected = functional.adjust_brightness(functional.adjust_saturation(rgb, 0.8), 0.7)
    expected = functional.adjust_contrast(functional.adjust_hue(expected, 0.07), 1.3)
    expected = functional.solarize(functional.gaussian_blur(expected, [23, 23], [1.5, 1.5]), 0.5)
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-3)
    grey = _operate(rgb, drawn(factors=[1.0, 1.0, 1.0, 0.0], grey=True, sigma=0.0, solarise=False))
    torch.testing.assert_close(grey, functional.rgb_to_grayscale(rgb, 3), rtol=0, atol=2e-3)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.03, 0.4])
def test_hue_turns_as_in_the_standard_library(turn):
    rgb = torch.cat(
        [
            torch.rand(1, 3, 6, 6),
            torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 1.0]]).T.view(1, 3, 1, 3).expand(1, 3, 6, 3),
        ],
        3,
    )
    made = _hue(rgb, torch.full((1, 1, 1, 1), turn))[0].flatten(1).T
    for pixel, turned in zip(rgb[0].flatten(1).T.tolist(), made.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert turned == pytest.approx(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.1, 0.8, 2.0])
def test_blur_is_a_gaussian_with_mirrored_edges(sigma):
    rgb = torch.rand(2, 3, 20, 20)
    bell = torch.exp(-((torch.arange(-11, 12) / sigma) ** 2) / 2)
    kernel = (bell / bell.sum())[:, None] * (bell / bell.sum())[None]
    padded = F.pad(rgb, [11] * 4, mode="reflect")
    expected = F.conv2d(padded, kernel.expand(3, 1, 23, 23), groups=3)
    made = _blur(rgb, torch.tensor([sigma, 0.0]).view(2, 1, 1, 1))
    torch.testing.assert_close(made[0], expected[0], rtol=0, atol=2e-6)
    assert made[1].equal(rgb[1])


def test_an_image_of_finer_resolution_is_cropped_alike():
    """Coordinates in shares of the image: the fine image's crops show the same places, for those that are chosen."""
    # B02 and B04 hold row and column, B03 and B05 nothing; the fine image's blue and red hold row + 1 and column + 1.
    pixels = torch.zeros(8, 4, 32, 32)
    pixels[:, [0, 2]] = coordinates(8, 32, 32)
    sharp = torch.zeros(8, 3, 96, 96)
    sharp[:, [2, 0]] = (coordinates(8, 96, 96) + 1) / 0.3
    bands = ("B02", "B03", "B04", "B05")
    given = Images(pixels, bands, "reflectance", fine=Images(sharp, BAND_SETS["rgb"], "display"))
    params = draw_crops(views(), 8, 32, 32, seed=0, step=0)
    finer = torch.tensor([True, False, True, True, False, False, True, False])
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    for plain, made in zip(make_views(given, params), make_views(given, params, finer), strict=True):
        assert made.pixels[~finer].equal(plain.pixels[~finer]) and made.fine is None
        shift = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 4, 1, 1)
        torch.testing.assert_close(made.pixels[finer][inside], plain.pixels[finer][inside] + shift, rtol=0, atol=5e-3)
    assert clean_views(given, params, finer)[0].pixels.equal(make_views(given, params, finer)[0].pixels)


def test_colours_of_images_without_red_green_and_blue_are_refused():
    given = Images(torch.rand(2, 2, 16, 16), ("VV", "VH"), "reflectance")
    with pytest.raises(UserError, match="lack band B04, B03, B02"):
        make_views(given, draw_crops(views(jitter=0.5), 2, 16, 16, seed=0, step=0))
    assert len(make_views(given, draw_crops(views(), 2, 16, 16, seed=0, step=0))) == 5


def test_crops_of_another_batch_are_refused():
    with pytest.raises(AssertionError, match="another batch"):
        make_views(images(4), draw_crops(views(), 8, 32, 32, seed=0, step=0))


@pytest.mark.gpu
def test_a_gpu_sees_the_same_crops():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    given, params = images(), draw_crops(views(**COLOURS), 8, 32, 32, seed=0, step=0)
    there = Images(given.pixels.cuda(), S2, "reflectance")
    for here, far in zip(make_views(given, params), make_views(there, params), strict=True):
        torch.testing.assert_close(far.pixels.cpu(), here.pixels, rtol=0, atol=1e-5)
