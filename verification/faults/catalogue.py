"""What must hold, and what may go wrong: the list that everything else here refers to.

Ids are for good. Each fault has its scenarios (played against any client), its tests (of our client alone), or both; a test
holds this list against both.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAULTS", "INVARIANTS", "Fault"]

INVARIANTS = {
    "I1": "Every call ends exactly once, with a value or a documented error, within its bound.",
    "I2": "An answer reaches the call that it is for, and no other.",
    "I3": "A reader sees what the server said in the order in which it was said.",
    "I4": "Nothing is lost without the reader being told.",
    "I5": "A turn that has begun is over exactly once.",
    "I6": "Nothing is accepted that nobody accepted.",
    "I7": "A question gets at most one answer, and only its own generation's.",
    "I8": "Memory and queues stay within their limits, whatever comes in.",
    "I9": "After the end nothing is left: no process, descriptor, thread or task.",
    "I10": "No more servers are started than the restart policy allows.",
    "I11": "Two generations never live at once.",
    "I12": "No request reaches a server that was not greeted.",
    "I13": "Closing ends within its bound, from any state.",
    "I14": "What a store has acknowledged is there after a crash, in order and whole.",
    "I15": "A guest that fails or hangs harms nobody else.",
    "I16": "Cancelling any wait leaves everything true and usable.",
    "I17": "Steps of the wall clock change no deadline and no order.",
    "I18": "The state is the fold of what was delivered.",
    "I19": "The figures say what an independent count says.",
    "I20": "The event loop is never held up for long.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault, what must hold all the same, and the tests that prove it beside the scenarios.

    ``without``: why it has no scenario that any client could be taken through.
    """

    id: str
    sentence: str
    invariants: tuple[str, ...]
    tests: tuple[str, ...] = ()
    without: str | None = None


