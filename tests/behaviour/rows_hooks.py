"""What is required of hooks: when they are called, what they may say, and what their failures mean. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

HOOKS = (
    Requirement(
        id="R077",
        sentence="Hooks are called in the order of a run: before it, before its turn, after its turn, after it.",
        tests=(
            "tests/client/test_plan.py::test_the_phases_of_a_session_and_its_runs_come_in_order",
            "tests/hooks/test_run.py::test_hooks_are_called_in_order_and_only_where_they_match",
        ),
    ),
    Requirement(
        id="R078",
        sentence="Starting and resuming a session have phases of their own.",
        tests=(
            "tests/client/test_plan.py::test_the_phases_of_a_session_and_its_runs_come_in_order",
            "tests/client/test_plan.py::test_a_resumed_session_is_a_start_too",
        ),
    ),
    Requirement(
        id="R079",
        sentence="Where nobody waits for permission, a hook that fails is an issue in the report and the run goes on.",
        tests=(
            "tests/hooks/test_run.py::test_where_nobody_waits_a_failure_is_an_issue",
            "tests/client/test_plan.py::test_what_failed_is_told_as_an_error",
            "tests/hooks/test_run.py::test_a_report_is_bounded",
        ),
    ),
    Requirement(
        id="R080",
        sentence="Where permission is asked, a hook that fails or is late means no.",
        tests=(
            "tests/hooks/test_run.py::test_a_hook_that_fails_at_a_gate_is_a_no",
            "tests/client/test_guard.py::test_a_hook_that_is_late_is_a_no",
        ),
    ),
    Requirement(
        id="R081",
        sentence="A denial stops what has not begun: the session, the run or the turn, with an error that names the hook.",
        tests=(
            "tests/client/test_plan.py::test_a_denied_session_is_not_started",
            "tests/client/test_plan.py::test_a_denied_run_sends_nothing_and_spoils_nothing",
            "tests/hooks/test_run.py::test_the_first_denial_stops_what_was_about_to_begin",
        ),
    ),
    Requirement(
        id="R082",
        sentence="Hooks can change the prompt, the model and the attachments, and leave each other notes.",
        tests=(
            "tests/client/test_plan.py::test_changes_reach_the_server",
            "tests/hooks/test_run.py::test_changes_of_several_hooks_are_one_change",
            "tests/sansio/test_hooks.py::test_patches_are_folded_in_order",
        ),
    ),
    Requirement(
        id="R083",
        sentence="Before a session starts only the model and the notes can be changed; anything else is an issue.",
        tests=("tests/client/test_plan.py::test_before_a_session_starts_only_the_model_can_be_changed",),
    ),
    Requirement(
        id="R084",
        sentence="An attachment of a hook that is not there is an issue, and is left out.",
        tests=("tests/client/test_plan.py::test_an_attachment_that_is_not_there_is_left_out",),
    ),
    Requirement(
        id="R085",
        sentence="Hooks of a run or a session end with it.",
        tests=(
            "tests/client/test_guard.py::test_hooks_of_a_run_end_with_it",
            "tests/client/test_guard.py::test_hooks_of_one_session_never_answer_for_another",
        ),
    ),
    Requirement(
        id="R086",
        sentence="There is one rule for hooks of several scopes.",
        tests=(
            "tests/sansio/test_hooks.py::test_outer_hooks_come_first_and_the_same_hook_only_once",
            "tests/sansio/test_hooks.py::test_two_hooks_of_one_name_are_an_error",
            "tests/sansio/test_hooks.py::test_an_inner_hook_can_only_tighten",
            "tests/client/test_guard.py::test_hooks_of_a_client_are_in_every_session_and_cannot_be_replaced",
        ),
        difference="One precedence instead of two: the outer scope comes first everywhere, and a second hook of one name is an error.",
    ),
    Requirement(
        id="R087",
        sentence="A matcher narrows a hook by phase, tool, command and folder; a folder is not a beginning of a text.",
        tests=(
            "tests/sansio/test_hooks.py::test_all_that_a_matcher_gives_must_hold",
            "tests/sansio/test_hooks.py::test_a_folder_is_not_a_mere_beginning_of_a_text",
        ),
    ),
    Requirement(
        id="R088",
        sentence="A thread without hooks of its own is never answered by the hooks of another.",
        tests=(
            "tests/client/test_guard.py::test_hooks_of_one_session_never_answer_for_another",
            "tests/client/test_guard.py::test_requests_outside_of_every_turn_are_judged_by_the_clients_hooks",
        ),
    ),
    Requirement(
        id="R089",
        sentence="A hook before a tool is told whose it is, what is run, and where.",
        tests=(
            "tests/client/test_guard.py::test_what_a_hook_is_told_of_a_command",
            "tests/sansio/test_tool_use.py::test_the_paths_of_a_file_change_come_from_its_item",
        ),
    ),
    Requirement(
        id="R090",
        sentence="A hook may allow, deny, ask somebody else, or have no opinion, which leaves the question to whoever is next.",
        tests=(
            "tests/client/test_guard.py::test_what_hooks_say_of_a_command_is_what_the_server_hears",
            "tests/sansio/test_hooks.py::test_what_may_be_answered_at_which_phase",
        ),
        difference="A tool use cannot be changed: the server has no word for it, so such an answer is a mistake, and at a gate that is no.",
    ),
    Requirement(
        id="R091",
        sentence="With a hook before tools the server is made to ask, in the thread and in each turn.",
        tests=(
            "tests/client/test_guard.py::test_with_a_tool_hook_the_server_is_made_to_ask",
            "tests/client/test_guard_real.py::test_a_hook_of_a_single_run_makes_the_real_server_ask",
        ),
    ),
    Requirement(
        id="R092",
        sentence="Hooks are told of commands, file changes and tools that ended.",
        tests=(
            "tests/client/test_guard.py::test_hooks_are_told_of_tools_that_ended",
            "tests/client/test_guard.py::test_a_slow_hook_after_tools_holds_nothing_up",
        ),
    ),
    Requirement(
        id="R093",
        sentence="A program can be a hook: its exit status and one JSON object are its answer.",
        tests=(
            "tests/hooks/test_shell.py::test_what_a_program_says",
            "tests/hooks/test_shell.py::test_a_program_that_makes_no_sense_fails",
            "tests/hooks/test_shell.py::test_the_context_comes_as_json",
        ),
    ),
    Requirement(
        id="R094",
        sentence="A program that is late is killed with everything that it started.",
        tests=(
            "tests/hooks/test_shell.py::test_a_program_that_is_late_is_killed_with_all_its_group",
            "tests/hooks/test_shell.py::test_a_cancelled_call_leaves_nothing",
        ),
    ),
    Requirement(
        id="R095",
        sentence="What cannot be a hook is refused when it is given, not when it would be called.",
        tests=(
            "tests/sansio/test_hooks.py::test_what_is_no_hook_is_told_at_once",
            "tests/sansio/test_hooks.py::test_a_matcher_that_means_nothing_is_told_at_once",
        ),
        difference="No version of a contract: hooks are values of the same program, held against the four things that a hook must have.",
    ),
)
