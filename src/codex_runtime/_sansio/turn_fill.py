"""What the server's record adds to the items that a turn has heard of.

Nothing is changed here but the marks of gaps: :func:`unheard` pairs the record with what a turn has, and says what is new.

The one idea: while a turn runs, its record has made-up ids (``item-2``) for all that is said, and the true ones only after
the end. So an id that we know is believed; words are recognised by the words; and the rest, such as prompts, by its place
among its kind. What came before the break was heard, so both lists begin alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime._sansio.turn_buffer import TextWindow
from codex_runtime._sansio.turn_events import PlanDelta, TextDelta, TurnEvent
from codex_runtime._sansio.turn_items import ItemFold, paragraphs, text

__all__ = ["Unheard", "has_made_up_id", "is_finished", "miss", "rest", "unheard"]

Unheard: TypeAlias = tuple[ItemFold | None, dict[str, JsonValue]]
"""An item of the record, and the one of ours that it tells more of; ``None`` if we have none."""


def unheard(ours: Sequence[ItemFold], record: Iterable[dict[str, JsonValue]]) -> list[Unheard]:
    """Return, in the order of the record, the items that we have not, or have not finished while the server has."""
    left: dict[str, list[ItemFold]] = {}
    for fold in ours:
        left.setdefault(fold.kind, []).append(fold)
    news: list[Unheard] = []
    for item in record:
        mine = left.get(text(item.get("type")), [])
        same = _same(mine, item)
        if same is not None:
            mine.remove(same)
        if same is None or (same.state == "started" and is_finished(item)):
            news.append((same, item))
    return news


def is_finished(item: dict[str, JsonValue]) -> bool:
    """Tell whether an item of a record is complete. Only what takes time has a status; words are written down when said."""
    return item.get("status") != "inProgress"


def has_made_up_id(item: dict[str, JsonValue]) -> bool:
    """Tell whether the id holds for this record only."""
    return text(item.get("id")).startswith("item-")


def rest(fold: ItemFold, item: dict[str, JsonValue]) -> list[TurnEvent]:
    """Return the piece that a reader of the deltas lacks before the item is complete; none if there is a gap before it."""
    words, heard = text(item.get("text")), _heard(fold)
    if fold.gap_at is not None or len(words) == len(heard) or not words.startswith(heard):
        return []
    match fold.kind:
        case "agentMessage":
            return [TextDelta(words[len(heard) :], fold.id)]
        case "plan":
            return [PlanDelta(words[len(heard) :], fold.id)]
        case _:
            return []


def miss(fold: ItemFold) -> None:
    """Mark the place in a running item where pieces may have been missed."""
    if fold.kind == "commandExecution":
        if fold.output is None:
            fold.output = TextWindow()
        fold.output.miss()
    elif fold.gap_at is None:
        fold.gap_at = len(_pieces(fold))


def _pieces(fold: ItemFold) -> list[str]:
    return fold.summary if fold.kind == "reasoning" else fold.pieces


def _heard(fold: ItemFold) -> str:
    """The beginning of a text, up to where something may be missing."""
    return "".join(_pieces(fold)[: fold.gap_at])


def _same(mine: list[ItemFold], item: dict[str, JsonValue]) -> ItemFold | None:
    by_id = next((fold for fold in mine if fold.id == item.get("id")), None)
    if by_id is not None or not mine:
        return by_id
    kind = mine[0].kind
    if kind in ("agentMessage", "reasoning"):
        return next((fold for fold in mine if _says(fold, item)), None)
    # A prompt gets another id when the turn is over.
    return mine[0] if kind == "userMessage" or has_made_up_id(item) else None


def _says(fold: ItemFold, item: dict[str, JsonValue]) -> bool:
    """Tell whether these are the words of an item of the record, or the beginning of them."""
    # The record leaves out what a reader has no use for, such as raw reasoning.
    words = (paragraphs(item.get("summary")) if fold.kind == "reasoning" else text(item.get("text"))) or ""
    if fold.message is not None:
        return words == fold.message.text
    if fold.reasoning is not None:
        return words == fold.reasoning.summary
    return words.startswith(_heard(fold))
