"""The compiled inner loops of the search, with everything that is compiled into them.

Numba keeps the machine code beside this file and makes it anew only when this file changes. So constants and tuples
that go into it stand here, and the loops take nothing from other modules of ours; a test holds that.

`scoring.what_if.search` says what they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

# The features that move, as positions in the tables below: three follow from the amount, two from the annuity.
AMOUNT, AMOUNT_INCOME, AMOUNT_GOODS, ANNUITY, ANNUITY_INCOME, TERM = range(6)
SLOTS = 6
# Log-odds next to the limit that one application may ask about in one go.
QUESTIONS = 16
_FIXED = -1
# How a test tells missing values: NaN and 0, or NaN; otherwise NaN is read as 0.
_MISSING_ZERO, _MISSING_NAN = 1, 2
_EITHER = 2
_UNKNOWN = -1
# LightGBM takes values up to this magnitude for 0 (kZeroThreshold, a float there).
_ZERO = float(np.float32(1e-35))
# Far more than a quotient of doubles can be off.
_ROUNDING = 1e-14

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Floats = NDArray[np.float64]
_Whole = NDArray[np.int64]


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(nogil=True, cache=True)(function))


def _inner(function: _Function) -> _Function:
    # Nobody calls these from Python: what would take their arrays over from there need not be compiled.
    return cast(_Function, njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


class Trees(NamedTuple):
    """The model as `scoring.explanation.lightgbm_text.TreeEnsemble` has it; `slot` is -1 where nothing moves."""

    node_start: _Whole
    leaf_start: _Whole
    feature: NDArray[np.int32]
    threshold: _Floats
    decision_type: NDArray[np.uint8]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf_value: _Floats
    category_start: NDArray[np.int32]
    category_words: NDArray[np.int32]
    category_bits: NDArray[np.uint32]
    slot: NDArray[np.int8]


class Rules(NamedTuple):
    """What holds for every application.

    Attributes
    ----------
    months: the durations that are tried, ascending.
    step: amounts are whole multiples of it.
    least_percent, most_percent: limits of the amount, in % of the one asked for.
    least, most: limits of the contract for amounts and annuities.
    limit, width: log-odds under limit - width are accepted, those over limit + width are not; between them `known`
        (ascending) and `known_accepted` answer, or the log-odds are a question.
    drift: more than a sum of trees can be off when it is updated instead of added up anew.
    """

    months: _Whole
    step: float
    least_percent: float
    most_percent: float
    least: float
    most: float
    limit: float
    width: float
    drift: float
    known: _Floats
    known_accepted: NDArray[np.bool_]


class Asked(NamedTuple):
    """What was asked for, one application a row.

    Attributes
    ----------
    matrix: float32 (n, columns), the model's matrix, row by row.
    amount, annuity, income, goods: shape (n,).
    months: shape (n,), the duration asked for.
    rate: shape (n, months), cents of annuity for each unit of amount.
    grid_amount: shape (n, amounts), NaN for none.
    grid_month: shape (n, durations), positions in `Rules.months`, -1 for none.
    """

    matrix: NDArray[np.float32]
    amount: _Floats
    annuity: _Floats
    income: _Floats
    goods: _Floats
    months: _Whole
    rate: _Floats
    grid_amount: _Floats
    grid_month: _Whole


class Found(NamedTuple):
    """What is found for each application: cells of shape (n, cells), `month` 0 where there is none.

    The cells are those of the grid, the one asked for where it is not of the grid, the frontier where it is not of
    the grid, one for each duration, and the nearest offer where it is none of those. `nearest` is its cell, or -1.
    `pieces` counts the pieces of constant log-odds that were looked at, `questions` holds NaN or log-odds.
    """

    amount: _Floats
    annuity: _Floats
    month: NDArray[np.int16]
    log_odds: _Floats
    is_grid: NDArray[np.bool_]
    is_frontier: NDArray[np.bool_]
    is_asked: NDArray[np.bool_]
    nearest: _Whole
    pieces: _Whole
    questions: _Floats


class _Row(NamedTuple):
    """One application: its trees with all tests answered that have one answer for every offer.

    `value` is the leaf of each tree, `root` its first test that is left, or -1. The tests that are left have
    numbers across trees; a child is such a number, or ~leaf. `state` is whether a test goes left at present, or
    `_EITHER`. Trees with several tests left are `knotted`.
    """

    value: _Floats
    root: _Whole
    slot: NDArray[np.int8]
    threshold: _Floats
    left: _Whole
    right: _Whole
    tree: _Whole
    state: NDArray[np.int8]
    stack: _Whole
    knotted: _Whole


class _Turns(NamedTuple):
    """The tests of one kind, those first that turn left first on the way down.

    Attributes
    ----------
    bound: the last amount (in steps) or the last annuity (in cents) that goes left.
    node: the test, or -1 if its tree has no other.
    change: by how much the log-odds change when it turns, if its tree has no other test.
    """

    bound: _Whole
    node: _Whole
    change: _Floats


class _Steps(NamedTuple):
    """The tests of amount / annuity, ascending.

    Attributes
    ----------
    threshold, node: as in `_Turns`.
    total: what the tests without others in their trees add where the first i go right, for i = 0, 1, ...
    slack: what the side that adds less adds less than the left one.
    """

    threshold: _Floats
    node: _Whole
    total: _Floats
    slack: _Floats


class _Ray(NamedTuple):
    """The offers of one duration: whole steps of amount from `first` to `last`, but for the one to `skip`.

    `asked` is the last amount that is not more than the one asked for. `loose` is how many tests of amount /
    annuity go left or right as the annuity is rounded.
    """

    rate: float
    step: float
    first: int
    last: int
    skip: int
    asked: int
    loose: int


@_inner
def _goes_left(value: float, threshold: float, decision_type: int) -> bool:
    missing = decision_type >> 2
    if abs(value) <= _ZERO or (value != value and missing != _MISSING_NAN):
        value = 0.0
    if value != value or (value == 0.0 and missing == _MISSING_ZERO):
        return (decision_type & 2) != 0
    return value <= threshold


@_inner
def _in_categories(value: float, words: NDArray[np.uint32]) -> bool:
    # Truncated as in LightGBM: what lies between -1 and 0 is category 0.
    if not (value > -1.0 and value < 32.0 * words.size):
        return False
    category = int(value)
    return bool((words[category >> 5] >> np.uint32(category & 31)) & np.uint32(1))


@_inner
def _moved(slot: int, amount: float, annuity: float, income: float, goods: float) -> float:
    """A feature of an offer, rounded as the model's matrix rounds it."""
    if slot == AMOUNT:
        value = amount
    elif slot == AMOUNT_INCOME:
        value = amount / income
    elif slot == AMOUNT_GOODS:
        value = amount / goods
    elif slot == ANNUITY:
        value = annuity
    elif slot == ANNUITY_INCOME:
        value = annuity / income
    else:
        value = amount / annuity
    return float(np.float32(value))


