"""The tests. Folders mirror `src/codex_runtime`; `support` holds what the tests themselves need."""
