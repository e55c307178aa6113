"""From the model to Python text. Pure: a model in, a mapping of file name to content out.

Nothing is decided here but spelling and line breaks; the text is laid out the way ``ruff format`` would leave it.
One trick keeps generated modules free of import cycles: annotations are strings, and a module imports its neighbours at
its very end, when its own classes exist already.
"""

from __future__ import annotations

import re

from tools.codegen.model import EnumDef, Field, Model, Nullable, Plain, Ref, StructDef, UnionDef, camel, snake, uses
from tools.codegen.spell import WIDTH, Speller, all_names, from_import, has_word, header, quote


def protocol(model: Model, digest: str) -> dict[str, str]:
    """The files of ``codex_runtime/protocol/_generated``."""
    modules = model.modules()
    files = {f"{name}.py": _Module(model, name, digest).text() for name in modules}
    files["methods.py"] = _methods(model, digest)
    files["__init__.py"] = _index(model, digest)
    return files


# --- One module of types ---------------------------------------------------------------------------------------------


class _Module:
    def __init__(self, model: Model, name: str, digest: str) -> None:
        self._model = model
        self._name = name
        self._digest = digest
        self._definitions = model.modules()[name]

    def text(self) -> str:
        parts = [*self._enums(), *self._structs(), *self._unions()]
        body = "\n\n" + "\n\n".join(parts) + self._neighbours()
        imports = [
            from_import("collections.abc", [n for n in ("Mapping", "Sequence") if f"{n}[" in body]),
            from_import("typing", [n for n in _TYPING if has_word(n, body)]),
            from_import("msgspec", [n for n in ("UNSET", "UnsetType", "field") if has_word(n, body)]),
            from_import("codex_runtime.protocol._base", [n for n in _BASES if has_word(n, body)]),
        ]
        groups = [imports[0] + imports[1], imports[2], imports[3]]
        return (
            header(self._model, self._digest, f"Types of `{self._name}`.")
            + "\nfrom __future__ import annotations\n\n"
            + "\n".join(group for group in groups if group)
            + f"\n{all_names(d.name for d in self._definitions)}"
            + body
        )

    def _enums(self) -> list[str]:
        enums = [d for d in self._definitions if isinstance(d, EnumDef)]
        if not enums:
            return []
        checked = "\n".join(_alias_enum(d) for d in enums)
        plain = "\n".join(f"    {d.name} = str" for d in enums)
        # At the top of a module `if` follows one blank line less than a class does.
        return [f"if TYPE_CHECKING:\n{checked}\nelse:\n{plain}\n"]

    def _structs(self) -> list[str]:
        return [self._struct(d) for d in self._definitions if isinstance(d, StructDef)]

    def _struct(self, struct: StructDef) -> str:
        bases = ["Wire", "frozen=True", "kw_only=True"]
        body = []
        if struct.tag:
            field, value = struct.tag
            bases += [f"tag_field={quote(field)}", f"tag={quote(value)}"]
            body.append(f"    {snake(field)}: ClassVar[Literal[{quote(value)}]] = {quote(value)}")
        if struct.method:
            body.append(f"    method: ClassVar[str] = {quote(struct.method)}")
        body += [self._field(struct, field) for field in struct.fields]
        doc = _doc(struct)
        lines = [f'    """{doc}"""'] if doc else []
        if doc and body:
            lines.append("")
        return _class_line(struct.name, bases) + "\n".join([*lines, *body] or ["    pass"]) + "\n"

    def _field(self, struct: StructDef, field: Field) -> str:
        annotation, default = _annotate(self._model, struct, field)
        renamed = camel(field.name) != field.wire
        line = f"    {field.name}: {annotation}"
        if renamed:
            call = f"name={quote(field.wire)}" + (f", default={default}" if default else "")
            fits = len(line) + len(call) + len(" = field()") <= WIDTH
            line += f" = field({call})" if fits else f" = field(\n        {call}\n    )"
        elif default:
            line += f" = {default}"
        flags = [word for word, on in (("experimental", field.experimental), ("deprecated", field.deprecated)) if on]
        return line + (f"  # {', '.join(flags)}" if flags else "")

    def _unions(self) -> list[str]:
        unions = [d for d in self._definitions if isinstance(d, UnionDef)]
        if not unions:
            return []
        checked = "\n".join(_alias_union(d) for d in unions)
        classes = "".join(_union_class(self._model, d) for d in unions)
        return [f"if TYPE_CHECKING:\n{checked}\nelse:\n{classes}"]

    def _neighbours(self) -> str:
        homes = self._model.homes
        used = {name for d in self._definitions if isinstance(d, StructDef) for name in uses(d)}
        foreign: dict[str, list[str]] = {}
        for name in sorted(used):
            if homes[name] != self._name:
                foreign.setdefault(homes[name], []).append(name)
        lines = [
            from_import(f"codex_runtime.protocol._generated.{home}", names) for home, names in sorted(foreign.items())
        ]
        return "\n\n" + "".join(lines) if lines else ""


