"""Rows, pictures and texts that stand, equal or nearly so, in two parts of a split."""

# P, Q = things of two parts, H = hashes of a signature

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from netwright.base.schema import Finding
from netwright.data import hashes
from netwright.data.checks.view import View, evenly
from netwright.data.table import Rows

BITS = 6
"""Pictures whose `dhash64` differ in at most so many of 64 places may be nearly equal."""
GREY = 3.0
"""Mean difference of grey, 0-255 around each one's own mean, up to which their thumbnails are nearly equal.
Among 2,059 photos of hands, copies saved anew, resized or brightened differ by under 2, others by over 5."""
FLAT = 8.0
"""Thumbnails that spread less grey than this look like any other empty picture."""
ALIKE = 0.8
"""Jaccard likeness from which two texts are nearly equal."""
MOST = 20_000
"""Pictures or texts that are compared at most, evenly spaced over the parts."""
_BANDS = 16
_CHUNK = 4_000_000
Grey = npt.NDArray[np.float32]
Near = Callable[[Rows, Rows], npt.NDArray[np.bool_]]


def across(view: View) -> list[Finding]:
    """Rows equal in all that the network sees, though a column it does not see tells them apart."""
    ignored = [column.name for column in view.columns if column.role == "ignore"]
    names = [column.name for column in (*view.inputs, *view.targets)]
    if not ignored or not view.inputs or not len(view.split.test):
        return []
    keys = hashes.row_hashes(view.table, names, labels=[column.name for column in view.targets])
    test = np.setdiff1d(view.split.test, view.split.test_seen)
    count = int(np.isin(keys[test], keys[_others(view)]).sum())
    if not count:
        return []
    what = f"{count:,} of {len(view.split.test):,} test rows equal a training row in every column that is used"
    return [
        Finding(
            name="equal rows across parts",
            what=what,
            where=view.table.source,
            count=count,
            done=f"left as they are; with --drop {','.join(ignored[:3])} equal rows go to one part together",
            severity="warning",
        )
    ]


def near_pictures(view: View) -> list[Finding]:
    """Pictures from 64 pixels on that look the same in two parts."""
    return [
        finding
        for column in view.media
        if _could_be_large(view, column.name)
        for finding in _near(view, column.name, "pictures", _pictures(view, column.name))
    ]


def near_texts(view: View) -> list[Finding]:
    """Texts from eight words on that share most of their runs of three words in two parts."""
    return [
        finding
        for column in view.columns
        if column.kind == "text" and column.role in ("input", "ignore")
        for finding in _near(view, column.name, "texts", _texts(view, column.name))
    ]


def _near(view: View, name: str, things: str, near: Near) -> list[Finding]:
    split = view.split
    validation = np.union1d(split.select, split.calibrate)
    share = min(1.0, MOST / max(1, view.table.height))
    test, held, train = (
        evenly(rows, round(share * len(rows))) for rows in (split.test, validation, split.train)
    )
    test = np.setdiff1d(test, split.test_seen)
    tested = int(near(test, np.union1d(train, held)).sum())
    validated = int(near(held, train).sum())
    if not tested + validated:
        return []
    looked = f" of {len(test):,} looked at" if share < 1 else f" of {len(test):,}"
    what = f"{tested:,}{looked} {things} for the test, and {validated:,} for validation, nearly equal others"
    return [
        Finding(
            name="near duplicates",
            what=f"{what} that are trained on",
            where=name,
            count=tested + validated,
            done="left as they are: the score may be too good; a --group column keeps what belongs together",
            severity="warning",
            columns=(name,),
        )
    ]


def _could_be_large(view: View, name: str) -> bool:
    """Pixels of a fixed size say so before anything is decoded."""
    shape = getattr(view.table.cells[name].dtype, "shape", None)
    return shape is None or min(shape[:2]) >= hashes.SMALLEST


