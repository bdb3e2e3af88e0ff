"""Heat maps: readable numbers, honest shades, hatches where nothing is, and the same bytes every time."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from deo_bench.reports.figures import heat
from deo_bench.reports.figures.heat import Panel, heat_map, most_panels
from deo_bench.reports.figures.style import DOTS_PER_INCH, encode, styled

NAMES, LEVELS = ("spectral", "optical"), (("none", "ema"), ("none", "tiny"))


def panel(values: list[list[float]], half: float = 0.01, sign: int = 1) -> Panel:
    table = np.array(values)
    gains = table - table[0, 0]
    gains[0, 0] = np.nan
    return Panel(("cover", "accuracy", "n = 120"), table, np.full(table.shape, half), gains, sign)


def drawn(*panels: Panel) -> Figure:
    with styled():
        return heat_map(panels, NAMES, LEVELS)


def shades(figure: Figure, place: int = 0) -> np.ndarray:
    return np.asarray(figure.axes[place].images[0].get_array())


def test_numbers_intervals_and_differences_are_printed() -> None:
    texts = [text.get_text() for text in drawn(panel([[0.40, 0.50], [0.60, 0.945]])).axes[0].texts]
    assert texts == ["40.0 ±1.0", "50.0 ±1.0", "+10.0", "60.0 ±1.0", "+20.0", "94.5 ±1.0", "+54.5"]


def test_where_there_is_no_score_the_cell_is_hatched_and_says_so() -> None:
    axes = drawn(panel([[0.4, 0.5], [0.6, np.nan]])).axes[0]
    hatched = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(0.5, 0.5)]
    assert [text.get_text() for text in axes.texts][-1] == "no score"


def test_the_best_is_brightest_whichever_way_is_better() -> None:
    np.testing.assert_allclose(shades(drawn(panel([[0.4, 0.5], [0.6, 0.8]]))), [[0, 0.25], [0.5, 1]], atol=1e-9)
    np.testing.assert_allclose(
        shades(drawn(panel([[0.4, 0.5], [0.6, 0.8]], sign=-1))), [[1, 0.75], [0.5, 0]], atol=1e-9
    )


def test_what_lies_within_an_interval_looks_alike() -> None:
    """Half a point of difference under intervals of eight: a sixteenth of the scale."""
    found = shades(drawn(panel([[0.500, 0.505], [0.5025, 0.5025]], half=0.04)))
    np.testing.assert_allclose(found, [[0.46875, 0.53125], [0.5, 0.5]], atol=1e-9)
    np.testing.assert_allclose(shades(drawn(panel([[0.5, 0.5], [0.5, 0.5]], half=0))), 0.5)


def test_print_is_readable_on_every_shade() -> None:
    """The contrast of WCAG 2, level AA: 4.5 for small type."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for shade in np.linspace(0, 1, 101):
        colour = mpl.colormaps[heat._MAP](shade)
        ink = 1.0 if heat._ink(colour) == "white" else 0.0
        bright, dark = sorted([luminance(colour), ink], reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, shade


@pytest.mark.parametrize(("levels", "panels"), [((3, 2), 12), ((12, 12), 1), ((2, 9), 3), ((5, 4), 12)])
def test_numbers_stay_inside_their_cells_and_a_page_is_a_page(levels: tuple[int, int], panels: int) -> None:
    names = tuple(tuple(f"a_long_name_{i}" for i in range(count)) for count in levels)
    one = Panel(("cover", "micro-mAP", "n = 1,000"), np.full(levels, 0.888), np.full(levels, 0.111), np.zeros(levels))
    count = min(most_panels((names[0], names[1])), panels)
    with styled():
        figure = heat_map([one] * count, NAMES, (names[0], names[1]))
        figure.set_dpi(DOTS_PER_INCH)
        FigureCanvasAgg(figure).draw()
        assert figure.get_size_inches()[1] <= 10
        axes = figure.axes[0]
        width = axes.get_window_extent().width / levels[1]
        assert max(text.get_window_extent().width for text in axes.texts) < width
        assert ("±" in axes.texts[0].get_text()) == (levels[1] < 10), "intervals go only where no page would hold them"
        labels = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(left.x1 <= right.x0 for left, right in pairwise(labels))


def test_the_same_scores_give_the_same_bytes() -> None:
    draw = partial(heat_map, (panel([[0.4, 0.5], [0.6, np.nan]]),), NAMES, LEVELS)
    for form in ("png", "svg", "pdf"):
        assert encode(draw, form) == encode(draw, form)  # type: ignore[arg-type]