@_inner
def _cents(amount: float, rate: float) -> float:
    return float(np.rint(amount * rate))


@_inner
def _terms(rate: float, least_amount: float) -> tuple[float, float]:
    """Between which two values amount / annuity lies, the annuity being rounded to cents."""
    paid = max(least_amount * rate - 0.5, 0.5)
    off = 0.5 / paid
    low = 100.0 / rate / (1.0 + off) * (1.0 - _ROUNDING)
    high = 100.0 / rate * (1.0 + off) * (1.0 + _ROUNDING)
    return np.float64(np.float32(low)), np.float64(np.float32(high))


@_inner
def _last_paying(cents: float, rate: float, step: float, first: int, last: int) -> int:
    """The last amount, in steps, whose annuity is at most so many cents; first - 1 for none.

    The guess may be off by rounding; what counts is which annuity an amount has, and that never falls.
    """
    guess = (cents + 0.5) / (rate * step)
    at = last if guess >= last else max(int(guess), first - 1)
    while at < last and _cents((at + 1) * step, rate) <= cents:
        at += 1
    while at >= first and _cents(at * step, rate) > cents:
        at -= 1
    return at


@_inner
def _last_left(slot: int, threshold: float, first: int, last: int, step: float, income: float, goods: float) -> int:
    """The last amount, in steps, or annuity, in cents, that goes left; first - 1 for none.

    As above, the guess may be off, and what counts is the feature itself.
    """
    guess = threshold * 100.0 if slot >= ANNUITY else threshold / step
    if slot in (AMOUNT_INCOME, ANNUITY_INCOME):
        guess *= income
    elif slot == AMOUNT_GOODS:
        guess *= goods
    at = last if guess >= last else max(int(guess), first - 1)
    while at < last and _moved(slot, (at + 1) * step, (at + 1) / 100.0, income, goods) <= threshold:
        at += 1
    while at >= first and _moved(slot, at * step, at / 100.0, income, goods) > threshold:
        at -= 1
    return at