_TYPING = ("TYPE_CHECKING", "ClassVar", "Literal", "TypeAlias")
_BASES = ("Json", "Keyed", "Shaped", "Tagged", "Unknown", "Wire")


def _annotate(model: Model, struct: StructDef, field: Field) -> tuple[str, str]:
    """The annotation and the default (empty when required) of a field."""
    speller = Speller(model, is_open=struct.inbound)
    if field.required:
        return speller.spell(field.type), ""
    if not struct.outbound:
        if field.has_default and (literal := _literal(field)) is not None:
            return speller.spell(field.type), literal
        if isinstance(field.type, Nullable) or field.type == Plain("object"):
            return speller.spell(field.type), "None"
    return speller.optional(field.type), "UNSET"


def _literal(field: Field) -> str | None:
    """The schema's default as Python, where it is simple enough to stand in a class body."""
    if field.default is None:
        return "None" if isinstance(field.type, Nullable) or field.type == Plain("object") else None
    if field.default in ([], {}) or isinstance(field.default, (bool, int)):
        return repr(field.default)
    return quote(field.default) if isinstance(field.default, str) else None


def _alias_enum(enum: EnumDef) -> str:
    line = f"    {enum.name}: TypeAlias = Literal[{', '.join(quote(v) for v in enum.values)}]"
    if len(line) <= WIDTH:
        return line
    return f"    {enum.name}: TypeAlias = Literal[\n" + "".join(f"        {quote(v)},\n" for v in enum.values) + "    ]"


def _alias_union(union: UnionDef) -> str:
    options = list(dict.fromkeys(struct for _, struct in union.arms))
    if union.literals:
        options.insert(0, f"Literal[{', '.join(quote(v) for v in union.literals)}]")
    if union.text:
        options.append("str")
    if union.inbound:
        options.append("Unknown")
    line = f"    {union.name}: TypeAlias = {' | '.join(options)}"
    if len(line) <= WIDTH:
        return line
    if len(" | ".join(options)) + 8 <= WIDTH:
        return f"    {union.name}: TypeAlias = (\n        {' | '.join(options)}\n    )"
    first, *rest = [_literal_lines(o) if len(o) > WIDTH - 10 else o for o in options]
    return f"    {union.name}: TypeAlias = (\n        {first}\n" + "".join(f"        | {o}\n" for o in rest) + "    )"


def _literal_lines(option: str) -> str:
    values = re.findall(r'"[^"]*"', option)
    return "Literal[\n" + "".join(f"            {v},\n" for v in values) + "        ]"


def _union_class(model: Model, union: UnionDef) -> str:
    match union.kind:
        case "tagged":
            options = f"        tag={quote(union.tag)},\n        arms={{\n{_pairs(union)}        }},\n"
        case "keyed":
            options = f"        arms={{\n{_pairs(union)}        }},\n"
        case _:
            rows = [_shape(model, struct) for _, struct in union.arms]
            arms = (
                f"({rows[0]},)"
                if len(rows) == 1
                else "(\n" + "".join(f"            {x},\n" for x in rows) + "        )"
            )
            options = f"        arms={arms},\n        text={union.text},\n"
    base = union.kind.title()
    return f'\n    class {union.name}(\n        {base},\n{options}    ):\n        """See the alias above."""\n'


