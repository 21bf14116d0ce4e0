"""Conjugate gradients that that stop and go on: a positive definite system solved some steps at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass
class ConjugateGradients:
    """Where the solution of A x = b stands (Hestenes and Stiefel 1952, J Res Natl Bur Stand 49: 409).

    Preconditioned by A's diagonal, which differs where genotypes have different numbers of genes.

    Attributes:
        solution: x, float64 [n].
        residual: b - A x, float64 [n].
        direction: where the next step goes, float64 [n].
    """

    solution: Tensor
    residual: Tensor
    direction: Tensor

    @classmethod
    def start(cls, right: Tensor, diagonal: Tensor) -> ConjugateGradients:
        """Begin at x = 0."""
        return cls(right.new_zeros(right.shape), right.clone(), right / diagonal)

    def advance(
        self, product: Product, diagonal: Tensor, right: Tensor, *, steps: int, tolerance: float
    ) -> int:
        """Take up to ``steps`` steps; return how many it took.

        Args:
            product: A x of an x.
            diagonal: A's diagonal, float64 [n].
            right: b, float64 [n].
            steps: at most.
            tolerance: of the residual's norm relative to that of b; what is below has converged.
        """
        enough = (tolerance * right.norm()).item()
        inner = self.residual @ (self.residual / diagonal)
        for step in range(steps):
            if self.residual.norm().item() <= enough:
                return step
            image = product(self.direction)
            length = inner / (self.direction @ image)
            self.solution = self.solution + length * self.direction
            self.residual = self.residual - length * image
            scaled = self.residual / diagonal
            before, inner = inner, self.residual @ scaled
            self.direction = scaled + inner / before * self.direction
        return steps
