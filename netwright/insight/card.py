"""The card of a run: what was trained, how good it is, how sure that is, and what to know before using it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netwright.base.events import plain
from netwright.base.schema import JSON, Choice, Column, Finding
from netwright.insight.score import Scores
from netwright.insight.words import NOTHING, count, figure, listed, seconds

UNMEASURED = "not measured on test rows"
_MOST_LINES = 12


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """All that a card tells; plain data only.

    Attributes:
        task: Name of the task.
        target: Names of the target columns.
        network: Name of the family.
        rows: Rows of "train", "validation" and "test".
        examples: Examples of the same parts, where they are not rows.
        scores: What was measured on test rows; None if interrupted or without test rows.
        baselines: "blind" and "linear" -> {"name", "words", "value"}, as `Baseline.facts` gives them.
        verdict: Whether the network earned its place.
        validation: {"name", "value"} of the headline on validation rows.
        calibration: {"temperature", "before", "after"}: expected calibration error on test rows.
        coverage: {"asked", "measured"}: share of test truths inside the intervals.
        duplicates: {"rows", "value"}: test rows that also stand in training, and the headline without them.
        classes: The classes in order of their codes.
        choices: The recipe: dotted name -> decision.
        limited_by: What ended the plan: "enough", "minutes", "interrupted", ….
        seconds: Seconds of "read", "train" and "total".
        findings: What reader and checks found.
        columns: What was decided about each column.
        stored_values: Columns whose values stand in the model file.
        notes: Sentences that belong nowhere else.
        interrupted: The run was stopped by hand, before the test rows were opened.
        facts: Further numbers of the run: minutes, steps, epochs, parameters, threads, seed, version.
    """

    task: str
    target: Sequence[str]
    network: str
    rows: Mapping[str, int]
    examples: Mapping[str, int] = field(default_factory=dict)
    scores: Scores | None = None
    baselines: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    verdict: str = ""
    validation: Mapping[str, JSON] | None = None
    calibration: Mapping[str, float] | None = None
    coverage: Mapping[str, float] | None = None
    duplicates: Mapping[str, JSON] | None = None
    classes: Sequence[JSON] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)
    limited_by: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    columns: Sequence[Column] = ()
    stored_values: Sequence[str] = ()
    notes: Sequence[str] = ()
    interrupted: bool = False
    facts: Mapping[str, JSON] = field(default_factory=dict)


def make_card(facts: CardFacts) -> dict[str, JSON]:
    """The card as plain JSON: numbers that were not measured are null, never NaN."""
    copied = ("task", "network", "rows", "verdict", "validation", "calibration", "coverage")
    card: dict[str, JSON] = {name: getattr(facts, name) for name in copied}
    blind = facts.baselines.get("blind")
    card |= {
        "target": list(facts.target),
        "examples": dict(facts.examples or facts.rows),
        "metric": _headline(facts),
        "metrics": dict(facts.scores.values) if facts.scores else {},
        "baselines": {name: dict(each) for name, each in facts.baselines.items()},
        "baseline": {"name": blind["name"], "value": blind["value"]} if blind else None,
        "duplicates": facts.duplicates,
        "classes": list(facts.classes),
        "settings": {name: each.value for name, each in _of_network(facts.choices).items()},
        "choices": [{"name": name, **dataclasses.asdict(each)} for name, each in facts.choices.items()],
        "limited_by": "interrupted" if facts.interrupted else facts.limited_by,
        "seconds": dict(facts.seconds),
        "findings": [dataclasses.asdict(each) for each in facts.findings],
        "columns": [_column(each) for each in facts.columns],
        "stored_values": list(facts.stored_values),
        "notes": list(facts.notes),
        "interrupted": facts.interrupted,
        "measured": facts.scores is not None,
    }
    made = plain({**facts.facts, **_dicts(card)})
    assert isinstance(made, dict)
    return made


def as_json(card: Mapping[str, JSON], *, run: str = "", model: str = "") -> dict[str, JSON]:
    """What `--json` prints: the card without what only a report needs, and where the run lies."""
    left_out = {"choices", "columns", "classes", "settings", "stored_values", "measured", "baselines"}
    kept = {name: value for name, value in card.items() if name not in left_out}
    kept["target"] = card["target"][0] if len(card["target"]) == 1 else card["target"]
    metric = card["metric"]
    kept["metric"] = {name: metric[name] for name in ("name", "value", "low", "high")}
    return {**kept, "run": run or None, "model": model or None}


def headline(card: Mapping[str, JSON]) -> str:
    """The first sentence: "accuracy 0.9931 (95 %: 0.991 to 0.9946) on 10,000 test rows"."""
    metric, rows = card["metric"], card["rows"].get("test", 0)
    name = (metric["name"] or "score").replace("_", " ")
    if not card["measured"]:
        seen = card["validation"]
        shown = f"; {seen['name']} {figure(seen['value'])} on validation rows" if seen else ""
        return f"{name} {UNMEASURED}{shown}"
    span = f" (95 %: {figure(metric['low'])} to {figure(metric['high'])})"
    sure = span if metric["low"] is not None and metric["high"] is not None else ""
    if card.get("folds"):
        by = f"each by the one of {card['folds']} networks that was kept from it"
        return f"{name} {figure(metric['value'])}{sure} on all {count(rows, 'row')}, {by}"
    return f"{name} {figure(metric['value'])}{sure} on {count(rows, 'test row')}"


def lines(card: Mapping[str, JSON]) -> list[str]:
    """The card for the console, at most 12 lines, the most important first."""
    said = [headline(card), *_baseline_line(card)]
    said += [card["verdict"]] if card["verdict"] and card["measured"] else []
    said += [_network_line(card), *_trust_lines(card)]
    warnings = [each for each in card["findings"] if each["severity"] == "warning"]
    shown = warnings[: max(0, min(4, _MOST_LINES - len(said) - 1))]
    said += [f"warning: {finding(each)}" for each in shown]
    rest = len(card["findings"]) - len(shown)
    if rest:
        said.append(f"{count(rest, 'more finding' if shown else 'finding')} in the report")
    return said[:_MOST_LINES]


def finding(each: Mapping[str, JSON]) -> str:
    """A finding as one line: where, what, and what was done."""
    where = f"{each['where']}: " if each["where"] else ""
    done = f"; {each['done']}" if each["done"] else ""
    return f"{where}{each['what'].rstrip('.')}{done}"


def _headline(facts: CardFacts) -> dict[str, JSON]:
    if facts.scores is None:
        name = facts.validation["name"] if facts.validation else None
        return {"name": name, "value": None, "low": None, "high": None, "better": None, "words": ""}
    metric = facts.scores.metric
    return {
        "name": metric.name,
        "value": facts.scores.value,
        "low": facts.scores.low,
        "high": facts.scores.high,
        "better": metric.better,
        "words": metric.words,
    }


def _of_network(choices: Mapping[str, Choice]) -> dict[str, Choice]:
    prefix = "network."
    return {name.removeprefix(prefix): each for name, each in choices.items() if name.startswith(prefix)}


def _column(column: Column) -> dict[str, JSON]:
    return {"name": column.name, "kind": column.kind, "role": column.role, "why": column.why}


def _dicts(card: dict[str, Any]) -> dict[str, Any]:
    """Mappings as dicts, which JSON takes."""
    return {name: dict(each) if isinstance(each, Mapping) else each for name, each in card.items()}


def _baseline_line(card: Mapping[str, JSON]) -> list[str]:
    rivals = [each for each in card["baselines"].values() if each["value"] is not None]
    if not rivals or not card["measured"]:
        return []
    return ["baselines: " + ", ".join(f"{each['words']} {figure(each['value'])}" for each in rivals)]


def _network_line(card: Mapping[str, JSON]) -> str:
    size = f" with {card['parameters']:,} parameters" if card.get("parameters") else ""
    rows = count(card["rows"].get("train", 0), "row") + (" each" if card.get("folds") else "")
    spent = card["seconds"].get("train")
    took = f" in {seconds(spent)}" if spent is not None else ""
    limit = f", limited by {card['limited_by']}" if card["limited_by"] == "minutes" else ""
    limit = ", interrupted" if card["interrupted"] else limit
    return (
        f"{card['task']} {listed(card['target'], 3)}: {card['network']}{size}, trained on {rows}{took}{limit}"
    )


def _trust_lines(card: Mapping[str, JSON]) -> list[str]:
    said = []
    if card["calibration"]:
        said.append(calibration(card["calibration"]))
    if card["coverage"] and card["measured"]:
        said.append(covered(card["coverage"]))
    if card["duplicates"]:
        same = card["duplicates"]
        said.append(
            f"{count(same['rows'], 'test row')} also in training; "
            f"without them {card['metric']['name']} {figure(same['value'])}"
        )
    return said


def calibration(facts: Mapping[str, JSON]) -> str:
    """The sentence about probabilities."""
    after = facts.get("after")
    if after is None or math.isnan(after):
        return f"probabilities: temperature {figure(facts.get('temperature'))}, {NOTHING} on test rows"
    before = facts.get("before")
    change = f", {figure(before)} before" if before is not None else ""
    return (
        f"probabilities are off by {figure(after)} on average (calibration error{change}; "
        f"temperature {figure(facts.get('temperature'))})"
    )


def covered(facts: Mapping[str, JSON]) -> str:
    """The sentence about intervals."""
    measured = facts.get("measured")
    share = NOTHING if measured is None else f"{100 * measured:.1f} %"
    return f"intervals meant to hold {100 * facts['asked']:g} % of the truths hold {share} of them"