def _pairs(union: UnionDef) -> str:
    return "".join(f"            {quote(tag)}: {struct},\n" for tag, struct in union.arms)


def _shape(model: Model, name: str) -> str:
    """An arm of a shaped union with the strings its required fields are limited to."""
    struct = model.definitions[name]
    fixed = []
    if isinstance(struct, StructDef):
        for field in struct.fields:
            enum = model.definitions.get(field.type.name) if isinstance(field.type, Ref) else None
            if field.required and isinstance(enum, EnumDef):
                values = ", ".join(quote(v) for v in enum.values) + ("," if len(enum.values) == 1 else "")
                fixed.append(f"{quote(field.wire)}: ({values})")
    return f"({name}, {{{', '.join(fixed)}}})"


def _doc(struct: StructDef) -> str:
    if struct.role:
        text = f"{struct.role}."
    elif struct.union and struct.tag:
        text = f"The `{struct.union}` whose `{struct.tag[0]}` is `{struct.tag[1]}`."
    elif struct.union:
        text = f"One form of `{struct.union}`."
    elif struct.is_open:
        text = "The known keys of an open object; the raw message has them all."
    else:
        text = "" if struct.fields else "An empty object."
    flags = [word for word, on in (("Experimental.", struct.experimental), ("Deprecated.", struct.deprecated)) if on]
    return " ".join([text, *flags]).strip()


def _class_line(name: str, bases: list[str]) -> str:
    line = f"class {name}({', '.join(bases)}):\n"
    if len(line) <= WIDTH + 1:
        return line
    inner = ", ".join(bases)
    if len(inner) + 4 <= WIDTH:
        return f"class {name}(\n    {inner}\n):\n"
    return f"class {name}(\n" + "".join(f"    {base},\n" for base in bases) + "):\n"


# --- Tables ----------------------------------------------------------------------------------------------------------


def _methods(model: Model, digest: str) -> str:
    rows = []
    for method in sorted(model.methods, key=lambda m: m.name):
        stability = "experimental" if method.experimental else "stable"
        cells = [method.name, method.direction, method.namespace, method.params, method.result, stability]
        text = ", ".join("None" if cell is None else quote(cell) for cell in cells) + f", {method.deprecated}"
        line = f"    ({text}),"
        if len(line) > WIDTH:
            line = "    (\n" + "".join(f"        {cell},\n" for cell in text.split(", ")) + "    ),"
        rows.append(line)
    return (
        header(model, digest, "Every method: name, direction, namespace, params, result, stability, deprecated.")
        + f"\nfrom __future__ import annotations\n\nVERSION = {quote(model.version)}\n\n"
        + "METHODS: tuple[tuple[str, str, str, str | None, str | None, str, bool], ...] = (\n"
        + "\n".join(rows)
        + "\n)\n"
    )


def _index(model: Model, digest: str) -> str:
    modules = model.modules()
    stars = "".join(f"    from codex_runtime.protocol._generated.{name} import *\n" for name in modules)
    homes = "".join(_home(module, [d.name for d in definitions]) for module, definitions in modules.items())
    names = sorted(d.name for definitions in modules.values() for d in definitions)
    return (
        header(model, digest, "Which module holds which name. Importing this file imports none of them.")
        + "\nfrom __future__ import annotations\n\nfrom typing import TYPE_CHECKING\n\n"
        + f"if TYPE_CHECKING:\n{stars}\n{all_names(names)}\n"
        + f"MODULES: dict[str, tuple[str, ...]] = {{\n{homes}}}\n"
    )


def _home(module: str, names: list[str]) -> str:
    line = f"    {quote(module)}: ({', '.join(map(quote, names))}{',' * (len(names) == 1)}),\n"
    if len(names) == 1 and len(line) <= WIDTH + 1:
        return line
    return f"    {quote(module)}: (\n" + "".join(f"        {quote(name)},\n" for name in names) + "    ),\n"
