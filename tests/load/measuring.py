"""One contender's round and what all rounds say: rates, ratios, CPU per report, latencies."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from tests.load.client import Outcome
from tests.load.machine import cpu_seconds

Pids = Callable[[], list[int]]
"""The processes of a part (server, database, store) as they are now."""


@dataclass(frozen=True, slots=True)
class Contender:
    """`run` does one round of `count` and measures itself; `parts` are watched meanwhile."""

    name: str
    count: int
    run: Callable[[int], Outcome]
    parts: Mapping[str, Pids]


@dataclass(frozen=True, slots=True)
class Round:
    """Rates per second, CPU and latencies in milliseconds, CPU per report and part."""

    per_s: float
    cpu_ms: dict[str, float]
    p50_ms: float
    p99_ms: float


@dataclass(slots=True)
class Comparison:
    """Contenders in alternation, the product last; ratios within a round, then their median."""

    title: str
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    """Further figures of the same run."""

    @property
    def product(self) -> str:
        return list(self.rounds)[-1]

    def per_s(self, name: str) -> float:
        return median(each.per_s for each in self.rounds[name])

    def ratio(self, yardstick: str) -> float:
        """The product's rate in units of the yardstick's."""
        pairs = zip(self.rounds[self.product], self.rounds[yardstick], strict=True)
        return median(ours.per_s / theirs.per_s for ours, theirs in pairs)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "rounds": {name: [asdict(each) for each in all_] for name, all_ in self.rounds.items()},
            "per_s": {name: round(self.per_s(name), 1) for name in self.rounds},
            "ratios": {
                name: round(self.ratio(name), 3) for name in self.rounds if name != self.product
            },
            "notes": self.notes,
        }

    def as_markdown(self) -> str:
        parts = list(dict.fromkeys(p for all_ in self.rounds.values() for p in all_[0].cpu_ms))
        head = ["", "per s", "product in its units", *(f"{p} CPU ms" for p in parts)]
        lines = [f"### {self.title}", "", _row([*head, "p50 ms", "p99 ms"])]
        lines.append(_row(["---"] * (len(head) + 2)))
        lines += [self._line(name, parts) for name in self.rounds]
        lines += ["", *(f"- {name}: {value}" for name, value in self.notes.items())]
        return "\n".join(lines) + "\n"

    def _line(self, name: str, parts: list[str]) -> str:
        all_ = self.rounds[name]
        ratio = "" if name == self.product else f"{self.ratio(name):.2f}"
        cpu = [_ms([each.cpu_ms[p] for each in all_]) if p in all_[0].cpu_ms else "" for p in parts]
        latencies = [_ms([each.p50_ms for each in all_]), _ms([each.p99_ms for each in all_])]
        return _row([name, f"{self.per_s(name):.0f}", ratio, *cpu, *latencies])


def compare(
    title: str,
    contenders: list[Contender],
    rounds: int,
    say: Callable[[str], None],
    warm: int = 40,
) -> Comparison:
    """Each contender once a round, after one short round of each that does not count."""
    comparison = Comparison(title, {each.name: [] for each in contenders})
    for contender in contenders:
        contender.run(max(contender.count // 10, warm))
    for number in range(rounds):
        for contender in contenders:
            measured = _round(contender)
            comparison.rounds[contender.name].append(measured)
            say(f"  round {number + 1}  {contender.name:<40} {measured.per_s:8.1f} /s")
    return comparison


def _round(contender: Contender) -> Round:
    before = {part: cpu_seconds(pids()) for part, pids in contender.parts.items()}
    outcome = contender.run(contender.count)
    used = {part: cpu_seconds(pids()) - before[part] for part, pids in contender.parts.items()}
    assert outcome.done == contender.count, (contender.name, outcome.done)
    used["load"] = outcome.cpu_s
    # of a few long ones the slowest stands for the last hundredth
    cuts = quantiles(outcome.latencies * 2, n=100, method="inclusive")
    return Round(
        per_s=outcome.done / outcome.seconds,
        cpu_ms={part: 1000 * seconds / outcome.done for part, seconds in used.items()},
        p50_ms=1000 * cuts[49],
        p99_ms=1000 * cuts[98],
    )


def _ms(values: list[float]) -> str:
    return f"{median(values):.2f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