@_inner
def _reduce(
    t: int, count: int, x: NDArray[np.float32], low: _Floats, high: _Floats, trees: Trees, row: _Row
) -> int:
    """Answers the tests of tree `t` that have one answer for all offers; returns how many tests are left in all."""
    node0, leaf0 = trees.node_start[t], trees.leaf_start[t]
    stack, depth = row.stack, 1
    # Three numbers for each branch to follow: its node, the test above that was left, and on which side.
    stack[0], stack[1], stack[2] = 0 if trees.node_start[t + 1] > node0 else -1, -1, 0
    row.root[t] = -1
    while depth:
        depth -= 1
        node, above, side = stack[3 * depth], stack[3 * depth + 1], stack[3 * depth + 2]
        left_open = False
        while node >= 0:
            at = node0 + node
            slot, decision, threshold = trees.slot[at], trees.decision_type[at], trees.threshold[at]
            if slot == _FIXED:
                value = np.float64(x[trees.feature[at]])
                if decision & 1:
                    word = trees.category_start[at]
                    goes = _in_categories(value, trees.category_bits[word : word + trees.category_words[at]])
                else:
                    goes = _goes_left(value, threshold, decision)
            else:
                goes = _goes_left(high[slot], threshold, decision)
                left_open = goes != _goes_left(low[slot], threshold, decision)
            if left_open:
                break
            node = trees.left[at] if goes else trees.right[at]
        code = count if left_open else ~(leaf0 + ~node)
        if above >= 0:
            if side:
                row.left[above] = code
            else:
                row.right[above] = code
        elif left_open:
            row.root[t] = code
        else:
            row.value[t] = trees.leaf_value[~code]
        if left_open:
            at = node0 + node
            row.slot[count], row.threshold[count], row.tree[count] = trees.slot[at], trees.threshold[at], t
            stack[3 * depth], stack[3 * depth + 1], stack[3 * depth + 2] = trees.right[at], count, 0
            stack[3 * depth + 3], stack[3 * depth + 4], stack[3 * depth + 5] = trees.left[at], count, 1
            depth += 2
            count += 1
    return count


@_inner
def _least_leaf(
    root: int, left: _Whole, right: _Whole, state: NDArray[np.int8], leaf_value: _Floats, stack: _Whole
) -> float:
    """The lowest leaf of a tree that can be reached where tests of state `_EITHER` may go either way."""
    depth, least = 1, np.inf
    stack[0] = root
    while depth:
        depth -= 1
        node = stack[depth]
        while node >= 0 and state[node] != _EITHER:
            node = left[node] if state[node] else right[node]
        if node < 0:
            least = min(least, leaf_value[~node])
        else:
            stack[depth], stack[depth + 1] = left[node], right[node]
            depth += 2
    return least


@_inner
def _leaf(root: int, left: _Whole, right: _Whole, state: NDArray[np.int8], leaf_value: _Floats) -> float:
    node = root
    while node >= 0:
        node = left[node] if state[node] else right[node]
    return float(leaf_value[~node])


