"""``python -m codex_runtime``: the command line."""

from codex_runtime.cli import main

if __name__ == "__main__":
    main()
