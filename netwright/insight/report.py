"""`report.md`: the card in full, with its tables, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from netwright.base.schema import JSON
from netwright.insight import card as cards
from netwright.insight import mistakes
from netwright.insight.curves import Curves, sentences
from netwright.insight.mistakes import Recall
from netwright.insight.words import cell, count, figure, listed, seconds, table

MOST_CLASSES = 20
"""Classes up to which the confusion matrix is shown whole."""
MOST_LABELS = 50
"""Classes or labels up to which each has its line."""
UNSEEN = "(unseen in training)"

Card = Mapping[str, JSON]


def report(card: Card, statistics: pl.DataFrame | None, curves: Curves | None) -> str:
    """The whole report in Markdown.

    Args:
        card: As `make_card` gives it.
        statistics: Statistics of the test rows; a column `row` names them. None if none were opened.
        curves: How it learned; None if it is not known.
    """
    lines = [f"# {cell(card['task'])}: {cell(listed(card['target']))}", "", *_opening(card)]
    if statistics is not None and statistics.height:
        lines += _of_task(card, statistics)
    lines += _trust(card)
    lines += _learning(curves)
    lines += _findings(card)
    lines += _columns(card)
    lines += _recipe(card)
    return "\n".join(lines).rstrip() + "\n"


def _opening(card: Card) -> list[str]:
    lines = [f"**{cell(cards.headline(card))}.** {cell(card['metric'].get('words') or '')}".rstrip(), ""]
    if card["verdict"] and card["measured"]:
        lines += [cell(card["verdict"]), ""]
    if card["interrupted"]:
        lines += ["The run was interrupted: the test rows were not opened.", ""]
    if card["metrics"]:
        rows = [(name, figure(value)) for name, value in card["metrics"].items()]
        lines += table(["metric", "value on test rows"], rows)
    rivals = card["baselines"].values()
    if rivals and card["measured"]:
        name = card["metric"]["name"]
        lines += table(["baseline", name], [(each["words"], figure(each["value"])) for each in rivals])
    return lines + _run_line(card) + [line for note in card["notes"] for line in (cell(note), "")]


def _run_line(card: Card) -> list[str]:
    parts = ", ".join(f"{number:,} {part}" for part, number in card["rows"].items())
    spent = card["seconds"].get("total")
    took = f" It took {seconds(spent)}." if spent is not None else ""
    limit = f" Limited by {cell(card['limited_by'])}." if card["limited_by"] else ""
    return [f"Network: {cell(card['network'])}. Rows: {parts}.{took}{limit}", ""]


# ---- what the mistakes are


def _of_task(card: Card, statistics: pl.DataFrame) -> list[str]:
    if "reference" in statistics.columns:
        return _sentences(statistics)
    if "log_loss" in statistics.columns:
        return _classes(card, statistics)
    if "word_edits" in statistics.columns:
        return _transcripts(statistics)
    if "truth" in statistics.columns:
        return _numbers(statistics)
    return _tags(statistics) if any(name.startswith("truth:") for name in statistics.columns) else []


def _classes(card: Card, statistics: pl.DataFrame) -> list[str]:
    words = [str(each) for each in card["classes"]]
    highest = int(max(statistics[name].to_numpy().max() for name in ("truth", "prediction")))
    words += [str(code) for code in range(len(words), highest + 1)]
    lines = ["## Confusion", ""]
    lines += _matrix(words, statistics) if len(words) <= MOST_CLASSES else _pairs(words, statistics)
    lines += ["## Each class", ""]
    lines += _recalls([(_word(words, each.code), each) for each in mistakes.by_class(statistics, len(words))])
    return lines + _worst_classes(words, statistics)


def _word(words: Sequence[str], code: int) -> str:
    return words[code] if code >= 0 else UNSEEN


def _matrix(words: Sequence[str], statistics: pl.DataFrame) -> list[str]:
    counts = mistakes.confusion(statistics, len(words)).tolist()
    named = list(zip([*words, UNSEEN], counts, strict=True))
    shown = named if sum(counts[-1]) else named[:-1]
    return [
        "Rows by their truth (down) and their prediction (across).",
        "",
        *table(["truth", *words], [[name, *row] for name, row in shown]),
    ]


def _pairs(words: Sequence[str], statistics: pl.DataFrame) -> list[str]:
    pairs = mistakes.confused(statistics)
    if not pairs:
        return ["No test row was mistaken.", ""]
    rows = [(_word(words, truth), _word(words, said), number) for truth, said, number in pairs]
    return [
        f"The most confused of {len(words):,} classes.",
        "",
        *table(["truth", "prediction", "rows"], rows),
    ]


def _recalls(found: Sequence[tuple[str, Recall]]) -> list[str]:
    lines = []
    shown = list(found)
    if len(found) > MOST_LABELS:
        met = [pair for pair in found if pair[1].rows]
        shown = sorted(met, key=lambda pair: (pair[1].recall, -pair[1].rows))[:MOST_CLASSES]
        lines += [f"The {MOST_CLASSES} of {len(found):,} that are missed most.", ""]
    rows = [
        (name, each.rows, each.said, figure(each.recall), figure(each.precision), figure(each.f1))
        for name, each in shown
    ]
    return lines + table(["class", "rows", "predicted", "recall", "precision", "F1"], rows)


def _worst_classes(words: Sequence[str], statistics: pl.DataFrame) -> list[str]:
    rows = [
        (
            str(each["row"]),
            _word(words, each["truth"]),
            _word(words, each["prediction"]),
            figure(each.get("confidence")),
        )
        for each in mistakes.worst(statistics).iter_rows(named=True)
    ]
    return _worst(["row", "truth", "prediction", "confidence"], rows)


def _numbers(statistics: pl.DataFrame) -> list[str]:
    parts = [
        (f"{figure(each.low)} to {figure(each.high)}", each.rows, figure(each.bias), figure(each.error))
        for each in mistakes.by_range(statistics)
    ]
    rows = [
        (str(each["row"]), figure(each["truth"]), figure(each["prediction"]), figure(each["error"]))
        for each in mistakes.worst(statistics).iter_rows(named=True)
    ]
    return [
        "## Errors along the range",
        "",
        *table(["truth", "rows", "mean of prediction - truth", "mean size of the error"], parts),
        *_worst(["row", "truth", "prediction", "prediction - truth"], rows),
    ]


def _transcripts(statistics: pl.DataFrame) -> list[str]:
    worst = mistakes.misheard(statistics)
    rows = [(str(each["row"]), each["truth"], each["prediction"], each["word_edits"]) for each in worst]
    return _worst(["row", "truth", "prediction", "words wrong"], rows)


def _sentences(statistics: pl.DataFrame) -> list[str]:
    rows = [
        (str(each["row"]), each["reference"], each["answer"], figure(each["alike"]))
        for each in mistakes.worst_sentences(statistics).iter_rows(named=True)
    ]
    return _worst(["row", "truth", "prediction", "chrF"], rows)


def _tags(statistics: pl.DataFrame) -> list[str]:
    rows = [
        (str(each["row"]), int(each["wrong"]), each["missed"], each["extra"])
        for each in mistakes.worst(statistics).iter_rows(named=True)
    ]
    return [
        "## Each label",
        "",
        *_recalls(mistakes.by_tag(statistics)),
        *_worst(["row", "wrong labels", "missed", "too many"], rows),
    ]


def _worst(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    body = table(head, rows) if rows else ["No test row was mistaken.", ""]
    return ["## The worst mistakes", "", *body]


# ---- what to know


def _trust(card: Card) -> list[str]:
    said: list[str] = []
    if card["calibration"]:
        said.append(cards.calibration(card["calibration"]))
    if card["coverage"]:
        said.append(cards.covered(card["coverage"]))
    if card["duplicates"]:
        same = card["duplicates"]
        said.append(
            f"{count(same['rows'], 'test row')} also in training; without them "
            f"{card['metric']['name']} is {figure(same['value'])}"
        )
    return _section("How far to trust it", [f"- {_sentence(each)}" for each in said])


def _learning(curves: Curves | None) -> list[str]:
    if curves is None:
        return []
    return [
        "## How it learned",
        "",
        " ".join(map(cell, sentences(curves))),
        "",
        "![how it learned](learning.svg)",
        "",
    ]


def _findings(card: Card) -> list[str]:
    rows = [
        (each["severity"], each["name"], each["where"], each["what"], each["count"], each["done"])
        for each in card["findings"]
    ]
    head = ["severity", "check", "where", "what", "how many", "what was done"]
    return _section("Findings", table(head, rows) if rows else [])


def _columns(card: Card) -> list[str]:
    rows = [(each["name"], each["kind"], each["role"], each["why"]) for each in card["columns"]]
    lines = table(["column", "kind", "role", "why"], rows) if rows else []
    if card["stored_values"]:
        names = cell(listed(card["stored_values"], 20))
        lines += [f"The model file contains values of: {names}.", ""]
    return _section("Columns", lines)


def _recipe(card: Card) -> list[str]:
    rows = [(each["name"], _value(each["value"]), each["by"], each["why"]) for each in card["choices"]]
    return _section("Recipe", table(["setting", "value", "by", "why"], rows) if rows else [])


def _value(value: JSON) -> str:
    """A setting as written in `--set`, not rounded."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    body = list(lines)
    if not body:
        return []
    return [f"## {title}", "", *body, *([""] if body[-1] else [])]


def _sentence(text: str) -> str:
    return cell(text[:1].upper() + text[1:]) + "."
