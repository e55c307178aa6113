"""Standing orders of a test to its fake app server."""

from __future__ import annotations

from collections import deque

from codex_runtime.testing._fake_orders import Death, Orders, ReplyOrder
from codex_runtime.testing._fake_script import Die, Script


def test_scripts_are_used_once_and_then_the_default() -> None:
    """In the order in which they were lined up; a rule that is used up is passed over."""
    one, two, default = Script.of("1"), Script.of("2"), Script.of("d")
    orders = Orders(default=default, scripts=deque([one]), rules=[("x", deque([two]))])
    assert [orders.script_for(text) for text in ("xx", "xx", "xx")] == [two, one, default]


def test_an_order_for_answers_is_used_up() -> None:
    """Unless it is for ever; the first that fits is taken."""
    once, always = ReplyOrder("a", "swallow", 1), ReplyOrder(None, "overload", None)
    orders = Orders(default=Script(), replies=[once, always])
    assert [orders.reply_order(method) for method in ("b", "a", "a")] == [always, once, always]
    assert Orders(default=Script()).reply_order("a") is None


def test_a_death_is_for_one_message_at_one_moment() -> None:
    """As often as was said."""
    orders = Orders(default=Script(), deaths=[Death("a", "after", Die(code=1), 2)])
    assert orders.death("a", "before") is None
    assert orders.death("b", "after") is None
    assert [orders.death("a", "after") for _ in range(3)] == [Die(code=1), Die(code=1), None]
