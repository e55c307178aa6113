"""One request that the server sent to the model, laid out for a test to look at.

This file reads, and never answers. The one idea: everything the server tells a
model is in the JSON body; the properties here only save the digging.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ModelRequest"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What the model was asked: the JSON body, and the headers by their lower-case names.

    Example: ``assert "apply_patch" in model.requests[0].tools``
    """

    json: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    thread_id: str | None
    """The thread whose turn this is, from the headers."""

    @property
    def model(self) -> str:
        """The model the server wants to answer."""
        return str(self.json.get("model", ""))

    @property
    def items(self) -> list[Mapping[str, Any]]:
        """The conversation so far: the items of the request's ``input``."""
        found = self.json.get("input", [])
        return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []

    @property
    def tools(self) -> list[str]:
        """The names of all tools the model may call; a tool of a group is ``group.tool``."""
        offered = [*self.json.get("tools", [])]
        for item in self.items:
            if item.get("type") == "additional_tools":
                offered += item.get("tools", [])
        return [name for tool in offered for name in _names(tool)]

    def texts(self, role: str = "user") -> list[str]:
        """All text in the messages of one role (``user``, ``assistant``, ``developer``), oldest first."""
        return [text for item in self._messages(role) for text in _texts(item.get("content"))]

    @property
    def prompt(self) -> str:
        """The text of the last message of the user; empty if there is none."""
        messages = self._messages("user")
        return "\n".join(_texts(messages[-1].get("content"))) if messages else ""

    def outputs(self) -> dict[str, str]:
        """What the tools gave back, as text, by call id; in the order in which the calls were answered."""
        return {
            str(item.get("call_id")): "\n".join(_texts(item.get("output")))
            for item in self.items
            if str(item.get("type")).endswith("_output")
        }

    def _messages(self, role: str) -> list[Mapping[str, Any]]:
        return [item for item in self.items if item.get("type") == "message" and item.get("role") == role]


def _names(tool: Mapping[str, Any]) -> Iterator[str]:
    name = str(tool.get("name") or tool.get("type"))
    if tool.get("type") == "namespace":
        for inner in tool.get("tools", []):
            yield from (f"{name}.{inner_name}" for inner_name in _names(inner))
    else:
        yield name


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    return []