def _pictures(view: View, name: str) -> Near:
    """Every picture is decoded once, when it is first asked for."""
    known: dict[int, tuple[int, Grey] | None] = {}

    def look(rows: Rows) -> None:
        fresh = np.array([row for row in rows.tolist() if row not in known], dtype=np.int64)
        cells = view.table.frame([name], fresh).to_series()
        bits, thumbs, good = hashes.looks(cells, view.table)
        good &= thumbs.std(axis=1) >= FLAT
        centred = thumbs - thumbs.mean(axis=1, keepdims=True, dtype=np.float32)
        for place, row in enumerate(fresh.tolist()):
            known[row] = (int(bits[place]), centred[place]) if good[place] else None

    def near(rows: Rows, others: Rows) -> npt.NDArray[np.bool_]:
        look(rows)
        look(others)
        left, right = ([known[row] for row in each.tolist()] for each in (rows, others))
        right_good = [each for each in right if each]
        found = np.zeros(len(rows), dtype=np.bool_)
        if not right_good or not any(left):
            return found
        places = np.flatnonzero([each is not None for each in left])
        left_good = [each for each in left if each]
        found[places] = _look_alike(
            np.array([each[0] for each in left_good], dtype=np.uint64),
            np.stack([each[1] for each in left_good]),
            np.array([each[0] for each in right_good], dtype=np.uint64),
            np.stack([each[1] for each in right_good]),
        )
        return found

    return near


def _look_alike(
    bits_P: hashes.U64,
    thumbs_P: Grey,
    bits_Q: hashes.U64,
    thumbs_Q: Grey,
) -> npt.NDArray[np.bool_]:
    """(P,) whether a picture nearly equals one of the others. Every pair is compared: 64 bits cost little."""
    found = np.zeros(len(bits_P), dtype=np.bool_)
    step = max(1, _CHUNK // len(bits_Q))
    for start in range(0, len(bits_P), step):
        apart = np.bitwise_count(bits_P[start : start + step, None] ^ bits_Q[None, :])
        p, q = np.nonzero(apart <= BITS)
        for some in range(0, len(p), 10_000):
            i, j = p[some : some + 10_000] + start, q[some : some + 10_000]
            grey = np.abs(thumbs_P[i] - thumbs_Q[j]).mean(axis=1)
            found[i[grey <= GREY]] = True
    return found


def _texts(view: View, name: str) -> Near:
    def near(rows: Rows, others: Rows) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(rows), dtype=np.bool_)
        left, right = (view.table.frame([name], each).to_series() for each in (rows, others))
        if not len(left) or not len(right):
            return found
        signature_PH, enough_P = hashes.text_signatures(left)
        signature_QH, enough_Q = hashes.text_signatures(right)
        p, q = _candidates(signature_PH, signature_QH)
        good = enough_P[p] & enough_Q[q]
        good &= (signature_PH[p] == signature_QH[q]).mean(axis=1) >= ALIKE - 0.2
        lists_P, lists_Q = hashes.split_words(left), hashes.split_words(right)
        for i, j in zip(p[good].tolist(), q[good].tolist(), strict=True):
            if not found[i]:
                found[i] = _jaccard(lists_P[i].to_list(), lists_Q[j].to_list()) >= ALIKE
        return found

    return near


def _candidates(
    signature_PH: hashes.U64, signature_QH: hashes.U64
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs that agree in a whole band; of many equal ones in a band, one. At 0.8 two in 10,000 are missed."""
    width = signature_PH.shape[1] // _BANDS
    pairs = []
    for band in range(_BANDS):
        p_keys, q_keys = (
            _band_key(each[:, band * width : (band + 1) * width]) for each in (signature_PH, signature_QH)
        )
        order = np.argsort(q_keys, kind="stable")
        place = np.minimum(np.searchsorted(q_keys[order], p_keys), len(order) - 1)
        q = order[place]
        p = np.flatnonzero(q_keys[q] == p_keys)
        pairs.append(np.stack([p, q[p]]))
    both = np.unique(np.concatenate(pairs, axis=1), axis=1)
    return both[0], both[1]


def _band_key(band: hashes.U64) -> hashes.U64:
    with np.errstate(over="ignore"):
        odd = np.arange(1, 2 * band.shape[1], 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        keys: hashes.U64 = (band * odd).sum(axis=1, dtype=np.uint64)
        return keys


def _jaccard(a: list[str], b: list[str]) -> float:
    one, two = (set(zip(each, each[1:], each[2:], strict=False)) for each in (a, b))
    return len(one & two) / max(1, len(one | two))


def _others(view: View) -> Rows:
    split = view.split
    return np.concatenate([split.train, split.select, split.calibrate])
