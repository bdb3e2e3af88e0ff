"""Hadamard matrices: entries of one size, orthogonal; by Sylvester, Paley and their Kronecker products."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor


def hadamard(order: int) -> Tensor:
    """An orthogonal matrix [n, n] in float64 whose entries are all +-1/sqrt(n).

    A ValueError where no construction gives one; orders are 1, 2 and multiples of 4, not all of which are reached.
    """
    signs = _signs(order)
    if signs is None:
        raise ValueError(
            f"no Hadamard matrix of width {order} is known here (Sylvester, Paley and their products give none); "
            'a target that whitens any width is "zca"'
        )
    return signs.double() / order**0.5


@functools.lru_cache(maxsize=8)
def _signs(order: int) -> Tensor | None:
    """Entries +1 and -1 [n, n] as int8, or none."""
    if order == 1:
        return torch.ones(1, 1, dtype=torch.int8)
    if order == 2:
        return torch.tensor([[1, 1], [1, -1]], dtype=torch.int8)
    if order % 4:
        return None
    if order & (order - 1) == 0:
        return _product(2, order // 2)
    if (order - 1) % 4 == 3 and _prime_power(order - 1):
        return _paley_one(order - 1)
    if (order // 2 - 1) % 4 == 1 and _prime_power(order // 2 - 1):
        return _paley_two(order // 2 - 1)
    for factor in range(2, int(order**0.5) + 1):
        if order % factor == 0:
            found = _product(factor, order // factor)
            if found is not None:
                return found
    return None


def _product(first: int, second: int) -> Tensor | None:
    """Sylvester's doubling (first = 2), and in general the Kronecker product of two."""
    one, other = _signs(first), _signs(second)
    return None if one is None or other is None else torch.kron(one, other)


def _paley_one(q: int) -> Tensor:
    """Order q + 1 for a prime power q = 3 mod 4: I + S, with S skew."""
    matrix = _bordered(q, below=-1)
    return matrix + torch.eye(q + 1, dtype=torch.int8)


def _paley_two(q: int) -> Tensor:
    """Order 2 (q + 1) for a prime power q = 1 mod 4: the zeros of a symmetric S become 2 x 2 blocks, too."""
    signs, zeros = torch.tensor([[1, 1], [1, -1]]), torch.tensor([[1, -1], [-1, -1]])
    matrix = torch.kron(_bordered(q, below=1).long(), signs) + torch.kron(torch.eye(q + 1).long(), zeros)
    return matrix.to(torch.int8)


def _bordered(q: int, below: int) -> Tensor:
    """S [q + 1, q + 1]: the quadratic character of differences in the field of q elements, with a border of ones."""
    matrix = torch.zeros(q + 1, q + 1, dtype=torch.int8)
    matrix[0, 1:], matrix[1:, 0] = 1, below
    matrix[1:, 1:] = _characters(q)
    return matrix


def _characters(q: int) -> Tensor:
    """[q, q] of chi(a - b): 0 on the diagonal, +1 where the difference is a square of the field, else -1."""
    power = _prime_power(q)
    assert power is not None
    p, degree = power
    # Elements are numbered by their coefficients in base p.
    digits = torch.tensor(list(itertools.product(range(p), repeat=degree)), dtype=torch.int32)
    times = _multiplication(p, degree)
    place = torch.tensor([p ** (degree - 1 - index) for index in range(degree)])
    chi = torch.full((q,), -1, dtype=torch.int8)
    for element in digits.tolist():
        chi[int((torch.tensor(times(element, element)) * place).sum())] = 1
    chi[0] = 0
    numbers = torch.zeros(q, q, dtype=torch.int32)
    for index in range(degree):
        column = digits[:, index]
        numbers += (column[:, None] - column).remainder(p) * int(place[index])
    return chi[numbers]


def _multiplication(p: int, degree: int) -> Callable[[list[int], list[int]], list[int]]:
    """The product of two elements, coefficients highest first, modulo an irreducible polynomial of the degree."""
    modulus = next(rest for rest in itertools.product(range(p), repeat=degree) if _is_irreducible((1, *rest), p))

    def times(a: list[int], b: list[int]) -> list[int]:
        product = [0] * (2 * degree - 1)
        for i, j in itertools.product(range(degree), repeat=2):
            product[i + j] += a[i] * b[j]
        return _remainder(product, (1, *modulus), p)

    return times


def _is_irreducible(polynomial: tuple[int, ...], p: int) -> bool:
    """Whether no polynomial of lower degree divides a monic one, over the integers modulo p."""
    degrees = range(1, (len(polynomial) - 1) // 2 + 1)
    divisors = ((1, *rest) for degree in degrees for rest in itertools.product(range(p), repeat=degree))
    return all(any(_remainder(list(polynomial), divisor, p)) for divisor in divisors)


def _remainder(polynomial: list[int], divisor: tuple[int, ...], p: int) -> list[int]:
    """What is left of a polynomial after division by a monic one: as many coefficients as the divisor's degree."""
    left = list(polynomial)
    for start in range(len(left) - len(divisor) + 1):
        factor = left[start]
        for offset, coefficient in enumerate(divisor):
            left[start + offset] = (left[start + offset] - factor * coefficient) % p
    return [value % p for value in left[len(left) - len(divisor) + 1 :]]


def _prime_power(q: int) -> tuple[int, int] | None:
    """The prime and the exponent that q is made of, or none."""
    if q < 2:
        return None
    p = next((d for d in range(2, int(q**0.5) + 1) if q % d == 0), q)
    degree, left = 0, q
    while left % p == 0:
        left, degree = left // p, degree + 1
    return (p, degree) if left == 1 else None
