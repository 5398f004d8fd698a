"""Tag filters: what they match, which are malformed, when two are the same."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.fanout.tags_filter import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NODES,
    MAX_VALUES,
    FilterError,
    compile_filter,
    parse_decimal,
)


@dataclass(frozen=True)
class Node:
    """A filter node as the protocol has it."""

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()


def leaf(cmp: str, *values: str, key: str = "k") -> Node:
    """Makes a comparison of the tag k."""
    if cmp in ("in", "nin"):
        return Node(key=key, cmp=cmp, vals=values)
    return Node(key=key, cmp=cmp, val=values[0] if values else "")


A, B = leaf("eq", "a"), leaf("eq", "b")
WORDS = [{"k": "apple"}, {"k": "apricot"}, {"k": "grape"}, {"k": ""}, {"other": "apple"}, None]


@pytest.mark.parametrize(
    ("node", "matching"),
    [
        (leaf("eq", "apple"), [0]),
        (leaf("neq", "apple"), [1, 2, 3, 4, 5]),
        (leaf("in", "apple", "grape"), [0, 2]),
        (leaf("in", "", "grape"), [2, 3, 4, 5]),
        (leaf("nin", "apple", "grape"), [1, 3, 4, 5]),
        (leaf("nin", "", "grape"), [0, 1]),
        (leaf("ex"), [0, 1, 2, 3]),
        (leaf("nex"), [4, 5]),
        (leaf("sw", "ap"), [0, 1]),
        (leaf("ew", "pe"), [2]),
        (leaf("ct", "p"), [0, 1, 2]),
        (Node(op="not", nodes=(leaf("sw", "ap"),)), [2, 3, 4, 5]),
    ],
)
def test_comparisons_of_text(node: Node, matching: list[int]) -> None:
    tags_filter = compile_filter(node)
    assert [index for index, tags in enumerate(WORDS) if tags_filter.matches(tags)] == matching


NUMBERS = ["9", "10", "10.0", "+10", "10.5", "-1", "ten", "", "1e3", " 11", "0x20", "1_000", "11.", ".5", "١١", "11\n"]


@pytest.mark.parametrize(
    ("cmp", "matching"),
    [
        ("lt", ["9", "-1"]),
        ("lte", ["9", "10", "10.0", "+10", "-1"]),
        ("gt", ["10.5"]),
        ("gte", ["10", "10.0", "+10", "10.5"]),
    ],
)
def test_comparisons_of_numbers(cmp: str, matching: list[str]) -> None:
    tags_filter = compile_filter(leaf(cmp, "10"))
    assert [number for number in NUMBERS if tags_filter.matches({"k": number})] == matching
    assert not tags_filter.matches({})


def test_a_limit_that_is_no_number_matches_nothing() -> None:
    tags_filter = compile_filter(leaf("gt", "many"))
    assert not tags_filter.matches({"k": "1"})


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("0.0000000000000000001", "0.0000000000000000002"),
        ("9" * 199, "1" + "0" * 199),
        ("-" + "9" * 199, "-" + "9" * 198),
        ("340282366920938463463374607431768211455", "340282366920938463463374607431768211456"),
    ],
)
def test_numbers_are_exact(smaller: str, larger: str) -> None:
    assert compile_filter(leaf("lt", larger)).matches({"k": smaller})
    assert not compile_filter(leaf("lt", smaller)).matches({"k": larger})


@pytest.mark.parametrize("text", ["1." + "0" * 20, "1" * 201, "-", "+", "--1", "+-1", "1.2.3", "1..2", "-.5"])
def test_these_are_not_numbers(text: str) -> None:
    assert parse_decimal(text) is None


def test_zero_has_no_sign() -> None:
    assert parse_decimal("-0.0") == parse_decimal("+0") == 0


@given(st.from_regex(r"\A[+-]?[0-9]{1,60}(\.[0-9]{1,19})?\Z"))
def test_numbers_against_decimal(text: str) -> None:
    assert parse_decimal(text) == int(Decimal(text).scaleb(19, Context(prec=300)))


@pytest.mark.parametrize(
    "node",
    [
        Node(),
        Node(key="k"),
        Node(key="k", cmp="like", val="x"),
        Node(key="k", cmp="eq"),
        Node(key="k", cmp="eq", val="x", vals=("x",)),
        Node(cmp="eq", val="x"),
        Node(cmp="in", vals=("x",)),
        Node(key="k", cmp="in"),
        Node(key="k", cmp="in", val="x", vals=("x",)),
        Node(key="k", cmp="ex", val="x"),
        Node(key="k", cmp="nex", vals=("x",)),
        Node(op="and"),
        Node(op="or"),
        Node(op="not"),
        Node(op="not", nodes=(A, B)),
        Node(op="xor", nodes=(A,)),
        Node(op="and", nodes=(A, Node())),
        leaf("eq", "x" * (MAX_LENGTH + 1)),
        leaf("ex", key="x" * (MAX_LENGTH + 1)),
        leaf("in", "x" * (MAX_LENGTH + 1)),
        leaf("in", *map(str, range(MAX_VALUES + 1))),
        Node(op="or", nodes=(leaf("in", *map(str, range(MAX_VALUES))), leaf("in", "1"))),
        Node(op="and", nodes=(A,) * MAX_NODES),
        Node(op="and", nodes=(Node(op="or", nodes=(A,) * (MAX_NODES // 2)),) * 2),
    ],
)
def test_malformed(node: Node) -> None:
    with pytest.raises(FilterError):
        compile_filter(node)


def test_existence_needs_no_key() -> None:
    assert compile_filter(Node(cmp="ex")).matches({"": "x"})


def test_the_bounds_themselves_are_allowed() -> None:
    node = A
    for _ in range(MAX_DEPTH - 1):
        node = Node(op="not", nodes=(node,))
    compile_filter(node)
    with pytest.raises(FilterError, match="deep"):
        compile_filter(Node(op="not", nodes=(node,)))
    compile_filter(Node(op="and", nodes=(A,) * (MAX_NODES - 1)))
    compile_filter(leaf("in", *map(str, range(MAX_VALUES))))


def test_equal_filters_are_equal() -> None:
    first = compile_filter(Node(op="and", nodes=(A, leaf("in", "x", "y"))))
    second = compile_filter(Node(op="and", nodes=(Node(op="or", nodes=(A,)), leaf("in", "y", "x", "x"))))
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second}) == 1
    assert first != compile_filter(Node(op="or", nodes=(A, leaf("in", "x", "y"))))
    assert first != "and"
    assert compile_filter(leaf("gt", "1")) != compile_filter(leaf("gte", "1"))


KEYS = st.sampled_from(["k", "n"])
VALUES = st.sampled_from(["a", "ab", "b", "1", "2.5", "-3"])
LEAVES = st.one_of(
    st.builds(
        lambda cmp, key, val: Node(key=key, cmp=cmp, val=val),
        st.sampled_from(["eq", "neq", "sw", "ew", "ct", "lt", "lte", "gt", "gte"]),
        KEYS,
        VALUES,
    ),
    st.builds(lambda cmp, key: Node(key=key, cmp=cmp), st.sampled_from(["ex", "nex"]), KEYS),
    st.builds(
        lambda cmp, key, vals: Node(key=key, cmp=cmp, vals=tuple(vals)),
        st.sampled_from(["in", "nin"]),
        KEYS,
        st.lists(VALUES, min_size=1, max_size=3),
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda nodes: st.one_of(
        st.builds(
            lambda op, children: Node(op=op, nodes=tuple(children)),
            st.sampled_from(["and", "or"]),
            st.lists(nodes, min_size=1, max_size=4),
        ),
        st.builds(lambda child: Node(op="not", nodes=(child,)), nodes),
    ),
    max_leaves=10,
)


def evaluate(node: Node, tags: dict[str, str]) -> bool:
    """The meaning of a filter, read off the tree."""
    if node.op == "not":
        return not evaluate(node.nodes[0], tags)
    if node.op:
        return {"and": all, "or": any}[node.op](evaluate(child, tags) for child in node.nodes)
    tag = tags.get(node.key)
    if node.cmp in ("in", "nin"):
        return ((tag or "") in node.vals) == (node.cmp == "in")
    if node.cmp in ("ex", "nex"):
        return (tag is not None) == (node.cmp == "ex")
    if node.cmp == "neq":
        return tag != node.val
    if tag is None:
        return False
    if node.cmp in ("eq", "sw", "ew", "ct"):
        return {"eq": tag == node.val, "sw": tag.startswith(node.val), "ew": tag.endswith(node.val)}.get(
            node.cmp, node.val in tag
        )
    try:
        left, right = Decimal(tag), Decimal(node.val)
    except ArithmeticError:
        return False
    return {"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[node.cmp]


@settings(max_examples=200, deadline=None)
@given(TREES, st.dictionaries(KEYS, VALUES))
def test_against_a_plain_evaluation(node: Node, tags: dict[str, str]) -> None:
    assert compile_filter(node).matches(tags) == evaluate(node, tags)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.builds(Node, st.text(max_size=3), st.text(max_size=3), st.sampled_from(["eq", "in", "ex", "?", ""])),
        lambda nodes: st.builds(
            lambda op, children: Node(op=op, nodes=tuple(children)),
            st.sampled_from(["and", "or", "not", "", "nand"]),
            st.lists(nodes, max_size=3),
        ),
        max_leaves=6,
    )
)
def test_no_tree_raises_anything_else(node: Node) -> None:
    try:
        compile_filter(node).matches({"k": "v"})
    except FilterError:
        pass
