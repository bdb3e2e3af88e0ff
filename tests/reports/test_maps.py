"""The figure of feature maps: which rows and images it shows, what it says of the others, and that it can be drawn."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.maps import MOST_ACROSS, Column, colours, maps_figure
from deo_bench.reports.figures.style import WIDTH, encode, styled
from deo_bench.reports.section import Section
from deo_bench.reports.sections.maps import sections
from deo_bench.reports.spec import ReportSpec
from deo_bench.store import Store
from deo_bench.store.maps import FeatureMaps
from tests.reports.conftest import FakeStore

DIGEST = "0badcafe"


def made(seed: int = 0, count: int = 2, **changes: object) -> FeatureMaps:
    draws = np.random.default_rng(seed)
    maps = FeatureMaps(
        maps=(draws.normal(size=(count, 4, 4, 3)) + seed).astype(np.float32),
        pictures=np.random.default_rng(7).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8),
        explained=np.array([0.4, 0.2, 0.1]) * (1 - seed / 20),
        images=np.arange(count) + 10,
        level="late",
        shown="B04, B03, B02",
        view="native size, native normalisation",
    )
    return replace(maps, **changes)  # type: ignore[arg-type]


class Shelf:
    """A store with scores and maps, and the answer that a report is made of."""

    def __init__(self, fake: FakeStore, scope: Scope) -> None:
        self.fake, self.scope, self.entries = fake, scope, list[Entry]()
        self.wanted: dict[str, list[str]] = {}

    def row(self, label: str, *maps: tuple[str, str, str, FeatureMaps | None], task: str = "cover") -> Entry:
        """A cell with a score, and its maps: bands, weights and digest of each, none for those not made."""
        entry = self.fake.cell(label, [0.5, 0.6], task)
        self.entries.append(entry)
        subject = entry.subjects[0][1]
        for bands, weights, digest, one in maps:
            stem = f"{task}.{bands}.{weights}.{digest}"
            self.wanted.setdefault(subject, []).append(stem)
            if one is not None:
                Store(self.fake.root).subject(subject).write_maps(stem, one)
        return entry

    def answer(self, **spec: object) -> Answer:
        scope = replace(self.scope, maps=self.wanted)
        return make_answer(ReportSpec(**spec), self.entries, scope, self.fake.root)  # type: ignore[arg-type]


@pytest.fixture
def shelf(fake: FakeStore, scope: Scope) -> Shelf:
    return Shelf(fake, scope)


def plain(seed: int = 0) -> tuple[str, str, str, FeatureMaps]:
    return "s2_10", "student", DIGEST, made(seed)


def titles(section: Section, number: int = 0) -> list[str]:
    """The titles above the columns of a section's figure, lines joined."""
    with styled():
        figure = section.drawings[number].draw()
    said = [text.get_text().replace("\n", " ") for text in figure.texts]
    return [text for text in said if text and "% of variance" not in text]


def test_every_row_is_a_column_beside_the_images_in_the_report_s_order(shelf: Shelf) -> None:
    for seed, label in enumerate(("none", "ema", "both")):
        shelf.row(label, plain(seed))
    colour, single = sections(shelf.answer())
    assert titles(colour) == titles(single) == ["image", "none", "ema", "both"]
    assert colour.drawings[0].name == "maps-cover" and single.drawings[0].name == "component-cover"
    assert single.shown == "folded" and colour.notes == ()
    assert titles(sections(shelf.answer(rows=("both", "n*")))[0]) == ["image", "both", "none"]


def test_the_caption_says_what_is_shown(shelf: Shelf) -> None:
    shelf.row("none", plain(0))
    shelf.row("ema", plain(4))
    colour, single = sections(shelf.answer())
    said = colour.drawings[0].caption
    for words in ("2 test images of cover", "level late", "native size, native normalisation", "B04, B03, B02.",
                  "colours are not comparable across columns", "(56 to 70 %)"):  # fmt: skip
        assert words in said
    assert "(32 to 40 %)" in single.drawings[0].caption


def test_a_task_without_red_green_and_blue_is_told(shelf: Shelf) -> None:
    shelf.row("none", ("s2_10", "student", DIGEST, made(shown="VV, VH, VH")))
    assert "bands VV, VH, VH, the first" in sections(shelf.answer())[0].drawings[0].caption


def test_bands_and_weights_are_said_where_there_are_several(shelf: Shelf) -> None:
    shelf.scope = replace(shelf.scope, bands=("s2_10", "rgb"), weights=("student", "ema"))
    shelf.row("ema", plain(0), ("rgb", "student", "1" * 8, made(1)), ("rgb", "ema", "2" * 8, made(2)))
    shelf.row("dino", ("rgb", "file", "3" * 8, made(3)))
    found = ["image", "ema, s2_10, student", "ema, rgb, student", "ema, rgb, ema", "dino, rgb"]
    assert titles(sections(shelf.answer())[0]) == found
    assert titles(sections(shelf.answer(bands=["s2_10"]))[0]) == ["image", "ema"]
    assert titles(sections(shelf.answer(weights=["ema"]))[0]) == ["image", "ema", "dino"]


def test_only_the_images_of_one_way_of_seeing_stand_in_one_figure(shelf: Shelf) -> None:
    other = made(1, view="224 px, bilinear, dataset normalisation")
    shelf.row("none", plain(0), ("s2_10", "student", "1" * 8, other))
    drawings = sections(shelf.answer())[0].drawings
    assert [drawing.name for drawing in drawings] == ["maps1-cover", "maps2-cover"]
    assert "native size" in drawings[0].caption and "224 px" in drawings[1].caption


