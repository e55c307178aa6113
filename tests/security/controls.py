"""What may be done to whoever uses this package, what stands against it, and the tests that prove it: the list.

The ids are for good, whatever becomes of their entry; those that are not here are about things that this package does not have
(a web door, documents, tenants). SECURITY.md tells the same in the words of a user.

The one idea: a control without a test is not claimed, and what a control does not cover is said with it, and why.

`python -m tests.security.controls` prints the table.
"""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTROLS", "IDS", "Control", "table"]

IDS = frozenset(f"S{number}" for number in (1, 2, 3, 4, 5, 6, 18, 19, 20, 21, 22, 24, 26, 27, 28, 30))
"""Every id that was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One threat and what stands against it. ``tests`` are named as pytest names them; ``uncovered`` says what is left, and why."""

    id: str
    threat: str
    control: str
    tests: tuple[str, ...]
    uncovered: str | None = None


def _in(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/{file}.py::test_{name}" for name in names)


CONTROLS: tuple[Control, ...] = (
    Control(
        id="S1",
        threat="The server asks for leave, and nobody decides.",
        control=(
            "Silence is a no, in the form that each method has for it: without a handler, at the deadline, after a failure, "
            "with a full desk, with parameters without a sense; after a death or an end nothing is answered at all."
        ),
        tests=(
            *_in(
                "security/test_answers",
                "every_request_of_the_server_is_in_the_tables",
                "silence_is_a_no_to_everything",
                "a_hang_is_a_no_to_everything",
                "a_handler_that_does_not_say_yes_says_no",
                "what_a_plain_function_returns_is_no_answer",
                "a_death_or_an_end_answers_nothing",
                "a_full_desk_says_no_to_everything_more",
                "parameters_without_a_sense_are_no_yes",
                "no_method_is_a_yes_because_it_looks_like_one",
            ),
            *_in(
                "security/test_real",
                "a_model_gets_nothing_from_those_who_do_not_answer",
                "a_death_over_an_open_question_is_no_yes",
            ),
            *_in("sansio/test_server_requests", "no_refusal_of_any_method_reads_as_consent"),
            *_in("runtime/test_server_requests", "a_yes_after_the_deadline_is_a_no"),
        ),
        uncovered=(
            "What codex does without asking is between it and its configuration: with a reviewer other than the user in "
            "codex's own home, a model answers in the place of whoever uses this package."
        ),
    ),
    Control(
        id="S2",
        threat="A hook that should have said no fails.",
        control=(
            "At a gate a hook that raises, hangs, recurses, cancels itself or answers nonsense is a deny, whatever others said "
            "before it; a yes that comes after the deadline is none."
        ),
        tests=(
            *_in(
                "security/test_hooks",
                "a_hook_that_does_not_work_is_a_no_though_all_others_say_yes",
                "a_yes_of_ones_own_making_is_none_stronger_than_a_no",
                "a_hook_that_holds_the_loop_up_gains_nothing_by_it",
                "a_hook_that_calls_back_is_a_no_and_not_a_knot",
                "what_a_hook_does_to_what_it_is_told_changes_nothing",
            ),
            *_in(
                "hooks/test_run",
                "a_hook_that_fails_at_a_gate_is_a_no",
                "paths_that_cannot_be_resolved_are_a_no",
                "when_too_many_threads_hang_no_more_are_started",
            ),
            *_in("client/test_guard", "hooks_of_one_session_never_answer_for_another"),
        ),
        uncovered="A coroutine hook that never gives the loop back stops all of the program: Python has no way to end it.",
    ),
    Control(
        id="S3",
        threat="An answer is late, forged, given twice, or meant for another question.",
        control=(
            "A ticket holds the connection that asked and is settled once; its id is 128 bits of chance; it cannot be copied; a "
            "yes is made of what the server sent, and the record has the digest of what was shown."
        ),
        tests=(
            *_in(
                "security/test_answers",
                "one_id_tells_nothing_of_another",
                "an_id_that_was_made_up_finds_nothing",
                "a_ticket_cannot_be_copied_and_settled_again",
                "an_old_yes_is_not_replayed_to_the_server_that_came_after",
                "a_yes_is_for_what_the_server_asked_whatever_was_done_to_it_since",
                "who_reads_one_thread_cannot_be_handed_the_questions_of_another",
            ),
            *_in(
                "runtime/test_server_requests",
                "the_second_answer_is_refused",
                "a_late_answer_never_reaches_the_next_server",
                "an_answer_in_the_moment_of_the_death_goes_nowhere",
                "a_thread_cannot_settle_a_ticket",
            ),
            *_in("client/test_approvals", "a_turn_of_ours_answers_for_itself_alone"),
        ),
        uncovered="Whoever holds a ticket may answer it: who that is, is checked by the program that hands tickets on.",
    ),
    Control(
        id="S4",
        threat="The agent gets more room than whoever started it meant to give.",
        control=(
            "Full access, roots to write, a reviewer other than the user and configuration that names a program take a second "
            "word, by every method of the schema, typed or raw, in profiles and on the command line."
        ),
        tests=(
            *_in(
                "security/test_gate",
                "every_way_in_is_known",
                "every_name_of_a_right_is_judged",
                "what_widens_is_refused",
                "neither_door_lets_it_pass_before_it_is_said_twice",
                "a_session_and_its_turns_take_the_second_word_too",
                "settings_are_judged_wherever_they_are_given",
                "the_defaults_are_the_narrowest",
            ),
            *_in("security/test_real", "each_way_to_write_elsewhere_takes_the_second_word_and_works_with_it"),
            *_in(
                "sansio/test_permissions",
                "a_request_that_gives_up_the_sandbox_is_refused",
                "parameters_by_their_place_are_refused",
                "of_a_name_that_stands_twice_the_last_counts",
                "the_gate_says_yes_or_no_to_anything",
            ),
            *_in("real/test_sandbox", "what_the_server_lets_out_of_the_sandbox_is_what_the_gate_stops"),
        ),
        uncovered=(
            "The folder to work in is the caller's word: whoever names `/` or a home as `cwd` of an agent that may write gives "
            "all of it. What a later schema brings passes until this package follows; a test then fails."
        ),
    ),
    Control(
        id="S5",
        threat="A yes to one thing becomes a yes to all that come after it.",
        control=(
            "Nothing that outlives a request is part of a plain yes, of a profile that accepts, of a hook that allows or of a "
            "default: sessions, rules, hosts and grants have methods of their own, and are on record with their scope."
        ),
        tests=(
            *_in(
                "security/test_answers",
                "a_plain_yes_widens_nothing_that_comes_later",
                "a_profile_that_accepts_widens_nothing_and_gives_no_content",
                "a_hook_that_allows_widens_nothing",
            ),
            *_in("sansio/test_answers", "a_yes_never_holds_an_amendment"),
            *_in("sansio/test_decisions", "a_yes_says_for_how_long_it_holds"),
            *_in(
                "real/test_flows_approvals",
                "a6_an_amendment_is_a_rule_for_good_and_has_to_be_asked_for_by_name",
            ),
        ),
        uncovered=(
            "A patch may ask for a folder along with it (`grantRoot`). A plain yes is one to both, for the protocol has no other; "
            "the question says so."
        ),
    ),
    Control(
        id="S6",
        threat="What a person agrees to is not what they saw.",
        control=(
            "A question shows all of it, with place and length, and nothing in it is unseen: controls, marks of direction, "
            "joiners, spaces of other kinds and long stretches of blanks are named; no content looks like a label."
        ),
        tests=(
            *_in(
                "security/test_display",
                "who_agrees_sees_all_of_it",
                "what_differs_in_the_least_is_shown_and_recorded_differently",
                "a_long_command_is_shown_whole_with_its_length_and_its_place",
            ),
            *_in("sansio/test_wording", "no_field_is_left_out", "nothing_is_shortened", "any_request_can_be_shown"),
            *_in("cli/test_questions", "what_was_typed_too_early_is_no_answer"),
        ),
        uncovered="Letters that look like others (a Cyrillic one in a path) are shown as they are; they are letters.",
    ),
    Control(
        id="S18",
        threat="A secret ends up in a log, a record, a message or a report.",
        control=(
            "Credentials that we send are hidden from every sink and subscriber; no `repr`, message, traceback, metric, record "
            "of a decision or word to a logger holds a secret, or anything else that came over the wire, but what a refusal says."
        ),
        tests=(
            *_in(
                "security/test_canaries",
                "secrets_reach_the_server_and_nothing_else",
                "no_repr_of_ours_tells_a_secret",
                "a_setting_that_is_refused_is_not_repeated",
                "every_request_that_may_hold_a_secret_is_known",
                "what_cannot_be_read_is_not_put_on_record_at_all",
            ),
            *_in(
                "behaviour/test_secrets",
                "what_stood_on_stderr_is_beside_the_error_and_not_in_it",
                "what_a_dying_server_complained_of_is_beside_the_error_and_not_in_it",
                "a_result_without_the_id_it_should_have_is_not_repeated",
                "an_answer_that_is_wrong_is_not_repeated",
                "only_the_words_of_a_refusal_are_quoted",
            ),
            *_in("io/test_websocket", "no_token_gets_into_a_log"),
        ),
        uncovered=(
            "Logs and states hold the words of a turn, and what the server says: a secret in a prompt, a command, its output or "
            "the configuration that is read is in them. So is what stands on stderr, for whoever asks for it. Settings of "
            "the command line can be seen by other users of the machine, as every command line can."
        ),
    ),
    Control(
        id="S19",
        threat="The agent reads the environment of the program that uses it.",
        control=(
            "The server, and so each command, gets what programs need and no more; `inherit_env` names what else, `env` adds and "
            "removes."
        ),
        tests=(
            *_in(
                "security/test_programs",
                "a_child_inherits_what_it_needs_and_what_is_named",
                "what_is_not_named_is_not_in_the_child",
                "the_settings_of_a_runtime_say_what_is_inherited",
            ),
            *_in("security/test_real", "a_command_of_the_agent_sees_what_was_named_and_no_more"),
            *_in("io/test_process_start", "the_child_inherits_three_descriptors"),
        ),
        uncovered=(
            '`inherit_env=("*",)` is all of it, which is what the command line takes: there a person starts codex, as they would '
            "start it themselves."
        ),
    ),
    Control(
        id="S20",
        threat="What is shown steers the terminal: its clipboard, its title, what stands on it.",
        control="Each character is judged alone, so no sequence can be cut, nested or misspelt to slip through the screen.",
        tests=(
            *_in(
                "security/test_display",
                "nothing_that_is_shown_steers_a_terminal",
                "no_mixture_of_sequences_steers_a_terminal",
                "a_wrong_argument_steers_nothing",
                "a_log_that_is_looked_at_on_a_terminal_steers_nothing",
            ),
            *_in("cli/test_screen", "text_cannot_steer_the_terminal"),
            *_in("cli/test_log", "an_export_to_a_terminal_steers_nothing"),
            *_in("cli/test_exits", "a_failure_is_one_line_that_steers_nothing"),
            *_in(
                "sansio/test_display", "every_unfit_character_of_unicode_is_replaced", "pieces_are_as_safe_as_the_whole"
            ),
            *_in("io/test_stderr_tail", "no_control_but_newline_and_tab_comes_through"),
        ),
        uncovered="Into a file or a pipe goes the exact text: whoever prints that later on a terminal has to look after it.",
    ),
    Control(
        id="S21",
        threat="A text pretends to be a record of its own.",
        control="One line a record, in JSON; a carriage return that the wire had between its tokens is a space in the log.",
        tests=(
            *_in(
                "security/test_display",
                "no_text_makes_two_records_of_one",
                "bytes_that_are_no_json_are_kept_as_data",
                "a_decision_is_one_line_whatever_was_said",
            ),
            *_in("sansio/test_peer", "a_line_never_holds_a_newline"),
            *_in("io/test_websocket", "a_newline_inside_a_message_does_not_make_it_two"),
        ),
        uncovered="Readers that take a line separator of Unicode for a newline (`str.splitlines`) cut JSON that is in order.",
    ),
    Control(
        id="S22",
        threat="A server, a command or a model sends until nothing is left.",
        control=(
            "A line, the calls that wait, the open questions, the window of a reader, the tail of stderr, the output of a hook, the "
            "threads of hooks, the state and the journal each have a size; what is dropped is counted, and told or an error."
        ),
        tests=(
            *_in(
                "security/test_limits",
                "a_line_over_the_limit_costs_no_more_than_the_limit_and_fails_its_call",
                "so_many_calls_wait_and_one_more_is_told",
                "a_flood_of_questions_is_answered_with_no",
                "a_reader_that_does_not_read_holds_a_window_and_is_told",
                "a_flood_on_stderr_leaves_its_end",
                "a_server_that_complains_without_end_is_still_answered",
                "what_is_due_at_once_costs_one_look",
            ),
            *_in("security/test_hooks", "a_program_that_talks_too_much_or_too_long_is_a_no"),
            *_in("io/test_fanout", "bytes_are_bounded_but_the_newest_batch_survives", "patience_ends_in_a_gap"),
            *_in("io/test_websocket", "a_message_over_the_limit_ends_the_connection"),
            *_in("journal/test_store", "by_size_the_file_shrinks_to_what_may_be_kept"),
            *_in("runtime/test_sinks", "no_line_is_lost_between_rotated_files"),
        ),
        uncovered=(
            "Files grow without a bound unless one is named (`rotate_bytes`, the retention of a journal): a log that forgets by "
            "itself would lose what it was kept for."
        ),
    ),
    Control(
        id="S24",
        threat="A text is made so that looking at it takes for ever.",
        control="Framing, display, questions, wrapping, shell words, policies and redaction cost as much as the text is long.",
        tests=(
            *_in(
                "security/test_limits",
                "four_times_the_text_is_about_four_times_the_work",
                "a_line_that_never_ends_is_held_at_the_limit",
            ),
            *_in("sansio/test_shell_words", "the_cost_grows_with_the_length_and_not_with_its_square"),
            *_in("io/test_stderr_tail", "hostile_text_costs_linear_time"),
            *_in("sansio/test_framing", "an_endless_line_holds_no_more_than_the_limit"),
        ),
    ),
    Control(
        id="S26",
        threat="Others read or change our files, or have us write into files that they choose.",
        control=(
            "What we make is its owner's alone, whatever the umask. A file that others can write or own, and a link that "
            "somebody else made, is refused; locks and new versions are never written through a link."
        ),
        tests=(
            *_in(
                "security/test_files",
                "what_we_make_is_its_owners_alone_whatever_the_umask",
                "what_stands_beside_an_open_journal_is_its_owners_alone_too",
                "a_file_that_others_can_write_is_refused",
                "a_file_that_belongs_to_somebody_else_is_refused",
                "a_link_that_somebody_else_made_is_not_followed",
                "a_link_of_ones_own_is_followed",
                "a_lock_is_never_a_link",
                "a_file_is_not_replaced_by_way_of_a_link",
                "a_pipe_of_somebody_else_is_no_log",
            ),
            *_in("io/test_files", "a_log_is_its_owners_alone"),
            *_in("journal/test_store", "a_journal_is_its_owners_alone"),
        ),
        uncovered=(
            "A folder that others can write is not refused, for containers give such folders: who may rename files in it can take "
            "ours away. A file of ours that others can read is written to; its owner made it so."
        ),
    ),
    Control(
        id="S27",
        threat="Another program is run in the place of the one that is meant.",
        control=(
            "A name is looked up in the whole paths of PATH alone, never where one happens to work; a path that somebody named is "
            "made whole; a place that names a wrong file is an error, and no reason to look further."
        ),
        tests=(
            *_in(
                "security/test_programs",
                "codex_is_never_found_where_one_happens_to_work",
                "no_program_is_started_from_where_one_happens_to_work",
                "what_stands_behind_a_poisoned_entry_is_found",
                "a_path_that_somebody_names_is_that_path",
                "a_package_beside_the_work_is_no_wheel",
            ),
            *_in("io/test_binary", "a_named_file_that_is_not_there_is_an_error", "what_the_caller_names_comes_first"),
        ),
        uncovered=(
            "An interpreter that was told to import from the working directory (`python -c`, `-m`) finds packages there, also this "
            "one. The wheel is trusted as it was installed; its digest is the installer's business."
        ),
    ),
    Control(
        id="S28",
        threat="Words of a model become words of a shell.",
        control=(
            "A hook that is a program is the caller's own command line, word for word: the context comes as JSON on standard "
            "input. It has a time limit and a limit for what it prints, and nothing of it outlives the call."
        ),
        tests=(
            *_in(
                "security/test_hooks",
                "what_a_model_says_is_data_to_a_program_and_never_a_command",
                "a_program_that_talks_too_much_or_too_long_is_a_no",
            ),
            *_in(
                "hooks/test_shell",
                "the_context_comes_as_json",
                "a_program_that_is_late_is_killed_with_all_its_group",
                "a_cancelled_call_leaves_nothing",
            ),
        ),
        uncovered="`ShellHook` is a shell by its name: what the caller's own command does with its input is the caller's.",
    ),
    Control(
        id="S30",
        threat="A server has us do something with rights that it does not have.",
        control=(
            "Each kind of request is declined unless somebody answers it in its own words; tokens go to a handler of their own; no "
            "address is ever opened, and the programs that this package can start stand in a list."
        ),
        tests=(
            *_in(
                "security/test_answers",
                "tokens_go_to_nobody_but_their_own_handler",
                "what_wants_content_takes_no_consent",
                "nothing_here_opens_an_address_or_starts_a_program_unseen",
                "silence_is_a_no_to_everything",
            ),
            *_in("sansio/test_server_requests", "tokens_are_refused_whatever_the_deadline_says"),
            *_in("client/test_approvals", "a_yes_to_everything_fills_in_no_form"),
            *_in("sansio/test_answers", "a_way_that_does_not_fit_names_the_right_one"),
        ),
        uncovered="A yes to a page that an MCP server wants opened says that it was: whoever says it has opened it.",
    ),
)


def table() -> Iterator[str]:
    """Yield the lines that tell how things stand."""
    tests = {test for control in CONTROLS for test in control.tests}
    yield f"{len(CONTROLS)} controls, {len(tests)} tests that prove them"
    for control in CONTROLS:
        yield ""
        yield from textwrap.wrap(control.threat, 110, initial_indent=f"{control.id:5}", subsequent_indent=" " * 5)
        yield from textwrap.wrap(control.control, 110, initial_indent="     → ", subsequent_indent=" " * 7)
        yield f"       {len(control.tests)} tests"
        if control.uncovered is not None:
            yield from textwrap.wrap(control.uncovered, 110, initial_indent="     ✗ ", subsequent_indent=" " * 7)


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
