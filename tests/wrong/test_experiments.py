"""Wrong experiment files, recipes, grids, overrides: each is one line that names the place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wrong.typed import PLAN, TINY, refused

FILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "syntax": (TINY.replace("[0]", "[0,, 1]", 1), ("tiny.toml: not valid TOML", "line 3, column 12")),
    "a table twice": (TINY + "\n[train]\nsteps = 2\n", ("not valid TOML", "('train',) twice", "line 51, column 7")),
    "binary": (bytes(range(256)), ("tiny.toml: is no TOML file", "byte 128")),
    "other encoding": ('title = "é"'.encode("utf-16"), ("tiny.toml: is no TOML file", "byte 0")),
    "null bytes": (TINY.encode() + b"\x00", ("tiny.toml: not valid TOML", "line 50")),
    "empty": (b"", ("tiny.toml", "needs a table [data] with use")),
    "nested in the sky": ("a = " + "[" * 5000 + "]" * 5000, ("tiny.toml: nested too deeply",)),
    "deep": ("a = " + "[" * 30 + "]" * 30, ("tiny.toml: a.0.0.0…", "more than 16 deep")),
    "dots without end": (f"{'.'.join('a' * 3000)} = 1", ("tiny.toml: a.a.a.a…", "more than 16 deep")),
    "digits": ("seeds = [" + "9" * 5000 + "]", ("tiny.toml: ", "thousands of digits")),
    "hex digits": ("seeds = [0x" + "f" * 5000 + "]", ("tiny.toml: seeds.0", "more than 64 bits")),
    "date": (
        TINY.replace("[train]\n", "[train]\nlr_end = 1979-05-27\n"),
        ("train.lr_end: a date or time, 1979-05-27",),
    ),
    "unknown key": ("seedz = [1]\n" + TINY, ("tiny.toml: unknown key 'seedz'", "did you mean 'seeds'?")),
    "unknown table": (TINY + "\n[trane]\nsteps = 2\n", ("unknown key 'trane'", "did you mean 'train'?")),
    "no recipe there": ('recipe = "gone.toml"\n' + TINY, ("gone.toml: there is no such file",)),
    "recipe is a folder": ('recipe = "data"\n' + TINY, (": is a folder; name the TOML file in it",)),
    "recipe is a number": ("recipe = 3\n" + TINY, ("tiny.toml: recipe: has to be a text, got 3",)),
    "recipe is itself": ('recipe = "tiny.toml"\n' + TINY, ("without end: tiny.toml -> tiny.toml",)),
    "recipe is an experiment": (
        'recipe = "other.toml"\n' + TINY,
        ("other.toml: 'seeds' belongs in an experiment", "data"),
    ),
    "recipes go round": (
        'recipe = "a.toml"\n' + TINY,
        ("tiny.toml: recipe", "without end", "a.toml -> b.toml -> a.toml"),
    ),
    "recipe with a typo": (
        'recipe = "typo.toml"\n' + TINY,
        ("typo.toml: unknown table 'trian'", "did you mean 'train'?"),
    ),
    "recipe with syntax": ('recipe = "broken.toml"\n' + TINY, ("broken.toml: not valid TOML", "line 1, column 7")),
    "recipe of a recipe": ('recipe = "number.toml"\n' + TINY, ("number.toml: expected a path, got 3",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file(folder: Path, name: str) -> None:
    text, said = FILES[name]
    (folder / "tiny.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "other.toml").write_text(TINY)
    (folder / "a.toml").write_text('recipe = "b.toml"')
    (folder / "b.toml").write_text('recipe = "a.toml"')
    (folder / "typo.toml").write_text("[trian]\nsteps = 3\n")
    (folder / "broken.toml").write_text("[train\n")
    (folder / "number.toml").write_text("recipe = 3\n")
    refused(PLAN, said, folder / "runs")


SETS: list[tuple[str, tuple[str, ...]]] = [
    # How an override is written
    ("train.steps", ("--set 'train.steps'", "expected a.b=c")),
    ("=3", ("--set '=3'", "is no dotted path such as")),
    ("a..b=1", ("'a..b' is no dotted path such as",)),
    ("a." * 40 + "b=1", ("--set", "is no dotted path such as")),
    ("train=3", ("tiny.toml: train: expected a table, got 3",)),
    ("train.steps.deep=3", ("train.steps: has to be an integer, got {'deep': 3}",)),
    ("student.bands.x=1", ("student.bands: expected a name or a list of names, got {'x': 1}",)),
    ("train.steps=99999999999999999999", ("--set", "an integer of more than 64 bits")),
    # Numbers of training
    ("train.steps=few", ("tiny.toml: train.steps: has to be a number, got 'few'",)),
    ("train.steps=1.5", ("train.steps: has to be an integer, got 1.5",)),
    ("train.steps=-1", ("train.steps: has to be greater than or equal to 0, got -1",)),
    ("train.steps=true", ("train.steps: has to be a number, got True",)),
    ('train.steps="5"', ("train.steps: has to be a number, got '5'",)),
    ("train.steps=nan", ("train.steps: has to be a finite number, got nan",)),
    ("train.batch=1", ("train.batch: has to be greater than or equal to 2, got 1",)),
    ("train.batch=400", ("train.batch: 400 is more than the 24 images", "say that or less")),
    ("train.lr=0", ("train.lr: has to be greater than 0, got 0",)),
    ("train.lr=inf", ("train.lr: has to be a finite number, got inf",)),
    ("train.betas=[2, 3]", ("train.betas.0: has to be less than 1, got 2",)),
    ("train.betas=[nan, 0.9]", ("train.betas.0: has to be a finite number, got nan",)),
    ("train.weight_decay=[1]", ("train.weight_decay.1: lacks a value",)),
    ("train.weight_decay=[-1, 0]", ("train.weight_decay.0: has to be greater than or equal to 0",)),
    ("train.precision=fp32", ("train.precision: has to be '32-true', 'bf16-mixed' or '16-mixed', got 'fp32'",)),
    ("train.stepz=3", ("train.stepz: unknown key", "did you mean 'steps'?")),
    # Views
    ("views.globl.size=3", ("views.globl: unknown key", "did you mean 'global'?")),
    ("views.global.siez=3", ("views.global.siez: unknown key", "did you mean 'size'?")),
    ("views.global.size=0", ("views.global.size: has to be greater than or equal to 1, got 0",)),
    ("views.global.scale=[0.9, 0.1]", ("views.global: scale goes from low to high", "[0.9, 0.1]")),
    ("views.local.size=8", ("views.local.count: is missing",)),
    ("views.brightness=inf", ("views.brightness: has to be a finite number, got inf",)),
    ("views.blur=[0, 0, 0, 0]", ("views: blur has 4 probabilities for 2 views",)),
    # Student and stem
    ("student=vit_tiny", ("student: expected a table with use = … and bands = […], got 'vit_tiny'",)),
    ("student.use=vit_nan", ("student.use: unknown student 'vit_nan'", "did you mean 'vit_nano'?")),
    ("student.use=3", ("student.use: expected the name of a student, got 3",)),
    ("student.wdith=3", ("student.wdith: student 'vit_nano' has no option 'wdith'", "did you mean 'width'?")),
    ("student.width=0", ("student.width: has to be greater than or equal to 1", "got 0")),
    ("student.drop_path=nan", ("student.drop_path: has to be a finite number",)),
    ("student.bands=[]", ('student.bands: name the band sets that the student is fed, such as ["s2_10", "rgb"]',)),
    ("student.bands=s2_11", ("student.bands: unknown band set 's2_11'", "did you mean 's2_1")),
    ('student.bands=["rgb", "rgb"]', ("student.bands: 'rgb' is there twice",)),
    ('student.bands=["s2_13", "rgb"]', ("student.bands: the images of data 'npz' lack B01, B09, B10", "they have B02")),
    ("student.stem=dul", ("student.stem.use: unknown stem 'dul'", "did you mean 'dual'?")),
    ("student.stem.dim=3", ("student.stem.use: expected the name of a stem; there is none",)),
    # Teachers
    ("teachers=3", ("[teachers] holds named tables such as [teachers.NAME], got 3",)),
    ("teachers.spectral=emma", ("teachers.spectral.use: unknown teacher 'emma'", "did you mean 'ema'?")),
    ("teachers.spectral.start=2", ("teachers.spectral.start: has to be less than or equal to 1", "got 2")),
    ("teachers.student=ema", ("teachers.student: 'student' has a meaning of its own", "call the role something else")),
    ("teachers.spectral.use=image_stats", ("teachers.spectral.use: 'image_stats' is a baseline", "deo-bench list")),
    ('teachers."a b"=ema', ("teachers.",)),
    # Heads, terms, balance
    ("heads=3", ("[heads] holds named tables such as [heads.NAME], got 3",)),
    ("heads.views=3", ("heads.views: a shared head needs width = …",)),
    ("heads.views.width=1.5", ("heads.views.width: has to be an integer, got 1.5",)),
    ("heads.views.use=mpl", ("heads.views.use: unknown head 'mpl'", "did you mean 'mlp'?")),
    ("objective.compress=mse", ("objective.compress: expected a table with loss = …, got 'mse'",)),
    ("objective.compress.loss=compresion", ("objective.compress.loss: unknown loss", "did you mean 'compression'?")),
    ("objective.compress.toward=spectrall", ("toward: unknown role 'spectrall'", "did you mean 'spectral'?")),
    ("objective.compress.toward=[]", ("objective.compress.toward: loss 'compression' needs a target",)),
    ('objective.compress.toward=["spectral", "spectral"]', ("toward: 'spectral' is there twice",)),
    ("objective.compress.weight=nan", ("objective.compress.weight: has to be a finite number, got nan",)),
    ("objective.compress.weight=heavy", ("objective.compress.weight: has to be a number, got 'heavy'",)),
    ("objective.compress.weight={start=0}", ("objective.compress.weight.end: is missing",)),
    ("objective.compress.weight={start=0, end=nan}", ("objective.compress.weight.end: has to be a finite number",)),
    (
        "objective.compress.pairs=nonsense",
        ("objective.compress.pairs: has to be 'cross', 'same' or 'all', got 'nonsense'",),
    ),
    ("objective.compress.sees=rgbb", ("objective.compress.sees: the student is fed no 'rgbb'", "did you mean 'rgb'?")),
    ("objective.compress.target_sees=rgbb", ("target_sees: unknown band set 'rgbb'", "did you mean 'rgb'?")),
    ("objective.compress.on=late", ("objective.compress.on: loss 'compression' takes pooled", "say on = ")),
    (
        'objective.compress.on=["default", "late"]',
        ("objective.compress.on: pooled vectors and maps", "a term for each"),
    ),
    ("objective.compress.on=[]", ("objective.compress.on: an empty list; say on = ",)),
    ("objective.compress.target_on=[]", ("objective.compress.target_on: as many places as in `on` (1), got 0",)),
    ("objective.compress.head=viewz", ("objective.compress.head: unknown head 'viewz'", "did you mean 'views'?")),
    ("objective.compress.head=3", ("objective.compress.head: unknown head 3", "none, views")),
    (
        "objective.compress.target=channel_sd",
        ("target.use: unknown target 'channel_sd'", "did you mean 'channel_std'?"),
    ),
    ("objective.compress.epz=1", ("objective.compress.epz: loss 'compression' has no option 'epz'",)),
    (
        'objective.m={loss="queue_kl", toward="spectral", on=["default", "mean"]}',
        ("objective.m.on: loss 'queue_kl' remembers", "a term for each level"),
    ),
    (
        'objective.m={loss="dino_dual_center", toward="spectral"}',
        ("objective.m: loss 'dino_dual_center' needs groups", "train.clusters = 8"),
    ),
    ("views.fine=0.5", ("views.fine: data 'npz' has no finer images", "leave it out, or say 0")),
    ("train.clusters=1", ("train.clusters: has to be",)),
    ("objective.expand.eps=nan", ("objective.expand.eps: has to be",)),
    ("balance=fixd", ("balance.use: unknown balance 'fixd'", "did you mean 'fixed'?")),
    # Data
    ("data=geobensh", ("data.use: unknown data 'geobensh'", "did you mean 'geobench'?")),
    ("data.paths=tiny.npz", ("data.paths: has to be a list", "got 'tiny.npz'")),
    ("data.paths=[]", ("tiny.toml: cell weight=0.0: data npz: paths is empty; say paths = ",)),
    ('data.paths=["gone.npz"]', ("npz file 'gone.npz'", "is not there; put it under data", "--skip-missing")),
    ("data.unit=kelvin", ("data/tiny.npz: unknown unit 'kelvin'", "dn, reflectance, uint8, display")),
    ("data.patch=999", ("patch = 999 is larger than its images (16 x 16)",)),
    ('data={use="geobench"}', ("data: data 'geobench' needs names = …",)),
    ('data={use="scenes", count=4}', ("train.batch: 8 is more than the 4 images",)),
    # What is scored
    ("seeds=[]", ("tiny.toml: seeds: has to have 1 or more values, got []",)),
    ("seeds=[-1]", ("seeds.0: has to be greater than or equal to 0, got -1",)),
    ("seeds=[0.5]", ("seeds.0: has to be an integer, got 0.5",)),
    ("seeds=[4294967296]", ("seeds.0: has to be less than 4294967296",)),
    ("seeds=[0, 1, 0]", ("seeds: 0 is there twice; say it once",)),
    ('tasks="tiny"', ("tiny.toml: tasks: has to be a list, got 'tiny'",)),
    ('tasks=["m-eurosta"]', ("tasks.use: unknown task 'm-eurosta'", "did you mean 'm-eurosat'?")),
    ('tasks=["m-eurosat"]', ("task m-eurosat: GEO-Bench data set 'm-eurosat'", "download it", "--skip-missing")),
    ('tasks=[{use="npz"}]', ("tasks: task 'npz' needs path = …",)),
    ('tasks=[{use="npz", path="tiny.npz", name="a b", unit="dn"}]', ("tasks.name: 'a b' is no name for a task",)),
    (
        'tasks=[{use="npz", path="tiny.npz", name="t"}, {use="npz", path="tiny.npz", name="x/t"}]',
        ("tasks", "'t' is there twice"),
    ),
    ('tasks=[{use="npz", path="tiny.npz", unit="dn", groups="plaze"}]', ("groups = 'plaze'", "did you mean 'place'?")),
    ("protocols=[]", ("protocols: has to have 1 or more values",)),
    ("protocols=[3]", ("protocols: expected a name or a table with use = …, got 3",)),
    ('protocols=["scenes-v2"]', ("protocols: unknown protocol 'scenes-v2'", "did you mean 'scenes-v1'?")),
    ('protocols=[{use="scenes-v1", siez=3}]', ("protocols.siez: protocol 'scenes-v1' has no option", "'size'?")),
    ('protocols=[{use="scenes-v1", size=0}]', ("protocols.size: has to be greater than or equal to 1, got 0",)),
    ('protocols=[{use="scenes-v1", pooling="maxx"}]', ("protocols.pooling: unknown pooled vector 'maxx'", "mean")),
    ('protocols=[{use="scenes-v1", metrics={single="acc"}}]', ("metrics.single: unknown metric 'acc'", "accuracy")),
    ('protocols=[{use="scenes-v1", probes={knn5_l2={k=0}}}]', ("protocols.probes.knn5_l2.k: has to be greater",)),
    (
        'protocols=[{use="scenes-v1", probes={x={use="knnn"}}}]',
        ("probes.x: unknown probe 'knnn'", "did you mean 'knn'?"),
    ),
    ('protocols=[{use="scenes-v1", probes={"a/b"={use="knn"}}}]', ("'a/b' is no name for a probe",)),
    ('bands=["rgbb"]', ("tiny.toml: bands: unknown band set 'rgbb'", "did you mean 'rgb'?")),
    ('bands=["s2_13"]', ("tiny.toml: bands: task 'tiny' has no 's2_13'; it has B02",)),
    ('bands=["hls_6"]', ("tiny.toml: bands: no student is fed 'hls_6'", "rgb, s2_10")),
    ('weights=["studnt"]', ("tiny.toml: weights.0: has to be 'student' or 'ema', got 'studnt'",)),
    ("score_at=[99]", ("tiny.toml: score_at: no run reaches step 99; the longest ends at 2",)),
    ('partitions=["1.00x"]', ("partitions: task 'tiny': unknown partition '1.00x'", "default")),
    ('baselines=["majorty"]', ("baselines: unknown baseline 'majorty'", "did you mean 'majority'?")),
    ('baselines=["ema"]', ("baselines: 'ema' follows a student", "weights = ['ema']")),
    ('baselines=["run"]', ("tiny.toml: baseline run", "run = the name of a stored run")),
    ('baselines=["majority", "majority"]', ("2 rows of the table are called 'majority class'",)),
    ('baselines=[{use="majority", x=1}]', ("baselines: 'majority' has no options",)),
    ('baselines=[{use="timm", model="resnet55.a1"}]', ("timm has no model", "the nearest are resnet")),
    ('baselines=[{use="timm", model="resnet18.a1_in1k"}]', ("hf download timm/resnet18.a1_in1k",)),
    ('baselines=["dinov2_vitb14"]', ("baseline dinov2_vitb14", "hf download timm/vit_base_patch14_dinov2")),
    # Grids
    ("grid=3", ("tiny.toml: grid: has to be a table, got 3",)),
    ("grid.x.y=[1]", ("tiny.toml: unknown table [x]", "train, views")),
    ("grid.train.steps=3", ("tiny.toml: grid.train.steps: expected a list of values, got 3",)),
    ("grid.train.steps=[]", ("tiny.toml: grid.train.steps: expected a list of values, got []",)),
    ("grid.train.steps=[1, 1]", ("two cells are called 'weight=0.0, steps=1'", "a name of its own")),
    ("grid.train.stepz=[1]", ("train.stepz: unknown key", "did you mean 'steps'?")),
    ("grid.objective.gone.weight=[1]", ("objective.gone.loss: expected the name of a loss; there is none",)),
    ("zip=[{}]", ("tiny.toml: zip: an empty table",)),
    ("zip=[{train={steps=[1, 2], batch=[8]}}]", ("zip: lists of one length", "train.steps has 2, train.batch has 1")),
    ("cells=[{}]", ("tiny.toml: cells.0.name: is missing",)),
    ('cells=[{name=""}]', ("tiny.toml: cells.0.name: is empty",)),
    ('cells=[{name="a", seeds=[]}]', ("tiny.toml: cells.0.seeds: has to have 1 or more values",)),
    ('cells=[{name="a", seeds=[1, 1]}]', ("cells, a: seeds: 1 is there twice",)),
    ('cells=[{name="a"}, {name="a"}]', ("two cells are called 'a'",)),
    ('cells=[{name="untrained", train={lr=0.1}}]', ("2 rows of the table are called 'untrained'",)),
    ("exclude=[{}]", ("tiny.toml: the grid has no cells left; see exclude",)),
    ("exclude=[{objective={expand={wieght=0}}}]", ("exclude: 'objective.expand.wieght' is no path", "expand.weight'?")),
]


@pytest.mark.parametrize(("override", "said"), SETS, ids=[override[:60] for override, _ in SETS])
def test_a_wrong_override(folder: Path, override: str, said: tuple[str, ...]) -> None:
    refused((*PLAN, "--set", override), said, folder / "runs")


def test_a_grid_of_more_cells_than_anybody_reads(folder: Path) -> None:
    words = [word for key in ("steps", "batch", "lr") for word in ("--set", f"grid.train.{key}={list(range(2, 42))}")]
    refused((*PLAN, *words), ("tiny.toml: grid: 128,000 cells", "split it"), folder / "runs")


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("", "--seeds '': expected numbers such as 0,1,2"),
        ("a", "--seeds 'a'"),
        ("0,,1", "--seeds '0,,1'"),
        ("1.5", "--seeds '1.5'"),
        ("-1", "seeds.0: has to be greater than or equal to 0, got -1"),
        ("0,0", "seeds: 0 is there twice"),
        ("9" * 30, "seeds.0: has to be less than 4294967296"),
    ],
)
def test_wrong_seeds(folder: Path, seeds: str, said: str) -> None:
    refused((*PLAN, f"--seeds={seeds}"), (said,), folder / "runs")