@_inner
def _is_accepted(log_odds: float, rules: Rules, questions: _Floats) -> bool:
    if log_odds > rules.limit + rules.width:
        return False
    if log_odds < rules.limit - rules.width:
        return True
    at = _below(rules.known, log_odds)
    if at < rules.known.size and rules.known[at] == log_odds:
        return bool(rules.known_accepted[at])
    for i in range(questions.size):
        if questions[i] == log_odds:
            break
        if questions[i] != questions[i]:
            questions[i] = log_odds
            break
    return False


@_inner
def _evaluate_one(x: _Floats, trees: Trees, row: _Row) -> float:
    """The log-odds of one offer, whose features are the first column of `x`."""
    # Arrays are taken out of their tuples here, because each time that costs more than an offer.
    root, value, slots, thresholds, lefts, rights, leaf_value = (
        row.root, row.value, row.slot, row.threshold, row.left, row.right, trees.leaf_value,
    )  # fmt: skip
    total = 0.0
    for t in range(value.size):
        if root[t] < 0:
            total += value[t]
            continue
        at = root[t]
        while at >= 0:
            at = lefts[at] if x[slots[at], 0] <= thresholds[at] else rights[at]
        total += leaf_value[~at]
    return total


@_inner
def _evaluate_all(cells: int, x: _Floats, trees: Trees, row: _Row, log_odds: _Floats, values: _Floats) -> None:
    """The log-odds of some offers, the columns of `x`: each test of a tree chooses for all of them at once.

    `values` is room for what the tests of a tree choose, shape (tests, offers).
    """
    roots, value, slots, thresholds, lefts, rights, tree, leaf_value = (
        row.root, row.value, row.slot, row.threshold, row.left, row.right, row.tree, trees.leaf_value,
    )  # fmt: skip
    n_tests = tree.size
    log_odds[:cells] = 0.0
    for t in range(value.size):
        root = roots[t]
        if root < 0:
            constant = value[t]
            for c in range(cells):
                log_odds[c] += constant
            continue
        end = root + 1
        while end < n_tests and tree[end] == t:
            end += 1
        # A test has a lower number than those below it.
        for node in range(end - 1, root - 1, -1):
            slot, threshold, left, right, k = (
                slots[node], thresholds[node], lefts[node], rights[node], node - root,
            )  # fmt: skip
            if left < 0 and right < 0:
                low, high = leaf_value[~left], leaf_value[~right]
                for c in range(cells):
                    values[k, c] = low if x[slot, c] <= threshold else high
            elif left < 0:
                low = leaf_value[~left]
                for c in range(cells):
                    values[k, c] = low if x[slot, c] <= threshold else values[right - root, c]
            elif right < 0:
                high = leaf_value[~right]
                for c in range(cells):
                    values[k, c] = values[left - root, c] if x[slot, c] <= threshold else high
            else:
                for c in range(cells):
                    values[k, c] = values[left - root, c] if x[slot, c] <= threshold else values[right - root, c]
        for c in range(cells):
            log_odds[c] += values[0, c]


@_inner
def _is_offer_accepted(
    amount: float, cents: float, income: float, goods: float, trees: Trees, rules: Rules, row: _Row, questions:
    _Floats, x: _Floats,
) -> bool:  # fmt: skip
    for slot in range(SLOTS):
        x[slot, 0] = _moved(slot, amount, cents / 100.0, income, goods)
    return _is_accepted(_evaluate_one(x, trees, row), rules, questions)


@_inner
def _is_alone(node: int, row: _Row) -> bool:
    """Whether no other test of its tree is left."""
    return bool(row.root[row.tree[node]] == node and row.left[node] < 0 and row.right[node] < 0)


@_inner
def _sort(keys: Any, nodes: _Whole) -> None:
    """Sorts both by the keys, ascending (Shell 1959); numba takes seconds to compile numpy's way."""
    gap = 1
    while gap < keys.size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, keys.size):
            key, node, at = keys[i], nodes[i], i
            while at >= gap and keys[at - gap] > key:
                keys[at], nodes[at] = keys[at - gap], nodes[at - gap]
                at -= gap
            keys[at], nodes[at] = key, node
        gap //= 3


