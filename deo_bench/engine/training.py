"""One run in the making: its student, the teachers that follow it, its objective and its optimiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from deo_bench.draws import global_seed
from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.collapse import Spread, spread_of
from deo_bench.engine.frozen import FrozenTeachers, look, normalisation_for, roles_and_terms, target_sees, views_for
from deo_bench.engine.objective import Objective
from deo_bench.engine.passes import ViewFeatures, Views, draw_modality
from deo_bench.features import POOLED
from deo_bench.losses import Batch
from deo_bench.recipe import Recipe
from deo_bench.registry import Registry
from deo_bench.schedules import Schedule
from deo_bench.teachers import Moment, Teacher


class NotFinite(ArithmeticError):
    """A loss that is not a finite number: its run stops with the step and the term, the rest of its cohort goes on."""


@dataclass
class Report:
    """What one step of a run was: the terms' losses, what was minimised, the learning rate, the features' spread."""

    step: int
    terms: dict[str, float]
    total: float
    lr: float
    is_measured: bool = False
    spread: Spread | None = None


class Training:
    """A run between steps. `teachers` are all of its teachers; those that follow the student are its own.

    `is_whole` is false within a step: a state taken then would be half a step's, and is never saved.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        statistics: Statistics,
        frozen: FrozenTeachers,
        registry: Registry,
        device: torch.device,
    ) -> None:
        self.recipe, self.seed, self.frozen = recipe, seed, frozen
        self.step = 0
        self.is_whole = True
        self.student = build_student(recipe.student, statistics, registry, seed, frozen.get).to(device)
        self.teachers: dict[str, Teacher] = {}
        for role, table in recipe.teachers.items():
            if registry.get("teacher", table.use).facts.get("needs") == "student":
                teacher: Teacher = registry.build("teacher", table.use, self.student, options=table.options)
            else:
                teacher = frozen.get(table)
            self.teachers[role] = teacher.freeze().to(device)
        self.objective = Objective(recipe, self.student, self.teachers, registry, seed).to(device)
        for teacher in self.teachers.values():
            teacher.to(device)  # again, for the heads that it has copied meanwhile
        frozen.expect(recipe, self.teachers)
        for role, _, term in roles_and_terms(recipe):
            teacher = self.teachers[role]
            normalisation_for(recipe.teachers[role], teacher, target_sees(term, teacher), self.student)
        self.fabric = Fabric(accelerator=device.type, devices=1, precision=recipe.train.precision)
        self.optimiser = make_optimiser(recipe, self.trained())
        # Half precision loses small gradients: the loss is scaled up, and the gradients down again before the clip.
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.train.precision == "16-mixed")
        self.untouched: set[str] = set(self.student.band_sets)

    def trained(self) -> dict[str, nn.Parameter]:
        """Every parameter that trains, by name: the student's, the heads', the losses'."""
        student = {f"student.{name}": value for name, value in self.student.named_parameters()}
        objective = {f"objective.{name}": value for name, value in self.objective.named_parameters()}
        return {name: value for name, value in {**student, **objective}.items() if value.requires_grad}

    def advance(
        self,
        views: Mapping[str, Views],
        index: Tensor,
        groups: Tensor | None,
        measure: bool,
        epochs: int = 0,
        ends_epoch: bool = False,
    ) -> Report:
        """One step on a batch's views: passes, terms, backward, clip, optimiser, teachers follow.

        epochs: how many have ended once the step is done; ends_epoch: whether one ends with it.
        """
        settings, step = self.recipe.train, self.step
        self.is_whole = False
        self.student.train()
        self.objective.train()
        lr = self._set_schedules(step)
        batch = Batch(index, (), groups, step=step, progress=step / max(settings.steps, 1))
        with self.fabric.autocast():
            targets = self._targets(views)
            losses = self.objective(self.student, views, targets, self._followers(), batch)
        self._check_finite(losses, step)
        self.optimiser.zero_grad(set_to_none=True)
        shared = list(self.student.parameters())
        total = self.objective.backward(losses, step, shared, self._backward, self.scaler.get_scale())
        self.scaler.unscale_(self.optimiser)
        self._note_stems()
        clip_gradients(self.trained().values(), settings.clip, settings.clip_by)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.student.after_step()
        self.step += 1
        done = Moment(step, settings.steps, epochs, ends_epoch, float(total))
        for teacher in self._followers().values():
            teacher.follow(self.student, dict(self.objective.heads), done)
        spread = spread_of(self.objective.work) if measure else None
        self.objective.after_step()
        self.is_whole = True
        values = {name: float(value.detach()) for name, value in losses.items()}
        return Report(step, values, float(total), lr, measure, spread)

    def _backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on; copies, so that it can be resumed from twice."""
        followers = {role: teacher.state_dict() for role, teacher in self._followers().items()}
        state = {
            "step": self.step,
            "student": self.student.state_dict(),
            "objective": self.objective.state_dict(),
            "teachers": followers,
            "optimiser": self.optimiser.state_dict(),
            "untouched": sorted(self.untouched),
            "scaler": self.scaler.state_dict(),
        }
        return copy.deepcopy(state)

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        mine = copy.deepcopy(dict(state))
        self.student.load_state_dict(mine["student"])
        self.objective.load_state_dict(mine["objective"])
        for role, teacher in self._followers().items():
            teacher.load_state_dict(mine["teachers"][role])
        self.optimiser.load_state_dict(mine["optimiser"])
        self.untouched = set(mine["untouched"])
        self.scaler.load_state_dict(mine["scaler"])
        self.step = int(mine["step"])

    def _followers(self) -> dict[str, Teacher]:
        return {role: teacher for role, teacher in self.teachers.items() if teacher.follows}

    def _targets(self, views: Mapping[str, Views]) -> dict[tuple[str, str], ViewFeatures]:
        """Teachers' features of the global views, by (role, term)."""
        own: dict[tuple[str, str], ViewFeatures] = {}
        found = {}
        for role, name, term in roles_and_terms(self.recipe):
            teacher = self.teachers[role]
            sees = target_sees(term, teacher)
            if not teacher.follows:
                precision = self.recipe.train.precision
                found[role, name] = self.frozen.features(self.recipe.teachers[role], sees, precision, self.student)
                continue
            if (role, sees) not in own:
                # A follower may keep stochastic depth, which draws.
                with global_seed(self.seed, "teacher", role, sees, self.step):
                    shown = views_for(self.recipe.teachers[role], views)
                    alone = draw_modality(self.recipe.views, shown, "global", self.seed, self.step)
                    own[role, sees] = look(teacher, shown, sees, self._levels(role, sees), alone=alone)
            found[role, name] = own[role, sees]
        return found

    def _levels(self, role: str, sees: str) -> tuple[str, ...]:
        places = [
            place
            for other, _, term in roles_and_terms(self.recipe)
            if other == role and target_sees(term, self.teachers[role]) == sees
            for place in term.target_on
            if place not in POOLED
        ]
        return tuple(dict.fromkeys(places))

    def _set_schedules(self, step: int) -> float:
        settings = self.recipe.train
        warmup = round(settings.warmup * settings.steps)
        lr = Schedule(start=settings.lr, end=settings.lr_end, warmup=warmup).at(step, settings.steps)
        low, high = settings.weight_decay
        decay = Schedule(start=low, end=high).at(step, settings.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
            group["weight_decay"] = decay if group["decays"] else 0.0
        return lr

    def _check_finite(self, losses: Mapping[str, Tensor], step: int) -> None:
        for name, value in losses.items():
            if not math.isfinite(float(value.detach())):
                raise NotFinite(f"objective.{name} is {float(value.detach())} at step {step}")

    def _note_stems(self) -> None:
        """Forget the band sets whose stem has got a gradient; those left at the end are marked in the table."""
        for sees in list(self.untouched):
            own = self.student.stem.parameters_of(sees)
            if not own or any(p.grad is not None and bool(p.grad.any()) for p in own):
                self.untouched.discard(sees)


def make_optimiser(recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser, with weight decay only on tensors of two dimensions or more that are not biases."""
    settings = recipe.train
    decays = {name for name, value in parameters.items() if value.ndim > 1 and not name.endswith(".bias")}
    groups = [
        {"params": [value for name, value in parameters.items() if name in decays], "decays": True},
        {"params": [value for name, value in parameters.items() if name not in decays], "decays": False},
    ]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.betas[0])
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=True)


def clip_gradients(parameters: Any, limit: float | None, by: str) -> None:
    """Clip to a norm: of all gradients together, or of each tensor by itself (DEO's code does the latter)."""
    if limit is None:
        return
    chosen = [value for value in parameters if value.grad is not None]
    if by == "global":
        torch.nn.utils.clip_grad_norm_(chosen, limit)
        return
    for value in chosen:
        torch.nn.utils.clip_grad_norm_([value], limit)