FAULTS: tuple[Fault, ...] = (
    Fault(
        id="P1",
        sentence="The server is killed, crashes or leaves, at any point of its talk with us.",
        invariants=("I1", "I2", "I5", "I6", "I10", "I11", "I12"),
        tests=(
            "tests/runtime/test_supervisor.py::test_a_death_around_any_message_is_seen_and_mended",
            "tests/runtime/test_calls.py::test_a_half_written_answer_is_no_answer",
            "tests/runtime/test_runtime.py::test_whatever_happens_every_call_has_one_outcome_of_its_own",
            "tests/client/test_turn_start.py::test_a_server_that_dies_of_the_start_loses_the_turn",
            "tests/client/test_turn_reconciliation.py::test_a_second_death_during_the_search_is_outlived",
            "tests/client/test_turn_interruption.py::test_a_crash_ends_an_interruption",
            "tests/real/test_flows_turns.py::test_e1_a_killed_server_loses_the_turn_but_not_the_thread",
            "tests/real/test_flows_turns.py::test_e1_a_server_killed_at_the_end_of_a_turn",
            "tests/real/test_flows_turns.py::test_e1_a_server_killed_over_an_approval_leaves_no_ticket",
            "tests/real/test_hard_times.py::test_a_session_outlives_one_crash_after_the_other",
            "tests/faults/test_matrix.py::test_nothing_is_broken_in_a_storm",
        ),
    ),
    Fault(
        id="P2",
        sentence="The server cannot be started: no such file, no program, no process, no descriptor.",
        invariants=("I1", "I9", "I10"),
        tests=(
            "tests/io/test_process_start.py::test_a_program_that_cannot_be_executed_is_named_with_the_reason",
            "tests/io/test_process_start.py::test_a_bad_working_directory_is_named",
            "tests/io/test_spawn.py::test_running_out_of_descriptors_is_a_start_error_and_leaves_none",
            "tests/io/test_spawn.py::test_a_command_line_that_is_too_long_is_a_start_error",
            "tests/io/test_spawn.py::test_only_a_bad_file_is_blamed_on_the_binary",
            "tests/runtime/test_supervisor.py::test_failed_starts_are_tried_again_within_the_budget",
            "tests/runtime/test_supervisor.py::test_a_missing_binary_is_found_before_anything_starts",
            "tests/faults/test_child_process.py::test_a_binary_that_is_gone_for_a_while_is_looked_for_again",
        ),
    ),
    Fault(
        id="P3",
        sentence="The server starts and never answers the greeting.",
        invariants=("I1", "I10", "I13"),
        tests=(
            "tests/runtime/test_supervisor.py::test_a_first_server_that_does_not_answer_is_a_start_error",
            "tests/runtime/test_supervisor.py::test_a_launch_that_hangs_is_a_start_error",
        ),
    ),
    Fault(
        id="P4",
        sentence="The greeting is refused, or answered in another shape or by another version.",
        invariants=("I1", "I10"),
        tests=(
            "tests/runtime/test_supervisor.py::test_a_refused_greeting_is_a_start_error",
            "tests/runtime/test_supervisor.py::test_a_greeting_of_another_shape_is_a_start_error",
            "tests/client/test_client.py::test_a_server_that_is_too_old_is_ended_again",
            "tests/client/test_version.py::test_an_older_server_is_refused_with_both_versions_and_the_way_out",
        ),
    ),
    Fault(
        id="P5",
        sentence="The server leaves at once and says why on stderr only.",
        invariants=("I1", "I8", "I10"),
        tests=(
            "tests/runtime/test_supervisor.py::test_what_the_first_server_complained_of_is_in_the_error",
            "tests/behaviour/test_secrets.py::test_what_stood_on_stderr_is_beside_the_error_and_not_in_it",
            "tests/io/test_process.py::test_stderr_is_always_drained_and_only_its_tail_is_kept",
            "tests/faults/test_real.py::test_a_server_that_refuses_its_configuration_says_why",
        ),
    ),
    Fault(
        id="P6",
        sentence="The server lives and does nothing: it is stopped, or minds neither SIGTERM nor the end of its stdin.",
        invariants=("I1", "I5", "I13"),
        tests=(
            "tests/io/test_process_end.py::test_a_child_that_ignores_everything_is_killed_in_bounded_time",
            "tests/io/test_process_end.py::test_a_stopped_child_may_leave_in_good_order",
            "tests/runtime/test_watchdog.py::test_a_server_that_stops_answering_is_killed_and_replaced",
            "tests/real/test_watchdog.py::test_a_stopped_server_is_killed_and_replaced",
            "tests/sansio/test_watchdog.py::test_only_a_silent_server_is_killed_and_only_an_idle_one_recycled",
        ),
    ),
    Fault(
        id="P7",
        sentence="The server closes its stdout and lives on.",
        invariants=("I1", "I5", "I11"),
        tests=(
            "tests/runtime/test_supervisor.py::test_a_server_that_closes_its_stdout_is_gone",
            "tests/io/test_process.py::test_a_child_that_closes_its_stdout_is_ended",
        ),
    ),
    Fault(
        id="P8",
        sentence="The server is dead, and somebody else holds its stdout open.",
        invariants=("I1", "I5", "I9"),
        tests=(
            "tests/io/test_process_end.py::test_a_grandchild_that_holds_the_pipes_does_not_delay_the_news",
            "tests/faults/test_child_process.py::test_the_death_is_told_at_once_although_the_pipe_stays_open",
        ),
    ),
    Fault(
        id="P9",
        sentence="The server closes its stdin and talks on.",
        invariants=("I1", "I3"),
        tests=(
            "tests/io/test_process.py::test_a_child_that_closes_its_stdin_is_still_heard",
            "tests/faults/test_child_process.py::test_a_server_that_has_closed_its_stdin_is_heard_and_calls_end_in_time",
        ),
        without="No order to the stand-in closes its stdin; a program of four lines does.",
    ),
    Fault(
        id="P10",
        sentence="The server reads no more while much is sent to it.",
        invariants=("I1", "I8", "I13", "I20"),
        tests=(
            "tests/runtime/test_calls.py::test_the_deadline_covers_the_wait_for_the_pipe",
            "tests/runtime/test_calls.py::test_a_close_does_not_wait_for_a_pipe_that_never_gets_room",
            "tests/io/test_outbox.py::test_drain_returns_below_the_low_water_mark_and_a_cancelled_one_is_forgotten",
            "tests/faults/test_child_process.py::test_64_mb_that_nobody_reads_are_not_kept_and_hold_up_nobody",
        ),
    ),
    Fault(
        id="P11",
        sentence="The server started others: in the background, in sessions of their own, orphaned.",
        invariants=("I9",),
        tests=(
            "tests/io/test_process_end.py::test_nothing_the_child_started_outlives_it",
            "tests/io/test_process_end.py::test_without_a_guardian_the_group_goes_and_the_mark_finds_the_rest",
            "tests/io/test_guardian.py::test_processes_that_flee_by_forking_are_caught",
            "tests/io/test_guardian.py::test_a_deep_family_is_killed_from_the_top_down",
            "tests/real/test_hard_times.py::test_nothing_outlives_our_own_process",
        ),
    ),
    Fault(
        id="P12",
        sentence="Each server dies as soon as it is started.",
        invariants=("I1", "I10", "I11"),
        tests=(
            "tests/runtime/test_supervisor.py::test_the_pauses_grow_until_the_budget_is_spent",
            "tests/sansio/test_restart.py::test_no_history_breaks_the_budget_or_the_bounds_of_the_delay",
            "tests/runtime/test_life.py::test_everyone_who_waits_sees_the_death",
        ),
    ),
    Fault(
        id="P13",
        sentence="Each server dies a little after it has become useful.",
        invariants=("I10",),
        tests=(
            "tests/sansio/test_restart.py::test_the_budget_counts_restarts_in_a_sliding_window",
            "tests/runtime/test_supervisor.py::test_a_stable_server_resets_the_pause_but_not_the_window",
        ),
    ),
    Fault(
        id="P14",
        sentence="Somebody else in our process takes the exit status of our child.",
        invariants=("I1", "I5", "I9"),
        tests=(
            "tests/io/test_process.py::test_a_foreign_reaper_costs_the_status_at_most",
            "tests/io/test_exit_watch.py::test_a_child_that_somebody_else_has_reaped_already_is_noticed_too",
            "tests/io/test_exit_watch.py::test_a_status_that_somebody_else_took_is_unknown",
        ),
    ),
    Fault(
        id="P15",
        sentence="The number of a dead process is given to another one.",
        invariants=("I9",),
        tests=(
            "tests/io/test_process_end.py::test_nothing_is_done_to_a_child_that_has_ended",
            "tests/io/test_survivors.py::test_who_carries_the_mark_is_killed_and_nobody_else",
            "tests/io/test_guardian.py::test_it_does_nothing_for_a_parent_that_is_gone_already",
        ),
        without="Nobody can have the system give a certain number; who is signalled is held by a descriptor, or not yet waited for.",
    ),
    Fault(
        id="P16",
        sentence="Our own process is killed, interrupted, or loses its terminal.",
        invariants=("I9",),
        tests=(
            "tests/io/test_process_end.py::test_when_we_are_killed_nothing_survives",
            "tests/io/test_guardian.py::test_it_ends_when_its_parent_dies_though_others_hold_its_control",
            "tests/io/test_guardian.py::test_the_program_dies_with_a_guardian_that_is_killed",
            "tests/cli/test_signals.py::test_a_signal_ends_a_command_with_its_code",
            "tests/io/test_process_start.py::test_the_child_has_a_session_of_its_own_and_default_signals",
        ),
    ),
    Fault(
        id="P17",
        sentence="The user's program forks.",
        invariants=("I9", "I15"),
        tests=(
            "tests/io/test_process_start.py::test_a_fork_of_our_process_may_not_touch_the_child",
            "tests/sync/test_portal.py::test_a_forked_child_is_told_and_leaves_its_parent_alone",
        ),
    ),
    Fault(
        id="P18",
        sentence="Servers come and go, hundreds of times.",
        invariants=("I8", "I9"),
        tests=(
            "tests/io/test_process_end.py::test_a_hundred_lives_and_deaths_leave_nothing",
            "tests/faults/test_child_process.py::test_two_hundred_deaths_leave_nothing",
        ),
        without="What a single run cannot show: it is in the tests, and in the soak.",
    ),
    Fault(
        id="P19",
        sentence="There is no memory: the server is killed for it, or cannot get any.",
        invariants=("I1", "I5"),
        tests=("tests/faults/test_child_process.py::test_a_server_that_runs_out_of_memory_is_told_with_what_it_said",),
    ),
    Fault(
        id="P20",
        sentence="The server takes long to start.",
        invariants=("I10",),
        tests=("tests/runtime/test_config.py::test_the_defaults_are_fine",),
    ),
    Fault(
        id="M1",
        sentence="Lines that are no messages: garbage, empty, with another line ending, with zeros.",
        invariants=("I1", "I3", "I4"),
        tests=(
            "tests/real/test_hard_times.py::test_garbage_and_an_endless_line_are_survived_and_counted",
            "tests/runtime/test_dispatch.py::test_garbage_and_over_long_lines_are_counted_and_told",
            "tests/behaviour/test_odd_messages.py::test_lines_may_end_as_they_do_on_windows",
        ),
    ),
    Fault(
        id="M2",
        sentence="Messages in pieces, or many at once.",
        invariants=("I3", "I4"),
        tests=(
            "tests/sansio/test_framing.py::test_the_same_lines_come_out_however_the_bytes_are_cut",
            "tests/runtime/test_dispatch.py::test_it_does_not_matter_how_the_bytes_are_cut",
            "tests/behaviour/test_volume.py::test_a_hundred_thousand_lines_arrive_whole_and_soon",
        ),
    ),
    Fault(
        id="M3",
        sentence="Lines that are too long, or never end.",
        invariants=("I1", "I8", "I20"),
        tests=(
            "tests/sansio/test_framing.py::test_an_endless_line_holds_no_more_than_the_limit",
            "tests/sansio/test_framing.py::test_a_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_not",
            "tests/runtime/test_calls.py::test_an_answer_over_the_line_limit_fails_its_call_at_once",
            "tests/sansio/test_peer.py::test_of_several_lines_that_are_too_long_each_fails_its_own_call",
            "tests/faults/test_bytes.py::test_a_reader_of_a_turn_is_told_that_a_message_of_it_was_too_long",
            "tests/faults/test_bytes.py::test_what_was_too_long_in_another_thread_is_not_told_here",
            "tests/faults/test_bytes.py::test_an_answer_around_the_limit_is_taken_or_fails_at_once",
        ),
    ),
    Fault(
        id="M4",
        sentence="Text that is no text: broken UTF-8, halves of characters, separators that are none.",
        invariants=("I1", "I4"),
        tests=(
            "tests/sansio/test_envelope.py::test_texts_that_strict_decoders_refuse_still_arrive",
            "tests/sansio/test_peer.py::test_what_would_kill_or_be_dropped_by_the_server_is_refused",
            "tests/runtime/test_calls.py::test_what_the_server_would_drop_is_refused_before_it_is_written",
        ),
    ),
    Fault(
        id="M5",
        sentence="Answers that come twice, too late, or under an id that is none.",
        invariants=("I1", "I2"),
        tests=(
            "tests/sansio/test_peer.py::test_a_second_answer_is_late",
            "tests/sansio/test_peer.py::test_an_answer_with_another_id_is_late_and_settles_nothing",
            "tests/sansio/test_peer.py::test_an_answer_under_an_absurd_id_is_late",
            "tests/runtime/test_calls.py::test_no_answer_in_time_is_a_timeout_and_a_late_answer_is_dropped",
            "tests/faults/test_bytes.py::test_an_answer_to_whoever_has_gone_is_not_given_to_whoever_came_after",
        ),
    ),
    Fault(
        id="M6",
        sentence="Answers with a result and an error, with neither, or with an error of another shape.",
        invariants=("I1", "I2"),
        tests=(
            "tests/runtime/test_calls.py::test_odd_answers_have_one_outcome",
            "tests/sansio/test_peer.py::test_a_refusal_is_read_whatever_its_shape",
            "tests/sansio/test_envelope.py::test_an_error_of_null_beside_a_result_is_no_refusal",
            "tests/faults/test_bytes.py::test_an_answer_that_holds_nothing_fails_its_call_at_once",
            "tests/faults/test_bytes.py::test_of_an_answer_that_holds_nothing_no_note_is_taken",
            "tests/faults/test_bytes.py::test_an_answer_that_holds_nothing_and_is_for_nobody_is_counted",
        ),
    ),
    Fault(
        id="M7",
        sentence="JSON at its limits: numbers that are none, a hundred thousand levels, a million keys.",
        invariants=("I1", "I8"),
        tests=(
            "tests/sansio/test_envelope.py::test_no_json_makes_it_raise",
            "tests/sansio/test_peer.py::test_a_message_may_be_as_deep_as_the_server_reads_and_no_deeper",
        ),
    ),
    Fault(
        id="M8",
        sentence="Messages of a newer server: unknown methods, requests, values and shapes.",
        invariants=("I1", "I6"),
        tests=(
            "tests/runtime/test_server_requests.py::test_an_unknown_method_is_refused_even_if_somebody_would_answer",
            "tests/sansio/test_state_messages.py::test_a_turn_with_odd_details_still_has_its_id_and_status",
            "tests/sansio/test_projection.py::test_what_names_nothing_usable_changes_nothing",
            "tests/behaviour/test_odd_messages.py::test_a_question_without_an_object_is_not_for_a_session_to_accept",
        ),
    ),
    Fault(
        id="M9",
        sentence="Messages in an order that nobody would expect, and of threads that nobody knows.",
        invariants=("I3", "I18"),
        tests=(
            "tests/sansio/test_projection.py::test_threads_that_were_never_announced_are_taken",
            "tests/runtime/test_dispatch.py::test_a_request_and_its_end_in_one_read_leave_nothing_open",
            "tests/runtime/test_dispatch.py::test_requests_of_a_thread_that_nobody_opened_are_declined",
            "tests/sansio/test_projection.py::test_a_snapshot_is_what_a_fold_from_scratch_gives",
            "tests/client/test_turn_state.py::test_late_items_of_the_turn_before_do_not_get_into_the_next",
        ),
    ),
    Fault(
        id="M10",
        sentence="Questions without end, or two under one id.",
        invariants=("I6", "I7", "I8"),
        tests=(
            "tests/runtime/test_server_requests.py::test_too_many_at_once_are_declined",
            "tests/runtime/test_server_requests.py::test_the_same_request_twice_is_one",
            "tests/runtime/test_server_requests.py::test_a_reader_that_stopped_reading_costs_a_bounded_amount",
            "tests/faults/test_bytes.py::test_one_id_for_two_questions_gets_one_answer_and_that_is_a_no",
            "tests/faults/test_bytes.py::test_one_id_for_two_questions_in_one_read_gets_noes",
            "tests/faults/test_bytes.py::test_a_server_that_asks_and_never_reads_is_ended",
        ),
    ),
    Fault(
        id="M11",
        sentence="Noise on stderr: without end, cut within characters, with control sequences.",
        invariants=("I1", "I8"),
        tests=(
            "tests/io/test_process.py::test_stderr_is_always_drained_and_only_its_tail_is_kept",
            "tests/io/test_stderr_tail.py::test_it_holds_the_last_bytes_and_never_much_more",
            "tests/io/test_stderr_tail.py::test_escape_sequences_are_left_out_and_text_is_not",
            "tests/io/test_stderr_tail.py::test_hostile_text_costs_linear_time",
        ),
    ),
    Fault(
        id="M12",
        sentence="Any bytes whatsoever.",
        invariants=("I1", "I8"),
        tests=(
            "tests/sansio/test_peer.py::test_no_bytes_make_receive_raise",
            "tests/sansio/test_envelope.py::test_no_bytes_make_it_raise",
            "tests/sansio/test_projection.py::test_no_json_makes_it_raise",
        ),
        without="What no table holds is found by property tests and by fuzzing.",
    ),
    Fault(
        id="C1",
        sentence="A reader who never reads, reads slowly, leaves in the middle, or is forgotten.",
        invariants=("I4", "I8", "I15"),
        tests=(
            "tests/real/test_hard_times.py::test_what_nobody_reads_costs_little_and_is_counted",
            "tests/io/test_fanout.py::test_what_is_received_and_what_is_lost_add_up",
            "tests/io/test_fanout.py::test_two_readers_share_without_losing_or_doubling",
            "tests/runtime/test_dispatch.py::test_an_abandoned_blocking_subscription_slows_nobody_down_for_long",
            "tests/client/test_turn_state.py::test_a_slow_reader_loses_no_text",
            "tests/runtime/test_figures.py::test_each_subscription_is_told_by_its_name",
            "tests/faults/test_consumers.py::test_a_subscription_that_nobody_has_any_more_is_let_go",
            "tests/faults/test_consumers.py::test_a_task_that_nobody_keeps_goes_on_reading",
            "tests/faults/test_consumers.py::test_whatever_one_reader_does_the_others_get_all",
        ),
    ),
    Fault(
        id="C2",
        sentence="A reader who comes late.",
        invariants=("I3", "I4"),
        tests=(
            "tests/io/test_fanout.py::test_what_was_published_before_is_not_seen",
            "tests/journal/test_journal.py::test_following_goes_on_where_reading_ends",
            "tests/journal/test_journal.py::test_whoever_is_overtaken_by_the_retention_is_told",
            "tests/faults/test_consumers.py::test_a_journal_and_a_subscription_meet_without_a_gap_and_without_a_double",
        ),
        without="Which messages a late reader is owed, each client promises in its own way.",
    ),
    Fault(
        id="C3",
        sentence="A sink that is slow, raises, hangs, or will not be cancelled.",
        invariants=("I4", "I13", "I15", "I19"),
        tests=(
            "tests/runtime/test_pump.py::test_a_sink_that_raises_costs_itself_its_batch",
            "tests/runtime/test_pump.py::test_a_write_that_hangs_is_cut_off",
            "tests/runtime/test_pump.py::test_a_sink_that_will_not_be_cancelled_is_left_behind",
            "tests/runtime/test_pump.py::test_a_loss_at_the_very_end_is_told_too",
            "tests/runtime/test_dispatch.py::test_the_counters_agree_with_the_servers_own",
            "tests/runtime/test_keeper.py::test_a_store_that_hangs_holds_up_nobody_and_the_end_is_bounded",
            "tests/faults/test_consumers.py::test_whatever_a_sink_raises_costs_it_that_batch_and_no_more",
            "tests/faults/test_consumers.py::test_whatever_a_sink_raises_at_its_end_is_counted_and_told",
            "tests/faults/test_consumers.py::test_a_closing_that_is_cancelled_goes_on_and_closes_each_sink_once",
        ),
        without="Only our own client has sinks.",
    ),
    Fault(
        id="C4",
        sentence="A hook that raises, hangs, blocks, answers nonsense, or calls back.",
        invariants=("I6", "I15", "I20"),
        tests=(
            "tests/hooks/test_run.py::test_a_hook_that_fails_at_a_gate_is_a_no",
            "tests/hooks/test_run.py::test_a_hook_that_is_late_is_stopped_and_is_a_no",
            "tests/hooks/test_run.py::test_what_a_hook_is_told_belongs_to_it",
            "tests/hooks/test_run.py::test_when_too_many_threads_hang_no_more_are_started",
            "tests/client/test_guard.py::test_events_go_on_while_a_hook_thinks",
            "tests/faults/test_consumers.py::test_whatever_a_hook_on_the_loop_raises_is_a_no",
            "tests/faults/test_consumers.py::test_whatever_a_plain_hook_raises_on_its_thread_is_a_no_at_once",
            "tests/faults/test_consumers.py::test_whatever_a_hook_after_a_tool_raises_changes_nothing",
            "tests/faults/test_consumers.py::test_a_hook_that_holds_up_the_loop_beyond_its_time_gave_no_leave",
            "tests/faults/test_consumers.py::test_a_hook_may_come_back_to_its_own_session_and_client",
            "tests/faults/test_consumers.py::test_a_hook_that_runs_what_it_watches_is_not_called_for_ever",
        ),
        without="Only our own client has hooks.",
    ),
    Fault(
        id="C5",
        sentence="An approval that nobody answers, or two do, or one too late.",
        invariants=("I6", "I7"),
        tests=(
            "tests/runtime/test_server_requests.py::test_nobody_is_a_no_at_once",
            "tests/runtime/test_server_requests.py::test_a_yes_after_the_deadline_is_a_no",
            "tests/runtime/test_server_requests.py::test_the_second_answer_is_refused",
            "tests/runtime/test_server_requests.py::test_a_handler_that_hangs_is_cancelled_and_declined_at_the_deadline",
            "tests/runtime/test_server_requests.py::test_a_thread_cannot_settle_a_ticket",
            "tests/runtime/test_server_requests.py::test_closing_withdraws_what_is_open_and_stops_the_handlers",
            "tests/client/test_turn_approvals.py::test_a_handler_that_fails_means_no",
            "tests/faults/test_consumers.py::test_a_millisecond_decides",
            "tests/faults/test_consumers.py::test_a_second_person_is_told_and_writes_nothing",
            "tests/faults/test_consumers.py::test_two_who_answer_in_one_turn_of_the_loop_are_one_answer",
            "tests/faults/test_consumers.py::test_an_answer_to_a_turn_that_was_interrupted_is_none",
        ),
    ),
    Fault(
        id="C6",
        sentence="An answer to one server that comes when the next one asks under the same id.",
        invariants=("I6", "I7"),
        tests=(
            "tests/runtime/test_server_requests.py::test_a_late_answer_never_reaches_the_next_server",
            "tests/runtime/test_server_requests.py::test_an_answer_in_the_moment_of_the_death_goes_nowhere",
            "tests/faults/test_consumers.py::test_a_yes_that_waits_over_a_restart_reaches_nobody",
        ),
    ),
    Fault(
        id="C7",
        sentence="A caller that is cancelled, at any wait.",
        invariants=("I1", "I16"),
        tests=(
            "tests/runtime/test_calls.py::test_a_call_may_be_cancelled_at_any_await",
            "tests/runtime/test_life.py::test_opening_may_be_cancelled_at_any_turn_of_the_loop",
            "tests/client/test_turn.py::test_a_run_may_be_cancelled_at_any_wait",
            "tests/client/test_turn.py::test_a_stream_may_be_cancelled_at_any_wait",
            "tests/client/test_session.py::test_closing_may_be_cancelled_at_any_wait",
            "tests/client/test_client.py::test_opening_may_be_cancelled_at_any_wait",
            "tests/client/test_turn_reconciliation.py::test_a_run_may_be_cancelled_at_any_wait_of_the_search",
        ),
        without="At which waits a client can be cancelled, only its own tests can count.",
    ),
    Fault(
        id="C8",
        sentence="A program that ends without closing anything.",
        invariants=("I9", "I13"),
        tests=(
            "tests/io/test_process_end.py::test_a_program_that_ends_without_closing_leaves_nothing_and_does_not_hang",
            "tests/faults/test_ending.py::test_a_program_that_ends_leaves_no_server_and_hangs_at_nothing",
            "tests/faults/test_consumers.py::test_when_everything_on_the_loop_is_cancelled_everyone_is_told_at_once",
        ),
    ),
    Fault(
        id="C9",
        sentence="Use from another loop or thread.",
        invariants=("I1", "I15"),
        tests=(
            "tests/runtime/test_runtime.py::test_another_event_loop_is_told_so_and_harms_nothing",
            "tests/runtime/test_server_requests.py::test_a_thread_cannot_settle_a_ticket",
            "tests/faults/test_consumers.py::test_whoever_comes_from_another_loop_is_told_at_once",
        ),
        without="Which threads may use it, each client promises in its own way.",
    ),
    Fault(
        id="C10",
        sentence="Errors of the user's own in the user's own functions, also those that end programs.",
        invariants=("I15",),
        tests=(
            "tests/runtime/test_life.py::test_callbacks_that_raise_are_counted_and_change_nothing",
            "tests/runtime/test_dispatch.py::test_a_listener_that_raises_costs_its_own_call_only",
            "tests/faults/test_consumers.py::test_whatever_is_raised_within_a_read_the_rest_of_the_read_is_dispatched",
            "tests/faults/test_consumers.py::test_whatever_is_raised_when_a_restart_is_told_the_runtime_lives",
            "tests/faults/test_consumers.py::test_whatever_a_coroutine_that_is_asked_raises_is_a_no",
            "tests/faults/test_ending.py::test_a_guest_that_wants_the_program_to_end_is_heard_when_all_is_closed",
        ),
        without="Only our own client has such functions.",
    ),
    Fault(
        id="C11",
        sentence="Groups of tasks of which one fails.",
        invariants=("I16",),
        tests=(
            "tests/runtime/test_runtime.py::test_leaving_the_block_by_an_error_ends_the_server",
            "tests/contract/test_desk.py::test_cancelling_the_caller_interrupts_the_turn",
            "tests/faults/test_consumers.py::test_several_errors_of_a_group_come_out_together",
            "tests/faults/test_consumers.py::test_a_group_whose_body_fails_stops_the_turns_in_it",
            "tests/faults/test_consumers.py::test_errors_of_turns_can_be_picked_out_of_a_group",
        ),
        without="A group of tasks cancels the others: what that does is C7.",
    ),
    Fault(
        id="E1",
        sentence="The disk is full.",
        invariants=("I14", "I15"),
        tests=(
            "tests/journal/test_store.py::test_a_full_disk_costs_what_was_not_acknowledged",
            "tests/io/test_files.py::test_a_full_disk_leaves_nothing_half",
            "tests/runtime/test_sinks.py::test_a_full_disk_leaves_a_gap_in_the_log",
        ),
        without="Only our own client has stores; they are taken through it by verification.crash.",
    ),
    Fault(
        id="E2",
        sentence="The disk fails: errors, short writes, syncs that do not happen.",
        invariants=("I14",),
        tests=(
            "tests/io/test_files.py::test_a_failed_sync_is_never_tried_again_on_the_same_file",
            "tests/io/test_files.py::test_a_short_write_is_completed",
        ),
        without="Only our own client has stores; they are taken through it by verification.crash.",
    ),
    Fault(
        id="E3",
        sentence="Our program is killed while it writes.",
        invariants=("I14",),
        tests=(
            "tests/journal/test_journal.py::test_what_was_acknowledged_survives_being_killed",
            "tests/runtime/test_state_store.py::test_a_program_that_is_killed_while_it_saves_leaves_a_whole_state",
        ),
        without="Only our own client has stores; they are taken through it by verification.crash.",
    ),
    Fault(
        id="E4",
        sentence="A log that ends in the middle of a line, or has garbage in it.",
        invariants=("I14",),
        tests=(
            "tests/runtime/test_jsonl.py::test_a_log_torn_anywhere_loses_its_last_record_only",
            "tests/runtime/test_jsonl.py::test_what_is_no_record_is_skipped_and_told",
            "tests/io/test_files.py::test_a_torn_log_is_continued_on_a_new_line",
        ),
        without="Only our own client has logs.",
    ),
    Fault(
        id="E5",
        sentence="The clock jumps.",
        invariants=("I17",),
        tests=(
            "tests/runtime/test_supervisor.py::test_wall_clock_steps_change_nothing",
            "tests/faults/test_child_process.py::test_steps_of_the_wall_clock_change_no_deadline",
            "tests/sansio/test_watchdog.py::test_a_jump_of_the_clock_counts_as_one_look",
        ),
        without="The clock of a machine is not ours to turn; a clock of our own is.",
    ),
    Fault(
        id="E6",
        sentence="Folders that are read-only, gone, or somebody else's.",
        invariants=("I1", "I14"),
        tests=(
            "tests/journal/test_store.py::test_a_folder_that_is_not_there_is_our_error",
            "tests/runtime/test_state_store.py::test_a_file_that_cannot_be_reached_is_an_error_and_leaves_no_lock",
            "tests/runtime/test_state_store.py::test_a_file_is_its_owners_alone",
            "tests/runtime/test_config.py::test_folders_exist",
            "tests/client/test_prompt.py::test_a_folder_of_our_own_that_is_gone_is_a_wrong_setting",
            "tests/client/test_prompt.py::test_a_name_that_cannot_even_be_looked_for_is_a_wrong_setting",
            "tests/io/test_binary.py::test_a_name_that_cannot_even_be_looked_for_is_an_error",
            "tests/runtime/test_audit.py::test_a_folder_that_is_not_there_is_told_at_once",
        ),
    ),
    Fault(
        id="E7",
        sentence="Two processes on one store.",
        invariants=("I14",),
        tests=(
            "tests/journal/test_store.py::test_there_is_one_writer",
            "tests/journal/test_journal.py::test_a_journal_has_one_writing_process",
            "tests/io/test_files.py::test_two_cannot_write_the_same_log",
            "tests/runtime/test_state_store.py::test_a_store_belongs_to_one_runtime_at_a_time",
            "tests/faults/test_real.py::test_two_runtimes_on_one_home_do_not_share_a_thread",
        ),
        without="Only our own client has stores.",
    ),
    Fault(
        id="E8",
        sentence="There are no descriptors left.",
        invariants=("I1", "I9", "I10", "I15"),
        tests=(
            "tests/io/test_spawn.py::test_running_out_of_descriptors_is_a_start_error_and_leaves_none",
            "tests/faults/test_child_process.py::test_without_descriptors_a_restart_fails_and_is_tried_again",
        ),
    ),
    Fault(
        id="E9",
        sentence="The machine sleeps, or our process is stopped.",
        invariants=("I10", "I17"),
        tests=(
            "tests/runtime/test_watchdog.py::test_our_own_standstill_is_no_silence_of_the_server",
            "tests/sansio/test_watchdog.py::test_time_in_which_we_do_not_listen_does_not_count",
            "tests/sansio/test_watchdog.py::test_no_course_of_time_kills_before_enough_looks",
        ),
    ),
    Fault(
        id="E10",
        sentence="The host program has its own ways with signals, streams, sockets and variables.",
        invariants=("I1", "I5", "I9"),
        tests=(
            "tests/io/test_guardian.py::test_other_signals_do_not_matter_to_it",
            "tests/io/test_process_start.py::test_the_child_has_a_session_of_its_own_and_default_signals",
        ),
    ),
)
