"""The stage of the demo: a folder to work in, a ``CODEX_HOME``, and the part that the scripted model plays.

The model is a function from a request to a reply. It keeps nothing: what it remembers is what the request holds, which is
how the demo can show that the memory of a thread survives a crash.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from codex_runtime.testing import Exec, MockModel, Patch, Reply, Say, Think, Tokens, write_codex_home

if TYPE_CHECKING:
    from codex_runtime.testing import ModelRequest

__all__ = ["BUILD", "COPY", "EDIT", "LOOK", "RECALL", "Stage"]

LOOK = "What does this folder hold?"
COPY = "Make a copy of greet.py before we change it."
EDIT = "Now make the greeting friendlier."
BUILD = "Run the long build."
RECALL = "The server just crashed. What had I asked you before?"

_FILES = {
    "greet.py": 'def greet(name: str) -> str:\n    return "Hello " + name\n',
    "README.md": "# greet\n\nSays hello to somebody.\n",
}
_PATCH = """\
*** Begin Patch
*** Update File: greet.py
@@
 def greet(name: str) -> str:
-    return "Hello " + name
+    return f"Hello {name}, nice to see you!"
*** End Patch
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything below ``folder``; ``pace`` is the time in seconds that the model takes for a word."""

    folder: Path
    pace: float

    @classmethod
    def below(cls, folder: str, *, pace: float) -> Self:
        """Return a stage in an existing folder, whose path may lead through links."""
        return cls(Path(folder).resolve(), pace)

    @property
    def workspace(self) -> Path:
        """Where the agent works."""
        return self.folder / "greet"

    @property
    def scratch(self) -> Path:
        """Where the app server leaves its temporary files, so that they go with the rest."""
        return self.folder / "tmp"

    @property
    def copied(self) -> bool:
        """Whether the copy was made that the agent had to ask for."""
        return (self.workspace / "copy.py").exists()

    @property
    def edited(self) -> bool:
        """Whether the edit has reached the disk."""
        return "nice to see you" in (self.workspace / "greet.py").read_text()

    def model(self) -> MockModel:
        """Return the model, still to be entered."""
        return MockModel(default=self.reply)

    def prepare(self, base_url: str) -> Path:
        """Write the files and return the ``CODEX_HOME`` for a model at ``base_url``."""
        self.workspace.mkdir()
        self.scratch.mkdir()
        for name, text in _FILES.items():
            (self.workspace / name).write_text(text)
        if git := shutil.which("git"):  # without it the workspace is a folder like any other
            subprocess.run([git, "init", "--quiet"], cwd=self.workspace, check=False, capture_output=True, timeout=10)
        return write_codex_home(self.folder / "codex-home", base_url, model="gpt-5.5")

    def reply(self, request: ModelRequest) -> Reply:
        """What the model answers."""
        done = request.outputs()
        match request.prompt:
            case text if text == LOOK:
                return self._say(
                    request,
                    "Two files and no tests. greet.py builds the greeting, README.md says what it is for.",
                    think="A small folder. I name the files and say what each is for, in one sentence.",
                )
            case text if text == COPY:
                return self._copy(request, done)
            case text if text == EDIT and "edit" not in done:
                return Reply(
                    *self._words("A friendlier sentence, then."), Patch(_PATCH, call_id="edit"), _count(request)
                )
            case text if text == EDIT:
                return self._say(request, "Done: the greeting now says that it is nice to see you.")
            case text if text == BUILD:
                build = Exec("echo building; sleep 300", call_id="build")
                return Reply(*self._words("This will take five minutes."), build, _count(request))
            case text if text == RECALL:
                return self._recall(request)
        return self._say(request, "That is not in my script.")

    def _copy(self, request: ModelRequest, done: dict[str, str]) -> Reply:
        # Of a command that fails at once, the server shows nothing; it only tells the model.
        command = "sleep 0.4; cp greet.py copy.py"
        if "try" not in done:
            return Reply(Exec(command, call_id="try"), _count(request))
        if "ask" not in done:
            ask = Exec(command, escalate=True, justification="May I write into this folder?", call_id="ask")
            return Reply(*self._words("The sandbox only lets me read, so I ask."), ask, _count(request))
        return self._say(
            request, "The copy is there." if self.copied else "Then there is no copy. I go on without one."
        )

    def _recall(self, request: ModelRequest) -> Reply:
        known = [text for text in request.texts("user") if text in (LOOK, COPY, EDIT, BUILD)]
        listed = "".join(f"\n  {number}. {text}" for number, text in enumerate(known, 1))
        return self._say(request, f"Before this, you asked me {len(known)} things:{listed}")

    def _say(self, request: ModelRequest, text: str, *, think: str | None = None) -> Reply:
        thoughts = [Think(think, pace=self.pace)] if think else []
        return Reply(*thoughts, Say(text, pace=self.pace, phase="final_answer"), _count(request))

    def _words(self, text: str) -> list[Say]:
        return [Say(text, pace=self.pace, phase="commentary")]


def _count(request: ModelRequest) -> Tokens:
    # Four letters a token is what people reckon with; the mock has no better idea.
    return Tokens(input=len(str(request.json)) // 4, output=24)
