"""From the model to the text of ``codex_runtime/appserver/_generated.py``: one typed coroutine per client request.

Pure. The params struct of a method becomes keyword arguments, closed for type checkers: a literal the server does not
know is an error where it is typed.
"""

from __future__ import annotations

from tools.codegen.model import Definition, Field, Model, StructDef, UnionDef, snake
from tools.codegen.spell import WIDTH, Speller, assign, fill, header, quote, wrap


def appserver(model: Model, digest: str) -> str:
    """The file ``codex_runtime/appserver/_generated.py``."""
    calls = [_call(model, method.name) for method in model.methods if method.direction == "client_request"]
    body = "\n".join(calls)
    abc = [name for name in ("Mapping", "Sequence") if f"{name}[" in body]
    return (
        header(model, digest, "Every request of the app server as a typed coroutine; no logic.")
        + "\nfrom __future__ import annotations\n\n"
        + "from typing import TYPE_CHECKING, cast\n\n"
        + "from msgspec import UNSET, UnsetType\n\n"
        + "import codex_runtime.protocol as p\n\n"
        + f"if TYPE_CHECKING:\n    from collections.abc import {', '.join(abc)}\n\n\n"
        + "class GeneratedAppServer:\n"
        + '    """One coroutine per request; the subclass knows how to send it and how to read the answer."""\n\n'
        + "    async def _call(self, method: str, params: object, deadline: float | None) -> object:\n"
        + "        raise NotImplementedError\n\n"
        + body
    )


def _call(model: Model, name: str) -> str:
    method = next(m for m in model.methods if m.name == name)
    params = model.definitions.get(method.params or "")
    speller = Speller(model, is_open=False, prefix="p.")
    function = snake(name.replace("/", "_"))
    if isinstance(params, UnionDef):
        signature, value = [f"params: p.{params.name}", "/", "*"], "params"
    elif isinstance(params, StructDef) and params.fields:
        signature = ["*", *(_option(speller, field) for field in params.fields)]
        value = f"p.{params.name}({', '.join(f'{f.name}={f.name}' for f in params.fields)})"
    else:
        signature, value = ["*"], f"p.{params.name}()" if params else "None"
    signature += ["deadline: float | None = None"]
    result = f"p.{method.result}"
    return (
        f"    async def {function}(\n        self,\n"
        + "".join(f"        {part},\n" for part in signature)
        + f"    ) -> {result}:\n"
        + _call_doc(name, params, method.experimental, method.deprecated)
        + assign("params", value)
        + fill("return cast", quote(result), f"await self._call({quote(name)}, params, deadline)")
    )


def _option(speller: Speller, field: Field) -> str:
    if field.name in ("self", "deadline", "params"):
        raise ValueError(f"the field {field.name} collides with an argument of the generated call")
    if field.required:
        return f"{field.name}: {speller.spell(field.type)}"
    return f"{field.name}: {speller.optional(field.type)} = UNSET"


def _call_doc(name: str, params: Definition | None, experimental: bool, deprecated: bool) -> str:  # noqa: FBT001
    sentences = [f"Call `{name}`."]
    if experimental:
        sentences.append("Experimental.")
    if deprecated:
        sentences.append("Deprecated.")
    lines = [" ".join(sentences)]
    if isinstance(params, StructDef):
        for word, fields in (
            ("Experimental", [f.name for f in params.fields if f.experimental and not experimental]),
            ("Deprecated", [f.name for f in params.fields if f.deprecated]),
        ):
            if fields:
                lines += ["", *wrap(f"{word} options: " + ", ".join(f"`{f}`" for f in fields) + ".", WIDTH - 8)]
    if len(lines) == 1:
        return f'        """{lines[0]}"""\n'
    return f'        """{lines[0]}\n' + "".join(f"        {x}\n" if x else "\n" for x in lines[1:]) + '        """\n'
