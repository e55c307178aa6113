"""What must not happen: waiting for ever, losing things, leaving things behind, being of little use. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

TRAPS_OF_ENDURANCE = (
    Requirement(
        id="W37",
        sentence="Code of a guest must not stop the reading, nor wait for itself.",
        tests=(
            "tests/client/test_guard.py::test_events_go_on_while_a_hook_thinks",
            "tests/runtime/test_server_requests.py::test_a_handler_may_close_the_runtime",
            "tests/runtime/test_dispatch.py::test_a_blocked_subscriber_that_awaits_an_answer_does_not_wait_for_itself",
        ),
    ),
    Requirement(
        id="W38",
        sentence="A server that stops reading must not hold up a caller beyond its deadline.",
        tests=(
            "tests/runtime/test_calls.py::test_the_deadline_covers_the_wait_for_the_pipe",
            "tests/runtime/test_calls.py::test_the_line_moves_on_when_the_pipe_has_room_again",
        ),
    ),
    Requirement(
        id="W39",
        sentence="A call in flight must not make the end slow or violent.",
        tests=("tests/behaviour/test_farewell.py::test_a_server_that_still_owes_an_answer_leaves_by_itself",),
    ),
    Requirement(
        id="W40",
        sentence="No tool of the agent may outlive the server, and the server may not outlive us.",
        tests=(
            "tests/io/test_process_end.py::test_nothing_the_child_started_outlives_it",
            "tests/io/test_process_end.py::test_when_we_are_killed_nothing_survives",
            "tests/real/test_hard_times.py::test_nothing_outlives_our_own_process",
        ),
    ),
    Requirement(
        id="W41",
        sentence="One failed start must not end the supervision while there is budget.",
        tests=("tests/runtime/test_supervisor.py::test_failed_starts_are_tried_again_within_the_budget",),
    ),
    Requirement(
        id="W42",
        sentence="Trouble in the closing must not leave it half done.",
        tests=(
            "tests/runtime/test_life.py::test_a_runtime_closes_from_any_state",
            "tests/runtime/test_life.py::test_closing_during_the_start_ends_the_start",
            "tests/runtime/test_life.py::test_closing_does_not_wait_for_guests_that_will_not_go",
        ),
    ),
    Requirement(
        id="W43",
        sentence="The end must not swallow what sinks have not got yet.",
        tests=(
            "tests/runtime/test_pump.py::test_closing_drains_what_a_slow_sink_has_not_yet_got",
            "tests/runtime/test_pump.py::test_a_loss_at_the_very_end_is_told_too",
        ),
    ),
    Requirement(
        id="W44",
        sentence="An answer that is too long must not be a riddle that ends at the deadline.",
        tests=(
            "tests/runtime/test_calls.py::test_an_answer_over_the_line_limit_fails_its_call_at_once",
            "tests/sansio/test_peer.py::test_a_call_whose_answer_is_too_long_fails_at_once",
        ),
    ),
    Requirement(
        id="W45",
        sentence="What the server complained of must be at hand.",
        tests=(
            "tests/runtime/test_supervisor.py::test_what_the_first_server_complained_of_is_in_the_error",
            "tests/runtime/test_runtime.py::test_stderr_and_pid_are_those_of_the_current_server",
        ),
    ),
    Requirement(
        id="W46",
        sentence="One time limit must not be there for everything.",
        tests=(
            "tests/runtime/test_calls.py::test_a_deadline_may_be_endless",
            "tests/behaviour/test_deadline.py::test_every_door_takes_a_deadline",
        ),
    ),
    Requirement(
        id="W47",
        sentence="Settings must not be out of reach because one uses the higher door.",
        tests=(
            "tests/client/test_session.py::test_a_second_crash_during_the_resumption_is_outlived",
            "tests/client/test_client.py::test_a_server_that_is_too_old_is_ended_again",
            "tests/test_oneshot.py::test_what_is_wrong_runs_no_turn",
        ),
    ),
    Requirement(
        id="W48",
        sentence="A program that is a hook must not hang on a full pipe, run elsewhere than told, or live on.",
        tests=(
            "tests/hooks/test_shell.py::test_a_great_context_and_a_great_answer_do_not_wait_for_each_other",
            "tests/hooks/test_shell.py::test_where_and_with_what_it_runs",
            "tests/hooks/test_shell.py::test_a_program_that_is_late_is_killed_with_all_its_group",
        ),
    ),
    Requirement(
        id="W49",
        sentence="A lock must end with its holder, and a crash may not leave half a file.",
        tests=(
            "tests/io/test_files.py::test_a_lock_names_its_holder_and_ends_with_it",
            "tests/io/test_files.py::test_two_cannot_write_the_same_log",
            "tests/io/test_files.py::test_a_file_is_replaced_in_one_piece",
            "tests/io/test_files.py::test_a_replacement_that_fails_leaves_the_old_content",
        ),
    ),
    Requirement(
        id="W50",
        sentence="What is stored must not be overwritten by something older, and damage must be told.",
        tests=(
            "tests/journal/test_store.py::test_a_transaction_is_all_or_nothing",
            "tests/journal/test_store.py::test_there_is_one_writer",
            "tests/journal/test_reader.py::test_damage_in_the_middle_is_our_error",
            "tests/journal/test_journal.py::test_what_was_acknowledged_survives_being_killed",
            "tests/runtime/test_keeper.py::test_what_changes_during_a_save_is_one_more_save",
            "tests/runtime/test_keeper.py::test_a_save_that_failed_is_told_once_and_tried_again",
            "tests/runtime/test_keeper.py::test_a_file_that_cannot_be_read_is_set_aside_and_told",
        ),
    ),
    Requirement(
        id="W51",
        sentence="A limit must not throw out what runs, and what it throws out is counted.",
        tests=(
            "tests/sansio/test_state_tree.py::test_a_thread_whose_turn_runs_is_never_evicted",
            "tests/sansio/test_state_tree.py::test_the_running_turn_is_never_evicted",
        ),
    ),
    Requirement(
        id="W52",
        sentence="How long an answer may take is settable by kind, and whoever is too late is told.",
        tests=(
            "tests/runtime/test_config.py::test_the_deadline_of_a_method_is_one_as_well",
            "tests/runtime/test_server_requests.py::test_a_handler_that_hangs_is_cancelled_and_declined_at_the_deadline",
            "tests/runtime/test_server_requests.py::test_a_handler_that_answers_too_late_is_told",
        ),
    ),
    Requirement(
        id="W53",
        sentence="A server that lives and no longer answers must not be waited for until somebody looks.",
        tests=(
            "tests/runtime/test_watchdog.py::test_a_server_that_stops_answering_is_killed_and_replaced",
            "tests/runtime/test_watchdog.py::test_other_messages_save_a_server_that_never_answers_the_probe",
            "tests/sansio/test_watchdog.py::test_a_jump_of_the_clock_counts_as_one_look",
            "tests/io/test_websocket.py::test_a_server_that_shows_no_life_is_left",
        ),
    ),
    Requirement(
        id="W54",
        sentence="Long texts must not cost the square of their length, nor each message several decodings.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_pieces_are_kept_as_they_came_and_never_glued_on_the_way",
            "tests/sansio/test_turn_buffer.py::test_pieces_are_kept_as_they_came_and_joined_once",
            "tests/sansio/test_envelope.py::test_the_message_and_its_params_are_decoded_on_use",
        ),
    ),
    Requirement(
        id="W55",
        sentence="A small change must not copy the whole state.",
        tests=(
            "tests/sansio/test_projection.py::test_what_did_not_change_keeps_its_identity",
            "tests/sansio/test_projection.py::test_without_a_change_a_snapshot_is_the_identical_object",
        ),
    ),
    Requirement(
        id="W56",
        sentence="A stream must tell more than text: commands, changes, reasoning, plans, tokens.",
        tests=(
            "tests/sansio/test_turn_items.py::test_each_kind_has_its_events",
            "tests/sansio/test_turn_events.py::test_every_event_is_in_the_union",
            "tests/real/test_flows_approvals.py::test_a1_a_text_turn_with_reasoning",
        ),
    ),
    Requirement(
        id="W57",
        sentence="A result must tell what was used, what was done and how it ended.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_usage_tells_what_this_turn_used",
            "tests/cli/test_jsonl.py::test_a_result_tells_all_but_the_raw_items",
            "tests/sansio/test_turn_items.py::test_changes_are_told_only_if_they_were_applied",
        ),
    ),
    Requirement(
        id="W58",
        sentence="Two rules of precedence must not surprise, and what was denied is on record.",
        tests=(
            "tests/sansio/test_hooks.py::test_outer_hooks_come_first_and_the_same_hook_only_once",
            "tests/client/test_guard.py::test_each_decision_is_on_record",
            "tests/client/test_plan.py::test_a_denied_session_is_not_started",
        ),
    ),
    Requirement(
        id="W59",
        sentence="No phase may be there that never comes, and no request that no hook can see.",
        tests=(
            "tests/client/test_guard.py::test_hooks_are_told_of_tools_that_ended",
            "tests/client/test_guard.py::test_any_request_of_the_server_can_be_denied",
        ),
    ),
    Requirement(
        id="W60",
        sentence="The shortest way in takes the same settings, and a folder is absolute at every door.",
        tests=(
            "tests/test_oneshot.py::test_one_call_gives_the_result",
            "tests/client/test_prompt.py::test_the_folder_is_absolute_and_exists",
            "tests/sync/test_client_surface.py::test_quick_run_is_the_same",
        ),
    ),
    Requirement(
        id="W61",
        sentence="The time limit of a turn must not begin only when the turn has.",
        tests=(
            "tests/client/test_turn_interruption.py::test_the_deadline_holds_while_no_server_is_ready",
            "tests/client/test_turn_interruption.py::test_the_deadline_holds_while_the_start_is_not_answered",
        ),
        difference="Opening the thread has the deadline of requests; everything after it is in the one of the turn.",
    ),
    Requirement(
        id="W62",
        sentence="No error may be promised that nothing raises.",
        tests=("tests/behaviour/test_errors_in_use.py::test_every_error_is_raised_somewhere",),
    ),
    Requirement(
        id="W63",
        sentence="Restarts, losses, outcomes and bad lines must be counted, and the time that calls take be told.",
        tests=(
            "tests/behaviour/test_figures.py::test_how_long_a_request_took_is_told_by_its_method",
            "tests/runtime/test_metrics.py::test_every_counter_is_shown",
            "tests/runtime/test_figures.py::test_a_picture_does_not_change",
            "tests/runtime/test_dispatch.py::test_garbage_and_over_long_lines_are_counted_and_told",
        ),
    ),
    Requirement(
        id="W64",
        sentence="An error about a missing id must not hold the payload.",
        tests=(
            "tests/behaviour/test_secrets.py::test_a_result_without_the_id_it_should_have_is_not_repeated",
            "tests/client/test_turn_start.py::test_a_start_without_an_id_is_the_servers_fault",
        ),
    ),
    Requirement(
        id="W65",
        sentence="Forgetting to close must not leave a server behind.",
        tests=(
            "tests/io/test_process_end.py::test_a_program_that_ends_without_closing_leaves_nothing_and_does_not_hang",
            "tests/io/test_guardian.py::test_it_ends_when_its_parent_dies_though_others_hold_its_control",
        ),
        difference="The server ends with our process at the latest; within a living program it is the block that ends it.",
    ),
)