@_inner
def _below(values: _Floats, limit: float) -> int:
    """How many of ascending values are below a limit."""
    low, high = 0, values.size
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@_inner
def _turns(nodes: _Whole, bounds: _Whole, row: _Row, leaf_value: _Floats) -> _Turns:
    """Takes both over, and changes them."""
    for i in range(bounds.size):
        bounds[i] = -bounds[i]
    _sort(bounds, nodes)
    change = np.zeros(bounds.size)
    for i in range(bounds.size):
        bounds[i] = -bounds[i]
        node = nodes[i]
        if _is_alone(node, row):
            change[i] = leaf_value[~row.left[node]] - leaf_value[~row.right[node]]
            nodes[i] = -1
    return _Turns(bounds, nodes, change)


@_inner
def _steps(nodes: _Whole, row: _Row, leaf_value: _Floats) -> _Steps:
    """Takes the tests over, and changes them."""
    threshold, total, slack = np.empty(nodes.size), np.zeros(nodes.size + 1), np.zeros(nodes.size)
    for i in range(nodes.size):
        threshold[i] = row.threshold[nodes[i]]
    _sort(threshold, nodes)
    for i in range(nodes.size):
        node = nodes[i]
        if _is_alone(node, row):
            left, right = leaf_value[~row.left[node]], leaf_value[~row.right[node]]
            total[0] += left
            total[i + 1] = right - left
            slack[i] = min(0.0, right - left)
            nodes[i] = -1
    for i in range(nodes.size):
        total[i + 1] += total[i]
    return _Steps(threshold, nodes, total, slack)


@_inner
def _take_steps(low: float, high: float, steps: _Steps, state: NDArray[np.int8]) -> tuple[float, int]:
    """Answers the tests of amount / annuity where it lies between low and high; returns what they add.

    Returns also how many go either way; of these it adds the least.
    """
    right, either = _below(steps.threshold, low), _below(steps.threshold, high)
    total = steps.total[right]
    for i in range(right, either):
        total += steps.slack[i]
    for i in range(steps.node.size):
        if steps.node[i] >= 0:
            state[steps.node[i]] = 0 if i < right else _EITHER if i < either else 1
    return total, either - right


@_inner
def _walk(
    ray: _Ray, amounts: _Turns, annuities: _Turns, steps: _Floats, total: float, income: float, goods: float, trees:
    Trees, rules: Rules, row: _Row, questions: _Floats, x: _Floats, best: _Whole, answers: NDArray[np.int8],
) -> int:  # fmt: skip
    """Goes down the amounts of a duration, from one piece of constant log-odds to the next.

    `total` is the sum of all trees but the knotted ones, with all tests of amounts and annuities going right, and
    `steps` are the thresholds of amount / annuity. `answers` is room for one more than these.
    Writes the largest accepted amount, in steps, and the largest that is not over the one asked for, -1 for none;
    returns how many pieces it looked at.
    """
    # Arrays are taken out of their tuples here, because each time that costs more than a piece.
    rate, step, first, is_loose = ray.rate, ray.step, ray.first, ray.loose > 0
    root, left, right, state, value, tree, stack = (
        row.root, row.left, row.right, row.state, row.value, row.tree, row.stack,
    )  # fmt: skip
    leaf_value, knotted = trees.leaf_value, row.knotted
    amount_bound, amount_node, amount_change = amounts.bound, amounts.node, amounts.change
    annuity_bound, annuity_node, annuity_change = annuities.bound, annuities.node, annuities.change
    unsure = rules.limit + rules.width + rules.drift
    sure = rules.limit - rules.width - rules.drift
    best[:] = -1
    for t in knotted:
        value[t] = (
            _least_leaf(root[t], left, right, state, leaf_value, stack)
            if is_loose
            else _leaf(root[t], left, right, state, leaf_value)
        )
        total += value[t]
    i, j, pieces, at = 0, 0, 0, ray.last
    # The last amount that turns the next test of an annuity; none so far.
    paying = -1
    while at >= first:
        cents = _cents(at * step, rate)
        while True:
            if i < amount_bound.size and amount_bound[i] >= at:
                node, change = amount_node[i], amount_change[i]
                i += 1
            elif j < annuity_bound.size and annuity_bound[j] >= cents:
                node, change = annuity_node[j], annuity_change[j]
                j += 1
                paying = -1
            else:
                break
            if node >= 0:
                t = tree[node]
                state[node] = 1
                change = -value[t]
                value[t] = (
                    _least_leaf(root[t], left, right, state, leaf_value, stack)
                    if is_loose
                    else _leaf(root[t], left, right, state, leaf_value)
                )
                change += value[t]
            total += change
        if paying < 0 and j < annuity_bound.size:
            paying = _last_paying(np.float64(annuity_bound[j]), rate, step, first, at)
        following = max(first - 1, paying if j < annuity_bound.size else 0)
        if i < amount_bound.size:
            following = max(following, amount_bound[i])
        pieces += 1
        if total <= unsure:
            is_sure = not is_loose and total < sure
            # Of the offers of a piece, those for which as many tests of amount / annuity go right have one answer.
            answers[:] = _UNKNOWN
            refused = 0
            for k in range(2):
                v = at if k == 0 else min(at, ray.asked)
                while best[k] < 0 and v > following and refused <= ray.loose:
                    if v != ray.skip:
                        cents = _cents(v * step, rate)
                        term = _moved(TERM, v * step, cents / 100.0, income, goods) if is_loose else 0.0
                        turned = _below(steps, term) if is_loose else 0
                        if answers[turned] == _UNKNOWN:
                            answers[turned] = is_sure or _is_offer_accepted(
                                v * step, cents, income, goods, trees, rules, row, questions, x
                            )
                            refused += answers[turned] == 0
                        if answers[turned]:
                            best[k] = v
                    v -= 1
            if best[1] >= 0:
                break
        at = following
    return pieces


