"""From a model and a closure to one linear system per block."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

from torch import Tensor, nn

from qnewton.curvature.autograd import load_batching, twice_differentiable
from qnewton.curvature.blocks import Block, BlockLimits, Partition, partition
from qnewton.curvature.evaluation import Closure, Evaluation, evaluate, evaluate_plainly
from qnewton.curvature.fisher import OnePassFisher, fisher_operators
from qnewton.curvature.generic import (
    CurvatureProducts,
    GaussNewtonGraph,
    JacobianGraph,
    Operators,
)
from qnewton.curvature.ggn import ggn_operators
from qnewton.curvature.hessian import hessian_operators
from qnewton.curvature.layers import layers_of
from qnewton.curvature.output_loss import OutputLoss, past_output
from qnewton.curvature.parts import shares_of_one_mean, sum_of_systems
from qnewton.curvature.residual_change import ResidualChange
from qnewton.curvature.residual_space import FormedGaussNewton, GaussNewton, ResidualSpace
from qnewton.curvature.residuals import with_loss
from qnewton.curvature.routes import Refused, RouteMemory
from qnewton.curvature.sample_mean import Reduction
from qnewton.curvature.verification import Alike, Verification
from qnewton.curvature.watching import LayerRecorder, single_output
from qnewton.operators import (
    LinearSystem,
    MatrixFreeOperator,
    SymmetricOperator,
    weighted_sum,
)

Kind = Literal["auto", "hessian", "ggn", "fisher"]
"""Which curvature is made; ``"auto"`` takes Gauss-Newton for a sum of squares, else the Hessian."""


class Curvature:
    """The curvature of one model's loss, step after step.

    Args:
        model: A module, or its parameters (then the generic route and no ``layer`` blocks).
        kind: ``hessian``, H = ∂²L/∂θ²; ``ggn``, G = Jᵀ (∂²L/∂f²) J with f the model's output and
            J = ∂f/∂θ; ``fisher``, F = (1/n) Σ g_i g_iᵀ with g_i the gradient of one sample's loss.
            The latter two need a module that the closure calls once. ``auto`` is JᵀDJ, J = ∂r/∂θ,
            of a loss Σ ρ(r_i) that is a sum of squares without a closed form, else ``hessian``.
            ``ggn`` is that matrix, too, where such a loss is not a function of one output f.
        blocks: ``full``, ``layer`` or ``tensor``; see :func:`~qnewton.curvature.partition`.
        reduction: ``mean`` or ``sum``, what the closure's loss is of its samples' losses. Only
            ``fisher`` has to know; ``None`` to read it from the loss, as
            :func:`~qnewton.curvature.sample_mean.sample_mean` does.
        parameters: Those of a module's parameters that are trained; ``None`` for all.
        convex_too: Record a module's output for kind ``hessian``, too, so that :meth:`systems`
            can be asked for the ``ggn`` of the same evaluation.
        limits: How large blocks may be that are formed, or get a system.

    Attributes:
        blocks: The blocks, in ``named_parameters`` order.
        larger: Those above ``max_newton``, which have a gradient but no system.
        parameters: All trainable parameters, in the same order.
        kind: The kind.
        alike: The largest of a number over the processes that share the model, which have to
            check its derivatives together; ``None`` for one process.

    Raises:
        ValueError: If the kind, partition or reduction is unknown or impossible.

    Example:
        >>> import torch
        >>> net, x = nn.Linear(3, 1), torch.ones(4, 3)
        >>> curvature = Curvature(net, blocks="full")
        >>> evaluation = curvature.evaluate(lambda: (net(x) ** 2).mean())
        >>> [system] = curvature.systems(evaluation)
        >>> system.curvature.route, system.operator.dense()[0]
        ('closed-form', tensor([2., 2., 2., 2.]))
    """

    def __init__(
        self,
        model: nn.Module | Iterable[Tensor],
        kind: Kind = "hessian",
        blocks: Partition = "layer",
        reduction: Reduction | None = None,
        parameters: Iterable[Tensor] | None = None,
        convex_too: bool = False,
        limits: BlockLimits | None = None,
    ) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"kind={kind!r} is unknown; choose {', '.join(get_args(Kind))}")
        if reduction is not None and reduction not in get_args(Reduction):
            raise ValueError(f"reduction={reduction!r} is unknown; choose 'mean' or 'sum'")
        load_batching()
        self.kind: Kind = kind
        self._reduction: Reduction | None = reduction
        module = model if isinstance(model, nn.Module) else None
        if module is None and kind in ("ggn", "fisher"):
            raise ValueError(
                f"kind={kind!r} needs the module, whose output it differentiates at; pass it in "
                "place of parameters, or use kind='hessian'"
            )
        # Whose output is to be recorded, if the kind needs one.
        self._model = module if kind != "hessian" or convex_too else None
        self._residuals: ResidualSpace | None = None
        found = partition(model, blocks, parameters)
        self._max_dense, max_newton = limits or BlockLimits()
        self.blocks: tuple[Block, ...] = tuple(
            block for block in found if max_newton is None or block.n <= max_newton
        )
        self.larger: tuple[Block, ...] = tuple(b for b in found if b not in self.blocks)
        if not self.blocks:
            raise ValueError(
                f"max_newton is {max_newton} and the smallest block has "
                f"{min(block.n for block in found):,} unknowns; raise it, or use smaller blocks"
            )
        self.parameters = tuple(p for block in found for p in block.parameters)
        if kind in ("auto", "ggn"):
            self._residuals = ResidualSpace(self.parameters)
        self._verification = Verification(
            [name for block in found for name in block.names],
            self.parameters,
            module,
        )
        self.alike: Alike | None = None
        self._layers = layers_of(module) if module is not None else []
        self._closure_seen = False
        self._loops = False
        self._one_pass: OnePassFisher | None = None
        if kind == "fisher" and module is not None:
            one_pass = OnePassFisher(module, self.blocks)
            self._one_pass = one_pass if one_pass.possible else None

    def watches(self, curvature: bool) -> bool:
        """Return whether :meth:`evaluate` would watch the next closure.

        The first closure is always watched, so that one that could give no curvature is refused
        at the first step and not when the warm-up ends.
        """
        return curvature or not self._closure_seen

    def evaluate(
        self,
        closure: Closure,
        curvature: bool = True,
        accumulates: bool = False,
        alone: bool = True,
    ) -> Evaluation:
        """Run the closure once: loss, gradient in ``.grad``, and the graph for :meth:`systems`.

        Args:
            closure: Calls ``loss.backward()``, or returns the live loss, or both.
            curvature: ``False`` for a first-order step: no hooks, no graph kept.
            accumulates: Let the closure add to gradients that it did not clear; the evaluation
                says whether it did.
            alone: Whether no other closure is evaluated before :meth:`systems` is called.

        Raises:
            ValueError: If the closure yields no scalar loss or no gradient, or adds to an earlier
                one.

        Cost: the closure's own; with ``curvature`` its activations stay in memory until the
        evaluation and its systems are dropped.
        """
        closure = with_loss(closure)
        if not (self.watches(curvature) or accumulates):
            return evaluate_plainly(closure, self.parameters)
        recorder = None
        if curvature and self._one_pass is not None and alone and not self._loops:
            recorder = self._one_pass.recorder
        elif curvature:
            recorder = LayerRecorder(self._layers, self._model)
        evaluation = evaluate(
            twice_differentiable()(closure), self.parameters, recorder, accumulates
        )
        self._closure_seen = True
        # One pass of signals is of one batch: micro-batches are better recorded layer by layer.
        self._loops = evaluation.shares
        return evaluation

    def systems(
        self,
        evaluation: Evaluation,
        kind: Kind | None = None,
        memory: RouteMemory | None = None,
    ) -> list[LinearSystem]:
        """Return A x = -g of every block; the right-hand side is -``.grad`` after the closure.

        Args:
            evaluation: From :meth:`evaluate` of this object, with ``curvature=True``.
            kind: Another kind of curvature than this object's, of the same evaluation.
            memory: What earlier steps found of the routes, and this one may add to.

        Raises:
            ValueError: If the evaluation holds no graph, the loss is not twice differentiable, a
                derivative is wrong, or the kind does not exist for it.

        Cost: that of :func:`~qnewton.curvature.hessian.hessian_operators`,
        :func:`~qnewton.curvature.ggn.ggn_operators` or
        :func:`~qnewton.curvature.fisher.fisher_operators`; no block is formed. Once per model, that
        of :class:`~qnewton.curvature.verification.Verification`.
        """
        if evaluation.root is None:
            raise ValueError(
                "this evaluation keeps no graph; use evaluate(closure, curvature=True) and call "
                "systems before release()"
            )
        kind = self.kind_of(evaluation) if kind is None else kind
        squares = self._squares(evaluation)
        if kind == "ggn" and isinstance(squares, GaussNewton):
            self._verification.check(evaluation, evaluation.root, False, self.alike)
            systems = self._of_blocks(evaluation, squares.operators(self.blocks, evaluation))
            return [replace(system, target=squares.target) for system in systems]
        second = kind == "hessian"
        self._verification.check(evaluation, evaluation.root, second, self.alike)
        if evaluation.parts:
            weights = [weight for weight, _ in evaluation.parts]
            if evaluation.shares and kind == "fisher":
                weights = shares_of_one_mean(evaluation.parts, self._reduction)
            parts = [self.systems(part, kind, memory) for _, part in evaluation.parts]
            return [
                system.with_rhs(-evaluation.gradient(system.parameters))
                for system in sum_of_systems(weights, parts)
            ]
        if memory is not None and evaluation.work is not None:
            memory = replace(memory, structure=evaluation.work.structure)
        if kind == "ggn":
            _output_or_why(evaluation, squares)
        operators = self._operators(evaluation, evaluation.root, kind, memory)
        notes = [self._verification.note] if second and self._verification.note else []
        if isinstance(squares, GaussNewton) and second:
            notes.append("Gauss-Newton steps left the residuals, whose second derivatives count")
        for note in notes:
            operators = [(o, replace(r, reason=f"{r.reason}; {note}")) for o, r in operators]
        if isinstance(squares, Refused):
            operators = [(o, replace(r, no_squares=squares.reason)) for o, r in operators]
        return self._of_blocks(evaluation, operators)

    def _of_blocks(self, evaluation: Evaluation, operators: Operators) -> list[LinearSystem]:
        return [
            LinearSystem(
                operator=operator,
                rhs=-evaluation.gradient(block.parameters),
                parameters=block.parameters,
                name=block.name,
                curvature=record,
            )
            for block, (operator, record) in zip(self.blocks, operators, strict=True)
        ]

    def kind_of(self, evaluation: Evaluation) -> Kind:
        """Return the kind of curvature that the systems of an evaluation are made of."""
        if self.kind != "auto":
            return self.kind
        return "ggn" if isinstance(self._squares(evaluation), GaussNewton) else "hessian"

    def want_squares(self, wanted: bool) -> None:
        """Say whether later evaluations are to be sums of squares wherever they can be."""
        if self._residuals is not None:
            self._residuals.layered_too = wanted

    def never_squares(self, evaluation: Evaluation) -> str | None:
        """Return why a loss is no sum of squares but has the Hessian, where that will stay so."""
        if self.kind_of(evaluation) != "hessian":
            return None
        squares = self._squares(evaluation)
        return squares.reason if isinstance(squares, Refused) and squares.lasting else None

    @property
    def exact_kind(self) -> Kind:
        """The kind, and the Hessian in place of one that each evaluation decides on."""
        return "hessian" if self.kind == "auto" else self.kind

    def has_exact(self, evaluation: Evaluation) -> bool:
        """Return whether the Hessian of an evaluation can be had, and is right."""
        assert evaluation.root is not None
        try:
            self._verification.check(evaluation, evaluation.root, second=True, alike=self.alike)
        except ValueError:
            return False
        return True

    def has_convex(self, evaluation: Evaluation) -> bool:
        """Return whether the ``ggn`` of an evaluation may be asked for beside its Hessian."""
        return bool(evaluation.outputs) or isinstance(self._squares(evaluation), GaussNewton)

    def residual_change(self, evaluation: Evaluation) -> ResidualChange | None:
        """Return the residuals of squares whose Jacobian is formed; ``None`` for other losses."""
        squares = self._squares(evaluation)
        return squares.residuals if isinstance(squares, FormedGaussNewton) else None

    def _squares(self, evaluation: Evaluation) -> GaussNewton | Refused | None:
        if self._residuals is None or evaluation.root is None:
            return None
        if self.kind == "ggn" and self._is_of_output(evaluation, evaluation.root):
            return None
        return self._residuals.look(evaluation, evaluation.root, self.alike)

    def _is_of_output(self, evaluation: Evaluation, root: Tensor) -> bool:
        """Return whether the loss depends on the parameters through one output of the model."""
        outputs = [output.tensor for output in evaluation.outputs]
        if len(outputs) != 1 or outputs[0] is None:
            return False
        return not past_output(root, outputs[0], self.blocks)

    def quadratic(self, evaluation: Evaluation, kind: Kind | None = None) -> SymmetricOperator:
        """Return the curvature of all parameters together, cross terms included, by products.

        Args:
            evaluation: From :meth:`evaluate` of this object, with ``curvature=True``.
            kind: ``hessian`` or ``ggn``; a ``fisher`` is judged by the Hessian.

        Raises:
            ValueError: If the evaluation holds no graph, or the kind does not exist for it.

        Cost: a product is one double backward pass, or one Jacobian product each way.
        """
        if evaluation.root is None:
            raise ValueError("this evaluation keeps no graph; ask before release()")
        kind = self.kind_of(evaluation) if kind is None else kind
        squares = self._squares(evaluation)
        if kind == "ggn" and isinstance(squares, GaussNewton):
            return squares.whole()
        if evaluation.parts:
            terms = [(weight, self.quadratic(part, kind)) for weight, part in evaluation.parts]
            return weighted_sum(terms)
        graph: CurvatureProducts
        if kind == "ggn":
            output = _output_or_why(evaluation, squares)
            loss = OutputLoss(evaluation.root, output, self.parameters[0].dtype)
            graph = GaussNewtonGraph(loss, JacobianGraph(output, list(self.parameters)))
        else:
            self._verification.check(evaluation, evaluation.root, second=True, alike=self.alike)
            graph = evaluation.gradient_graph()
        example = self.parameters[0]
        return MatrixFreeOperator(
            sum(parameter.numel() for parameter in self.parameters),
            lambda vector: graph.products(self.parameters, vector[None])[0],
            example.dtype,
            example.device,
        )

    def _operators(
        self, evaluation: Evaluation, root: Tensor, kind: Kind, memory: RouteMemory | None
    ) -> Operators:
        if kind == "ggn":
            return ggn_operators(evaluation, root, self.blocks, memory)
        if kind == "fisher":
            one_pass = self._one_pass if evaluation.by_signals else None
            reduction = self._reduction
            return fisher_operators(evaluation, root, self.blocks, reduction, memory, one_pass)
        return hessian_operators(evaluation, root, self.blocks, self._max_dense, memory)


def _output_or_why(evaluation: Evaluation, squares: GaussNewton | Refused | None) -> Tensor:
    """Return the output of the model's only call; an error says why there are no squares either."""
    try:
        return single_output(evaluation.outputs)
    except ValueError as error:
        if not isinstance(squares, Refused):
            raise
        raise ValueError(f"{error}; as a sum of squares: {squares.reason}") from error


def systems(
    model: nn.Module | Iterable[Tensor],
    closure: Closure,
    kind: Kind = "hessian",
    blocks: Partition = "layer",
    reduction: Reduction | None = None,
) -> list[LinearSystem]:
    """Return one lazy Newton system per block, A x = -g, from one run of ``closure``.

    Args:
        model: A module, or its parameters.
        closure: Calls ``loss.backward()``, or returns the live loss, or both.
        kind: ``hessian``, ``ggn`` or ``fisher``.
        blocks: ``full``, ``layer`` or ``tensor``.
        reduction: ``mean``, ``sum``, or ``None`` to look; see :class:`Curvature`.

    Raises:
        ValueError: As :class:`Curvature`, its ``evaluate`` and its ``systems`` do.

    Cost: one forward-backward pass, derivatives by sample and one product per block; for
    ``hessian`` three more runs of the closure, which check its derivatives.

    Example:
        >>> import torch
        >>> net, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), torch.ones(4, 3)
        >>> [(s.name, s.n) for s in systems(net, lambda: net(x).square().mean())]
        [('0', 8), ('2', 3)]
    """
    curvature = Curvature(model, kind, blocks, reduction)
    return curvature.systems(curvature.evaluate(closure))
