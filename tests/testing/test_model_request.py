"""What a test may read from a request of the server."""

from __future__ import annotations

from codex_runtime.testing._model_request import ModelRequest


def request(**body: object) -> ModelRequest:
    """A request with that body."""
    return ModelRequest(body, {}, None)


def message(role: str, *texts: str) -> dict[str, object]:
    """An item of the conversation."""
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text} for text in texts]}


def test_texts_are_found_by_role_and_the_prompt_is_the_last_of_the_user() -> None:
    """Images and other parts without text are passed over."""
    picture = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_image"}, {"type": "input_text", "text": "c"}],
    }
    asked = request(input=[message("user", "a", "b"), message("assistant", "x"), picture])
    assert asked.texts() == ["a", "b", "c"]
    assert asked.texts("assistant") == ["x"]
    assert asked.prompt == "c"
    assert request(input=[message("user", "a", "b")]).prompt == "a\nb"


def test_outputs_of_tools_are_text_by_call_id() -> None:
    """Both shapes of output are read: a string, and a list of parts."""
    asked = request(
        input=[
            {"type": "function_call", "call_id": "a"},
            {"type": "function_call_output", "call_id": "a", "output": "one"},
            {
                "type": "custom_tool_call_output",
                "call_id": "b",
                "output": [{"text": "two"}, {"image": 1}, {"text": "three"}],
            },
        ]
    )
    assert asked.outputs() == {"a": "one", "b": "two\nthree"}


def test_tools_are_named_wherever_they_are_offered() -> None:
    """In the list of tools, in groups, and in an item of the conversation."""
    group = {"type": "namespace", "name": "mcp__stub", "tools": [{"type": "function", "name": "echo"}]}
    extra = {"type": "additional_tools", "tools": [{"type": "custom", "name": "exec"}]}
    asked = request(tools=[{"type": "function", "name": "a"}, {"type": "web_search"}, group], input=[extra])
    assert asked.tools == ["a", "web_search", "mcp__stub.echo", "exec"]


def test_an_empty_request_has_nothing_in_it() -> None:
    """Nothing is required of the body, so a rule never fails on a stranger's request."""
    for asked in (request(), request(input="text"), request(input=[1, {"type": "message", "role": "user"}])):
        assert (asked.model, asked.tools, asked.texts(), asked.prompt, asked.outputs()) == ("", [], [], "", {})