@_compiled
def search(r0: int, r1: int, asked: Asked, trees: Trees, rules: Rules, found: Found) -> None:
    """Searches the applications r0 to r1, and fills in what was found."""
    n_nodes, n_trees = trees.feature.size, trees.node_start.size - 1
    widest = 1
    for t in range(n_trees):
        widest = max(widest, trees.node_start[t + 1] - trees.node_start[t])
    whole = _Row(
        np.empty(n_trees), np.empty(n_trees, np.int64), np.empty(n_nodes, np.int8), np.empty(n_nodes),
        np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64),
        np.empty(n_nodes, np.int8), np.empty(3 * (widest + 2), np.int64), np.empty(n_trees, np.int64),
    )  # fmt: skip
    x, log_odds = np.empty((SLOTS, found.amount.shape[1])), np.empty(found.amount.shape[1])
    frontier, within = np.empty(rules.months.size), np.empty(rules.months.size)
    values = np.empty((widest, x.shape[1]))
    for r in range(r0, r1):
        row = _search(r, frontier, within, whole, asked, trees, rules, found, x)
        _report(r, frontier, within, asked, trees, rules, row, found, x, log_odds, values)


@_inner
def _ranges(
    r: int, first: int, last: int, asked: Asked, step: float, terms: _Floats, low: _Floats, high: _Floats
) -> tuple[int, int]:
    """Between which values the features of all offers lie, the one asked for included; returns the annuity's cents.

    Fills `terms`, shape (2, months), with the range of amount / annuity at each duration.
    """
    amount, annuity, rate = asked.amount[r], asked.annuity[r], asked.rate[r]
    least, most = min(amount, first * step), max(amount, last * step)
    least_cents = max(1.0, _cents(least, rate.min()))
    most_cents = max(least_cents, _cents(most, rate.max()))
    for m in range(rate.size):
        terms[0, m], terms[1, m] = _terms(rate[m], least)
    for slot in range(TERM):
        low[slot] = _moved(slot, least, min(annuity, least_cents / 100.0), asked.income[r], asked.goods[r])
        high[slot] = _moved(slot, most, max(annuity, most_cents / 100.0), asked.income[r], asked.goods[r])
    own = _moved(TERM, amount, annuity, asked.income[r], asked.goods[r])
    low[TERM], high[TERM] = min(own, terms[0].min()), max(own, terms[1].max())
    return int(least_cents), int(most_cents)