def test_more_rows_than_fit_are_more_figures_of_about_one_size(shelf: Shelf) -> None:
    for seed in range(MOST_ACROSS + 2):
        shelf.row(f"row {seed}", plain(seed))
    section = sections(shelf.answer())[0]
    assert [len(titles(section, number)) - 1 for number in (0, 1)] == [5, 4]
    assert len({drawing.name for drawing in section.drawings}) == 2


def test_what_is_not_there_is_said_and_a_torn_file_is_named(shelf: Shelf) -> None:
    shelf.row("none", plain())
    shelf.row("later", ("s2_10", "student", DIGEST, None))
    shelf.row("pooled", ("s2_10", "student", DIGEST, FeatureMaps.none("late", "it has pooled vectors alone")))
    torn = shelf.row("torn", plain(2))
    name = f"{torn.subjects[0][1]}/maps/cover.s2_10.student.{DIGEST}.npz"
    path = shelf.fake.root / name
    path.write_bytes(path.read_bytes()[:-40])
    answer = shelf.answer()
    colour, _ = sections(answer)
    assert titles(colour) == ["image", "none"]
    assert colour.notes == ("Not shown (not made yet): later.", "Not shown (pooled vectors alone): pooled.")
    (said,) = [line for line in answer.problems if "maps" in line]
    assert said.startswith(f"{name}: not used, torn or foreign")


def test_other_maps_that_lie_there_are_not_looked_at(shelf: Shelf) -> None:
    entry = shelf.row("none", plain())
    Store(shelf.fake.root).subject(entry.subjects[0][1]).write_maps("cover.rgb.student.ffffffff", made(3))
    assert titles(sections(shelf.answer())[0]) == ["image", "none"]


def test_without_maps_there_is_no_section(shelf: Shelf) -> None:
    shelf.row("none")
    answer = shelf.answer()
    assert sections(answer) == [] and answer.problems == []
    shelf.row("later", ("s2_10", "student", DIGEST, None))
    answer = shelf.answer()
    assert sections(answer) == [] and "none is there; `deo-bench run` makes them" in answer.problems[0]


def test_colours_are_stretched_over_the_backbone_s_own_images() -> None:
    maps = np.zeros((2, 10, 10, 3))
    maps[..., 0] = np.arange(200).reshape(2, 10, 10)
    maps[..., 1] = -1000 * maps[..., 0] + 3
    shown = colours(maps)
    assert shown.shape == maps.shape and shown.min() == 0 and shown.max() == 1
    assert_allclose(shown[0, 5, 0], [(50 - 3.98) / 191.04, 1 - (50 - 3.98) / 191.04, 0.5], atol=1e-9)
    assert_array_equal(colours(maps, first_only=True), shown[..., 0])


def draw(first_only: bool = False) -> bytes:
    columns = {label: Column(made(seed).maps, made(seed).explained) for seed, label in enumerate("ab")}
    return encode(lambda: maps_figure(made().pictures, columns, first_only), "png")


def test_the_images_come_first_and_each_cell_is_one_flat_square_of_its_colour() -> None:
    pixels = imread(io.BytesIO(draw()))[..., :3]
    assert pixels.shape[1] == round(WIDTH * 200)
    columns = np.flatnonzero((pixels < 0.999).any((0, 2)))
    # The first picture's first row of eight pixels, then the first map's first row of four cells.
    is_picture = (pixels[:, columns[0] : columns[0] + 9] < 1).any(-1).all(-1)
    edge = int(np.flatnonzero(is_picture)[0])
    start, side = columns[0], round(1.35 * 200)
    picture, maps = made(0).pictures[0], colours(made(0).maps)[0]
    for place in range(8):
        middle = start + round((place + 0.5) * side / 8)
        assert_allclose(pixels[edge + 16, middle], picture[0, place] / 255, atol=0.01)
    for place in range(4):
        middle = start + side + 10 + round((place + 0.5) * side / 4)
        assert_allclose(pixels[edge + 30, middle], maps[0, place], atol=0.01)


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (16, 16)])
def test_one_image_and_sixteen_fit_on_a_page(count: int, rows: int) -> None:
    with styled():
        kept = made(0, count)
        figure = maps_figure(kept.pictures, {"a": Column(kept.maps, kept.explained)})
    assert len(figure.axes) == 2 * rows and figure.get_figheight() < 9


def test_titles_stay_above_their_own_column() -> None:
    labels = [f"objective.expand.weight=0.{place}, teachers.optical.use=dinov3_vitb16_sat493m" for place in range(7)]
    kept = made()
    with styled():
        figure = maps_figure(kept.pictures, {label: Column(kept.maps, kept.explained) for label in labels})
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [text.get_window_extent(renderer) for text in figure.texts if "weight" in text.get_text()]
        top = figure.bbox.height
    assert len(boxes) == 7
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0 + 2 and left.y1 <= top
    assert boxes[-1].x1 <= figure.bbox.width + 1


def test_the_same_maps_are_the_same_bytes_and_one_component_needs_no_colour() -> None:
    assert draw() == draw() != draw(first_only=True)
    grey = imread(io.BytesIO(draw(first_only=True)))[..., :3].mean(-1)
    assert grey.std() > 0.05
