"""What must not happen: consent that nobody gave, and things told otherwise than they were. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

TRAPS_OF_MEANING = (
    Requirement(
        id="W01",
        sentence="A guard that crashes, hangs or talks nonsense must not let anything through.",
        tests=(
            "tests/hooks/test_run.py::test_a_hook_that_fails_at_a_gate_is_a_no",
            "tests/client/test_guard.py::test_a_hook_that_is_late_is_a_no",
            "tests/hooks/test_shell.py::test_a_program_that_is_late_is_killed_with_all_its_group",
            "tests/hooks/test_run.py::test_when_too_many_threads_hang_no_more_are_started",
        ),
    ),
    Requirement(
        id="W02",
        sentence="Hooks of one session must not say yes for another.",
        tests=("tests/client/test_guard.py::test_hooks_of_one_session_never_answer_for_another",),
    ),
    Requirement(
        id="W03",
        sentence="A run that is cancelled must not leave its hooks behind, nor take those of another run along.",
        tests=(
            "tests/client/test_guard.py::test_a_cancelled_run_leaves_nothing_wherever_it_is_cancelled",
            "tests/client/test_guard.py::test_hooks_of_a_run_end_with_it",
        ),
    ),
    Requirement(
        id="W04",
        sentence="Hooks that have no opinion must leave the question to a person.",
        tests=(
            "tests/client/test_guard.py::test_what_hooks_say_of_a_command_is_what_the_server_hears",
            "tests/client/test_guard.py::test_a_reader_is_shown_only_what_hooks_leave_open",
        ),
    ),
    Requirement(
        id="W05",
        sentence="A guard must not be passed because the command is wrapped in a shell or its folder is not known.",
        tests=(
            "tests/sansio/test_tool_use.py::test_a_command_is_what_was_typed_not_the_shell_around_it",
            "tests/sansio/test_hooks.py::test_at_a_gate_what_is_not_known_holds",
            "tests/sansio/test_hooks.py::test_a_folder_is_not_a_mere_beginning_of_a_text",
            "tests/hooks/test_run.py::test_a_policy_sees_through_links_and_dots",
        ),
    ),
    Requirement(
        id="W06",
        sentence="A guard must not be idle because the turn was told to ask nobody.",
        tests=(
            "tests/client/test_guard.py::test_with_a_tool_hook_the_server_is_made_to_ask",
            "tests/client/test_guard_real.py::test_the_real_server_does_what_a_policy_says",
        ),
    ),
    Requirement(
        id="W08",
        sentence="A gate must not be passed by calling the method below the desk, or by another form of its parameters.",
        tests=(
            "tests/runtime/test_calls.py::test_what_gives_up_the_sandbox_is_refused_at_every_door_before_anything_is_written",
            "tests/runtime/test_calls.py::test_the_second_word_opens_the_gate_for_one_request_or_for_all",
            "tests/sansio/test_permissions.py::test_parameters_by_their_place_are_refused",
            "tests/sansio/test_permissions.py::test_structs_dataclasses_and_finished_json_are_judged_like_dicts",
            "tests/sansio/test_permissions.py::test_every_method_that_takes_a_sandbox_is_gated",
        ),
    ),
    Requirement(
        id="W10",
        sentence="An answer that was meant for a server of before must not allow anything on the next one.",
        tests=(
            "tests/runtime/test_server_requests.py::test_a_late_answer_never_reaches_the_next_server",
            "tests/real/test_flows_turns.py::test_e1_a_server_killed_over_an_approval_leaves_no_ticket",
        ),
    ),
    Requirement(
        id="W12",
        sentence="A server that is too old must be noticed, though its user agent begins with our own name.",
        tests=(
            "tests/client/test_version.py::test_the_version_is_read_out_of_the_user_agent",
            "tests/client/test_version.py::test_a_server_that_does_not_say_what_it_is_is_refused",
            "tests/client/test_client.py::test_a_server_that_is_too_old_is_ended_again",
        ),
    ),
    Requirement(
        id="W13",
        sentence="A turn that failed or was interrupted must not pass for a success because there was some text.",
        tests=(
            "tests/sansio/test_turn.py::test_the_word_in_the_terminal_decides",
            "tests/sansio/test_turn.py::test_no_word_but_an_error_is_a_failure",
            "tests/real/test_flows_turns.py::test_f_a_failed_turn_names_its_kind",
        ),
    ),
    Requirement(
        id="W14",
        sentence="Items must be read where the server puts their fields, so that the state is not full of unknowns.",
        tests=(
            "tests/sansio/test_projection.py::test_every_kind_of_item_starts_and_completes",
            "tests/sansio/test_projection.py::test_the_end_of_a_command_corrects_its_output",
            "tests/sansio/test_state_messages.py::test_a_completed_item_tells_its_content_by_kind",
        ),
    ),
    Requirement(
        id="W15",
        sentence="Settings must be sent in the form that the server heeds, not in one that it ignores.",
        tests=(
            "tests/sansio/test_permissions.py::test_a_turn_wants_the_sandbox_in_another_form",
            "tests/client/test_client.py::test_resuming_sends_flat_fields_and_says_the_sandbox_again",
            "tests/real/test_flows_turns.py::test_e2_the_sandbox_is_the_same_after_a_crash",
        ),
    ),
    Requirement(
        id="W16",
        sentence="Nothing must be sent that the server has no field for.",
        tests=(
            "tests/client/test_prompt.py::test_every_option_reaches_the_wire",
            "tests/client/test_prompt.py::test_the_defaults_are_the_safe_ones_and_are_said",
        ),
    ),
    Requirement(
        id="W17",
        sentence="A transient error must neither fail a turn nor hide the real one.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_a_retry_shows_the_new_message_and_is_never_the_error",
            "tests/sansio/test_turn_fold.py::test_a_failure_without_a_reason_takes_the_last_lasting_error",
        ),
    ),
    Requirement(
        id="W18",
        sentence="Failures must be told apart by the server's word, not by a number that never comes or by English phrases.",
        tests=(
            "tests/sansio/test_turn_items.py::test_the_kind_of_an_error_is_the_servers_word",
            "tests/real/test_flows_turns.py::test_f_a_failed_turn_names_its_kind",
        ),
    ),
    Requirement(
        id="W19",
        sentence="Messages of one turn must not be glued together.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_a_command_turn_tells_commentary_from_the_answer",
            "tests/sansio/test_turn_fold.py::test_a_plain_turn_gives_its_text_piece_by_piece_and_whole",
        ),
    ),
    Requirement(
        id="W20",
        sentence="Text must not be missing because somebody read slowly.",
        tests=(
            "tests/client/test_turn_state.py::test_a_slow_reader_loses_no_text",
            "tests/sansio/test_turn_buffer.py::test_however_slow_the_reader_the_texts_are_the_same",
        ),
    ),
    Requirement(
        id="W21",
        sentence="A null beside a result must not be taken for an error.",
        tests=("tests/sansio/test_envelope.py::test_an_error_of_null_beside_a_result_is_no_refusal",),
    ),
    Requirement(
        id="W22",
        sentence="A request must not hang for ever because its id is unusual.",
        tests=(
            "tests/behaviour/test_odd_messages.py::test_an_answer_has_the_id_of_its_question_in_the_same_type",
            "tests/runtime/test_dispatch.py::test_an_id_that_cannot_be_written_back_stops_nothing",
            "tests/behaviour/test_odd_messages.py::test_a_question_under_an_id_that_is_none_is_counted_and_not_answered",
        ),
        difference="Under a fraction, a truth value or null nothing is answered, only counted: nobody could match the answer, and the server never asks so.",
    ),
    Requirement(
        id="W23",
        sentence="A remark must reach the turn that it was meant for, and no other.",
        tests=(
            "tests/client/test_turn.py::test_steering_says_something_more_to_the_running_turn",
            "tests/real/test_flows_turns.py::test_d3_a_running_turn_is_steered",
        ),
    ),
    Requirement(
        id="W24",
        sentence="A method without params must not fail because of a check of ours.",
        tests=(
            "tests/appserver/test_init.py::test_a_method_without_params_sends_none",
            "tests/protocol/test_registry.py::test_only_requests_without_content_have_no_params",
        ),
    ),
    Requirement(
        id="W25",
        sentence="Rights must be refused in the form that the server can read, and no odd value may break anything.",
        tests=(
            "tests/sansio/test_server_requests.py::test_each_method_is_declined_in_its_own_words",
            "tests/sansio/test_answer_forms.py::test_checking_any_value_passes_or_raises_the_one_error",
        ),
    ),
    Requirement(
        id="W26",
        sentence="One unusual thread must not make a whole list unreadable.",
        tests=(
            "tests/protocol/test_base.py::test_an_arm_that_does_not_fit_costs_only_itself",
            "tests/protocol/test_registry_samples.py::test_what_is_new_never_makes_a_type_unreadable",
        ),
    ),
    Requirement(
        id="W27",
        sentence="The same mistake must be the same error, in a call and in a notification.",
        tests=("tests/runtime/test_calls.py::test_what_the_server_would_drop_is_refused_before_it_is_written",),
    ),
    Requirement(
        id="W28",
        sentence="One kind of error must not stand for everything.",
        tests=(
            "tests/test_errors.py::test_the_tree_in_the_docstring_is_the_tree",
            "tests/test_errors.py::test_what_they_carry",
            "tests/test_errors.py::test_builtin_handlers_catch_what_they_mean",
        ),
    ),
    Requirement(
        id="W30",
        sentence="A reader that goes away must not take open questions along; nor may one without a thread be forgotten.",
        tests=(
            "tests/runtime/test_server_requests.py::test_leaving_the_iteration_declines_what_waits",
            "tests/runtime/test_server_requests.py::test_another_iteration_takes_over_what_waits",
            "tests/runtime/test_dispatch.py::test_requests_of_a_thread_that_nobody_opened_are_declined",
        ),
    ),
    Requirement(
        id="W31",
        sentence="Questions of a turn must not outlive it.",
        tests=(
            "tests/runtime/test_server_requests.py::test_what_a_turn_asked_is_withdrawn_with_the_turn",
            "tests/client/test_guard.py::test_a_turn_that_was_given_up_takes_its_open_requests_along",
        ),
    ),
    Requirement(
        id="W33",
        sentence="A single run must not leave its thread with the server.",
        tests=("tests/client/test_client.py::test_a_client_runs_a_single_turn",),
        difference="The thread is let go of, not archived: it stays in the history of whoever asked.",
    ),
    Requirement(
        id="W34",
        sentence="After a crash no turn may seem to run, and no session may be without its thread.",
        tests=(
            "tests/sansio/test_projection.py::test_the_end_of_a_generation_loses_what_ran",
            "tests/client/test_turn.py::test_a_crash_ends_the_turn_as_lost_with_what_had_come",
            "tests/client/test_session.py::test_after_a_crash_the_thread_is_resumed_with_all_its_settings",
        ),
    ),
    Requirement(
        id="W35",
        sentence="Nothing but messages may use up their numbers.",
        tests=(
            "tests/runtime/test_dispatch.py::test_all_subscribers_see_the_wire_order_without_holes",
            "tests/runtime/test_dispatch.py::test_answers_of_ours_come_after_what_they_answer",
        ),
    ),
    Requirement(
        id="W36",
        sentence="A step of the system's clock must not move a deadline.",
        tests=(
            "tests/runtime/test_supervisor.py::test_wall_clock_steps_change_nothing",
            "tests/testing/test_clock.py::test_both_times_advance_together_and_the_wall_can_be_stepped",
        ),
    ),
)