@_inner
def _search(
    r: int, frontier: _Floats, within: _Floats, whole: _Row, asked: Asked, trees: Trees, rules: Rules, found: Found,
    x: _Floats,
) -> _Row:  # fmt: skip
    """Finds the largest accepted amount at each duration, and the largest up to the one asked for; NaN for none."""
    amount, income, goods, rate, questions = (
        asked.amount[r], asked.income[r], asked.goods[r], asked.rate[r], found.questions[r],
    )  # fmt: skip
    first = int(np.ceil(max(amount * rules.least_percent / 100.0, rules.least) / rules.step))
    last = int(np.floor(min(amount * rules.most_percent / 100.0, rules.most) / rules.step))
    terms, low, high = np.empty((2, rate.size)), np.empty(SLOTS), np.empty(SLOTS)
    least_cents, most_cents = _ranges(r, first, last, asked, rules.step, terms, low, high)

    # `lowest` is the sum of the lowest leaves that any offer can reach, `knotted` that of the knotted trees alone.
    count, knots, constant, lowest, knotted = 0, 0, 0.0, 0.0, 0.0
    for t in range(whole.root.size):
        before = count
        count = _reduce(t, count, asked.matrix[r], low, high, trees, whole)
        whole.state[before:count] = _EITHER
        if count == before:
            constant += whole.value[t]
            lowest += whole.value[t]
            continue
        least = _least_leaf(whole.root[t], whole.left, whole.right, whole.state, trees.leaf_value, whole.stack)
        lowest += least
        if count > before + 1:
            whole.knotted[knots] = t
            knots += 1
            knotted += least
    row = _Row(
        whole.value, whole.root, whole.slot, whole.threshold, whole.left, whole.right, whole.tree[:count],
        whole.state, whole.stack, whole.knotted[:knots],
    )  # fmt: skip
    frontier[:], within[:] = np.nan, np.nan
    found.pieces[r] = 1
    if lowest > rules.limit + rules.width + rules.drift:
        return row

    nodes, bounds = np.empty((3, count), np.int64), np.empty((2, count), np.int64)
    sizes = np.zeros(3, np.int64)
    for node in range(count):
        slot = row.slot[node]
        kind = 0 if slot < ANNUITY else 1 if slot < TERM else 2
        at = sizes[kind]
        sizes[kind] += 1
        nodes[kind, at] = node
        if kind < 2:
            start, end = (first, last) if kind == 0 else (least_cents, most_cents)
            bounds[kind, at] = _last_left(slot, row.threshold[node], start, end, rules.step, income, goods)
            if _is_alone(node, row):
                constant += trees.leaf_value[~row.right[node]]
    amounts = _turns(nodes[0, : sizes[0]], bounds[0, : sizes[0]], row, trees.leaf_value)
    annuities = _turns(nodes[1, : sizes[1]], bounds[1, : sizes[1]], row, trees.leaf_value)
    steps = _steps(nodes[2, : sizes[2]], row, trees.leaf_value)

    pieces, turning = 0, 0.0
    for change in amounts.change:
        turning += min(0.0, change)
    for change in annuities.change:
        turning += min(0.0, change)
    best, answers = np.empty(2, np.int64), np.empty(steps.threshold.size + 1, np.int8)
    for m in range(rate.size):
        is_own = rules.months[m] == asked.months[r]
        change, loose = _take_steps(terms[0, m], terms[1, m], steps, row.state)
        total = constant + change
        if total + knotted + turning > rules.limit + rules.width + rules.drift:
            # Not even the lowest leaf of every tree would do at this duration.
            pieces += 1
            continue
        # Before the first amount of a duration is looked at, every test of amounts and annuities goes right.
        for node in amounts.node:
            if node >= 0:
                row.state[node] = 0
        for node in annuities.node:
            if node >= 0:
                row.state[node] = 0
        skip = int(amount / rules.step) if is_own and amount % rules.step == 0.0 else -1
        start = _last_paying(100.0 * rules.least - 1.0, rate[m], rules.step, first, last) + 1
        end = _last_paying(100.0 * rules.most, rate[m], rules.step, first, last)
        ray = _Ray(rate[m], rules.step, start, end, skip, int(np.floor(amount / rules.step)), loose)
        pieces += _walk(
            ray, amounts, annuities, steps.threshold, total, income, goods, trees, rules, row, questions, x,
            best, answers,
        )  # fmt: skip
        if best[0] >= 0:
            frontier[m] = best[0] * rules.step
        if best[1] >= 0:
            within[m] = best[1] * rules.step
        # What was asked for need be no whole number of steps.
        cents = _cents(amount, rate[m])
        if (
            amount % rules.step != 0.0
            and not is_own
            and rules.least_percent <= 100.0 <= rules.most_percent
            and 100.0 * rules.least <= cents <= 100.0 * rules.most
        ):
            pieces += 1
            if _is_offer_accepted(amount, cents, income, goods, trees, rules, row, questions, x):
                within[m] = amount
                if not frontier[m] >= amount:
                    frontier[m] = amount
    found.pieces[r] = pieces
    return row


