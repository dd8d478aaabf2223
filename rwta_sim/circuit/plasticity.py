"""Learning rules as Brian2 equations: the text that runs with ``learning.apply = "synapses"``, to see and to change.

Each synapse has an eligibility e, and nothing is done per synapse and step: only at spikes of its neurons. Potentiation
is plain: at a postsynaptic spike, e grows by the presynaptic trace x = kappa*S that the potentials of the step saw.
Depression by x_j(t) q_k(t) goes on in every step, but need not be done in every step. Each postsynaptic neuron keeps an
account B_k, and the synapse a balance l_jk, with

    e_jk = l_jk - x_j B_k.

In a step the trace decays, ``x <- a x``, and the account grows as fast, ``B <- B/a + q``: so e becomes
``l - a x (B/a + q) = e - (a x) q``, which is what the rule asks for, and l did not change. At a presynaptic spike x
jumps by kappa_0, and l by ``kappa_0 B``, so that e stays as it is. It is exact for every kernel made of parts that
decay, with an account for each, and for the rectangle, which does not decay but takes its jump back. Traces that are
alive when a decision begins need nothing of their own. If eligibility fades with tau_e, so do l and B.

An account that grew without end would cost precision, for e is a difference. Therefore accounts are *settled* in the
last step of a decision, and whenever one has become large: ``l <- l - x B``, ``B <- 0``, one visit to the synapses of
that neuron, which leaves e as it is. After the last step l is the eligibility.

Order within a step: decay of traces -> x_seen, q, spikes -> accounts (`each_step`, `on_circuit`) -> synapses (`on_pre`,
`on_post`) -> jumps of the traces (`on_spike`) -> `settle`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from brian2 import DimensionMismatchError, Equations, Quantity
from brian2.core.base import BrianObjectException
from brian2.equations.equations import EquationError
from pydantic import Field, field_validator

from rwta_sim.circuit import parsing
from rwta_sim.circuit.kernels import Kernel
from rwta_sim.errors import EngineError, one_line
from rwta_sim.settings import Settings, format_quantity

__all__ = [
    "GATE",
    "LAST_STEP",
    "PlasticSynapse",
    "explained",
    "independent_escape",
    "pairs",
    "winner_take_all",
]

#: Variables of each neuron whatever the rule. Between t_first and t_last its activity counts; a decision ends at t_end.
#: t_seen is the time of the last step: Brian2's t is already that of the next one when a simulation pauses.
GATE = """
t_first : second
t_last : second
t_end : second (shared)
t_seen : second
gate = int(t > t_first - 0.5*dt and t < t_last + 0.5*dt) : 1
"""

LAST_STEP = "abs(t - t_end) < 0.5*dt"

#: An account is settled beyond this: its rounding error is then some 1e-12 of what a step adds.
_LARGE = "1e4"


class PlasticSynapse(Settings):
    """The equations of a rule; as a setting, what replaces those of the rule (None: nothing does).

    All is Brian2 code, and nothing but: statements, a condition (`large`) or equations (`synapse`, `neuron`) in plain
    ASCII, without comments, kept as they were understood, in Python's spelling.

    Variables of the network: traces ``x`` (of a double exponential, ``x_decay`` and ``x_rise``), ``x_seen`` (before
    this step's spike), ``q``, ``gate``, ``t_seen``; constants ``kappa_0``, ``kernel_tau``, ``rho_hat``; in `on_off`,
    ``felt``: 0 for a spike from before traces were cleared, else 1.

    The synapse must have a variable ``balance``: what it holds after the last step of a decision is the eligibility,
    which modulation and optimiser turn into a change of ``w``. A variable ``bias_e`` of the neuron is that of its bias.
    All variables of `synapse` and `neuron` start from zero at each decision.

    ``eligibility`` can be read at any time (``network.synapses["s"].eligibility[:]``, or ``engine.view``). Brian2 has
    no monitors for what a synapse computes from its neurons; with ``large = "True"`` all is settled in every step,
    which is slow but makes ``balance`` the eligibility at each step's end, for a StateMonitor with ``when="end"``.

    Examples
    --------
    >>> from rwta_sim.learning.rules import TraceSTDP
    >>> from rwta_sim.circuit.spec import NetworkSpec
    >>> rule = TraceSTDP().equations(NetworkSpec())
    >>> rule.on_post
    'balance += gate_post * x_seen_pre'
    >>> half = rule.changed(PlasticSynapse(on_post="balance += 0.5*gate_post*x_seen_pre"))
    """

    synapse: str | None = Field(None, description="variables of a synapse")
    on_pre: str | None = Field(None, description="at a spike of its source")
    on_off: str | None = Field(None, description="when a spike of its source ends to be felt (rectangular kernel)")
    on_post: str | None = Field(None, description="at a spike of its target")
    settle: str | None = Field(None, description="at the end of a decision, and where `large` says so")
    neuron: str | None = Field(None, description="variables of a hidden or action neuron")
    on_spike: str | None = Field(None, description="at its own spike")
    on_circuit: str | None = Field(
        None, description="at each spike of its circuit: _pre is the neuron that fired, _post each of the circuit"
    )
    each_step: str | None = Field(None, description="in each step")
    large: str | None = Field(None, description="condition for settling in mid-decision")
    settled: str | None = Field(None, description="after it was settled")

    @field_validator("synapse", "neuron")
    @classmethod
    def _only_equations(cls, text: str | None) -> str | None:
        return None if text is None else parsing.equations(text)

    @field_validator("large")
    @classmethod
    def _only_a_condition(cls, text: str | None) -> str | None:
        return None if text is None else parsing.condition(text)

    @field_validator("on_pre", "on_off", "on_post", "settle", "on_spike", "on_circuit", "each_step", "settled")
    @classmethod
    def _only_statements(cls, text: str | None) -> str | None:
        return None if text is None else parsing.statements(text)

    def changed(self, changes: PlasticSynapse) -> PlasticSynapse:
        """These equations with those of `changes` in their place.

        Raises
        ------
        ValueError
            If the synapse is left without a variable `balance`.
        """
        merged = self.model_copy(update=changes.model_dump(exclude_none=True))
        if "balance" not in merged.variables("synapse"):
            raise ValueError(
                "the equations of a synapse need a variable balance, its eligibility at the end of a decision: "
                f"learning.equations.synapse = {merged.synapse!r} has none"
            )
        return merged

    def variables(self, part: str) -> list[str]:
        """Names of the state variables of the part "synapse" or "neuron"."""
        equations = Equations(getattr(self, part) or "")
        return sorted({*equations.diff_eq_names, *equations.parameter_names})

    def defined(self, part: str) -> set[str]:
        """Names that the part "synapse" or "neuron" defines, those of subexpressions too."""
        return set(Equations(getattr(self, part) or "").names)

    def __str__(self) -> str:
        """The equations as text, part by part."""
        parts = {name: text for name, text in self.model_dump().items() if text}
        return "\n".join(f"{name}:\n    " + text.replace("\n", "\n    ") for name, text in parts.items())


@contextmanager
def explained(changes: PlasticSynapse) -> Iterator[None]:
    """Say of an error of Brian2's that it is due to equations that a user changed.

    Raises
    ------
    EngineError
        In its place, in one line. Where nothing was changed it stays what it is.
    """
    changed = sorted(changes.model_dump(exclude_none=True))
    try:
        yield
    except (BrianObjectException, EquationError, DimensionMismatchError, SyntaxError, TypeError, KeyError) as error:
        if not changed:
            raise
        cause: BaseException = error
        while cause.__cause__ is not None:  # Brian2 wraps what went wrong in the object where it did
            cause = cause.__cause__
        names = ", ".join(f"learning.equations.{name}" for name in changed)
        raise EngineError(f"Brian2 cannot run the network with this {names}: {one_line(cause)}") from error


class _Account:
    """The trace x of a kernel as a sum of parts, each with an account B."""

    def __init__(self, kernel: Kernel, tau_e: Quantity | None) -> None:
        self._fading = None if tau_e is None else _text(tau_e)
        #: By suffix of the part: its sign in the trace and its time constant.
        parts: dict[str, dict[str, tuple[str, str | None]]] = {
            "exponential": {"": ("", "kernel_tau")},
            "double_exponential": {"_decay": ("", "kernel_tau"), "_rise": ("-", "kernel_tau_rise")},
            "rectangular": {"": ("", None)},
        }
        self._parts = parts[kernel.kind]
        self._ends = kernel.off_delay is not None

    def _sum(self, term: str) -> str:
        terms = [f"{sign}{term.format(part)}" for part, (sign, _) in self._parts.items()]
        return terms[0] if len(terms) == 1 else f"({' '.join(terms).replace(' -', ' - ')})"

    def balance(self) -> str:
        """Equations of l and e. Between events a balance that fades is what it was at the last one."""
        if self._fading is None:
            return f"balance : 1\neligibility = balance - {self._owed()} : 1"
        return (
            f"dbalance/dt = -balance/({self._fading}) : 1 (event-driven)\n"
            f"eligibility = balance*exp((lastupdate - t_seen_post)/({self._fading})) - {self._owed()} : 1"
        )

    def _owed(self) -> str:
        return self._sum("x{0}_pre*B{0}_post")

    def add(self, amount: str, tail: str = "") -> str:
        return "\n".join(f"{name}{tail} += {amount}" for name in self._names())

    def _names(self) -> list[str]:
        return [f"B{part}" for part in self._parts]

    def _growth(self) -> list[str]:
        """Code for one step of the accounts and of the bias's eligibility."""
        # As code and not as differential equations: Brian2 would take many seconds to solve these with the neuron's.
        fading = "" if self._fading is None else f" - dt/({self._fading})"
        lines = []
        for part, (_, tau) in self._parts.items():
            rate = ("" if tau is None else f"dt/{tau}") + fading
            lines += [f"B{part} *= exp({rate.removeprefix(' ')})"] if rate else []
        return lines + ([f"bias_e *= exp({fading.removeprefix(' ')})"] if fading else [])

    def rule(self, on_post: str, neuron: str = "", each_step: str = "", **code: str) -> PlasticSynapse:
        """A rule whose `code` potentiates at postsynaptic spikes, and adds what depresses to the accounts."""
        at_jump = f"kappa_0*{self._sum('B{0}_post')}"
        return PlasticSynapse(
            synapse=self.balance(),
            on_pre=f"balance += {at_jump}",
            on_off=f"balance -= felt*{at_jump}" if self._ends else None,
            settle=f"balance -= {self._owed()}",
            on_post=on_post,
            neuron="\n".join([*(f"{name} : 1" for name in [*self._names(), "bias_e"]), *filter(None, [neuron])]),
            each_step="\n".join([*self._growth(), *filter(None, [each_step])]) or None,
            large=" or ".join(f"abs({name}) > {_LARGE}" for name in self._names()),
            settled="\n".join(f"{name} = 0" for name in self._names()),
            **code,
        )


def _text(time: Quantity) -> str:
    """A time as Brian2 code."""
    number, unit = format_quantity(time).rsplit(" ", 1)
    return f"{number}*{'second' if unit == 's' else unit}"


def winner_take_all(kernel: Kernel, tau_e: Quantity | None, gain: str = "") -> PlasticSynapse:
    """``de_jk = x_j gain (S_k - q_k S_circuit)``: SVPG's rule, and the score function of a circuit.

    At each spike of a circuit the neuron that fired is potentiated, and all of its circuit are depressed in proportion
    to q: both by the gain of the neuron that fired. With a gain of 1, `TraceSTDP`. For `ScoreFunction` in poisson
    firing, where P(spike) = 1 - exp(-y) with y = rho_hat q dt, the gain is y/(1 - exp(-y)): its derivative
    ``S_k g_k - y_k - q_k sum_circuit (S g - y)`` is ``S_k g_k - q_k sum_circuit S g``, as ``y_k = q_k sum_circuit y``.

    Parameters
    ----------
    gain : str
        As a function of the neuron's variables; empty: 1.
    """
    account = _Account(kernel, tau_e)
    pre, post = ("*gain_pre", "*gain_post") if gain else ("", "")
    return account.rule(
        neuron=f"gain = {gain} : 1" if gain else "",
        on_post=f"balance += gate_post{post}*x_seen_pre",
        on_circuit=f"{account.add(f'gate_post{pre}*q_post', '_post')}\n"
        f"bias_e_post += gate_post{pre}*(int(i == j) - q_post)",
    )


def independent_escape(kernel: Kernel, tau_e: Quantity | None) -> PlasticSynapse:
    """``de_jk = x_j (S_k - rho_k dt)``: `RMax`, the score function of neurons that know nothing of their circuit."""
    account = _Account(kernel, tau_e)
    return account.rule(
        on_post="balance += gate_post*x_seen_pre",
        each_step=f"{account.add('gate*q*rho_hat*dt')}\nbias_e -= gate*q*rho_hat*dt",
        on_spike="bias_e += gate",
    )


def pairs(tau_e: Quantity | None, a_plus: float, a_minus: float) -> PlasticSynapse:
    """``de_jk = a_plus x_j S_k - a_minus S_j x_k``: `RSTDP`; biases do not learn."""
    return PlasticSynapse(
        synapse="balance : 1\neligibility = balance : 1"
        if tau_e is None
        else f"dbalance/dt = -balance/({_text(tau_e)}) : 1 (event-driven)\n"
        f"eligibility = balance*exp((lastupdate - t_seen_post)/({_text(tau_e)})) : 1",
        on_post=f"balance += {a_plus!r}*gate_post*x_seen_pre",
        on_pre=f"balance -= {a_minus!r}*gate_post*x_seen_post",
        # Nothing is owed: the visit lets an eligibility that fades do so until the end of the decision.
        settle=None if tau_e is None else "balance += 0",
    )