@_inner
def _report(
    r: int, frontier: _Floats, within: _Floats, asked: Asked, trees: Trees, rules: Rules, row: _Row, found: Found,
    x: _Floats, log_odds: _Floats, values: _Floats,
) -> None:  # fmt: skip
    """Writes the cells of an application."""
    amount, month, annuity = found.amount[r], found.month[r], found.annuity[r]
    own_amount, own_month = asked.amount[r], asked.months[r]
    cells = 0
    own = -1
    for g in asked.grid_month[r]:
        for one in asked.grid_amount[r]:
            if g < 0 or one != one:
                continue
            cents = _cents(one, asked.rate[r, g])
            is_own = one == own_amount and rules.months[g] == own_month
            if not is_own and not (
                rules.least <= one <= rules.most and 100.0 * rules.least <= cents <= 100.0 * rules.most
            ):
                continue
            amount[cells], month[cells], annuity[cells] = one, rules.months[g], cents / 100.0
            found.is_grid[r, cells] = True
            if is_own:
                own = cells
            cells += 1
    if own < 0:
        own = cells
        amount[own], month[own] = own_amount, own_month
        cells += 1
    annuity[own] = asked.annuity[r]
    found.is_asked[r, own] = True

    nearest, nearest_month = _nearest(within, own_amount, own_month, rules.months)
    if nearest_month < 0:
        nearest, nearest_month = _nearest(frontier, own_amount, own_month, rules.months)
    found.nearest[r] = -1
    for m in range(rules.months.size):
        for k in range(2):
            one = frontier[m] if k == 0 else nearest
            if one != one or (k == 1 and m != nearest_month):
                continue
            at = 0
            while at < cells and not (month[at] == rules.months[m] and amount[at] == one):
                at += 1
            if at == cells:
                amount[at], month[at] = one, rules.months[m]
                annuity[at] = _cents(one, asked.rate[r, m]) / 100.0
                cells += 1
            if k == 0:
                found.is_frontier[r, at] = True
            else:
                found.nearest[r] = at
    for c in range(cells):
        for slot in range(SLOTS):
            x[slot, c] = _moved(slot, amount[c], annuity[c], asked.income[r], asked.goods[r])
    _evaluate_all(cells, x, trees, row, log_odds, values)
    found.log_odds[r, :cells] = log_odds[:cells]


@_inner
def _nearest(amounts: _Floats, own_amount: float, own_month: int, months: _Whole) -> tuple[float, int]:
    """The amount and the duration's position of the offer that changes least; -1 for none."""
    chosen, least = -1, np.inf
    for m in range(months.size):
        if amounts[m] != amounts[m]:
            continue
        # The duration asked for comes first, whatever the amount.
        change = abs(amounts[m] / own_amount - 1.0) + abs(months[m] / own_month - 1.0)
        if months[m] == own_month:
            change = -1.0
        if change < least:
            chosen, least = m, change
    return (amounts[chosen] if chosen >= 0 else np.nan), chosen
