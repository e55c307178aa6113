"""What is required across crashes: restarts, the state, what outlives the program, figures. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

SUPERVISION = (
    Requirement(
        id="R058",
        sentence="After a crash there is a next server, and calls go to it.",
        tests=(
            "tests/runtime/test_calls.py::test_calls_made_during_a_restart_go_to_the_next_server",
            "tests/runtime/test_supervisor.py::test_a_death_around_any_message_is_seen_and_mended",
            "tests/real/test_hard_times.py::test_a_session_outlives_one_crash_after_the_other",
        ),
    ),
    Requirement(
        id="R059",
        sentence="A server that ends by itself in good order, leaving nothing undone, is not started again, unless that is wished.",
        tests=(
            "tests/sansio/test_restart.py::test_the_policy_and_the_exit_decide",
            "tests/runtime/test_supervisor.py::test_the_rule_says_who_is_started_again",
            "tests/runtime/test_supervisor.py::test_a_server_that_leaves_its_work_undone_has_failed",
        ),
    ),
    Requirement(
        id="R060",
        sentence="Restarts have a budget, and a stable life forgives.",
        tests=(
            "tests/sansio/test_restart.py::test_the_budget_counts_restarts_in_a_sliding_window",
            "tests/runtime/test_supervisor.py::test_the_pauses_grow_until_the_budget_is_spent",
            "tests/runtime/test_supervisor.py::test_a_stable_server_resets_the_pause_but_not_the_window",
        ),
        difference="A stable life resets the pause only; the budget is a sliding window, so flapping just above the stable time ends too.",
    ),
    Requirement(
        id="R061",
        sentence="The pause before a restart is a function of history, time and chance, within its bounds.",
        tests=(
            "tests/sansio/test_restart.py::test_the_delay_doubles_up_to_its_limit_and_a_stable_life_resets_it",
            "tests/sansio/test_restart.py::test_no_history_breaks_the_budget_or_the_bounds_of_the_delay",
        ),
    ),
    Requirement(
        id="R062",
        sentence="Closing does not wait for the pause before a restart.",
        tests=(
            "tests/behaviour/test_farewell.py::test_a_runtime_that_pauses_before_a_restart_closes_without_waiting_for_it",
        ),
    ),
    Requirement(
        id="R063",
        sentence="A start that fails after the first one is tried again within the budget.",
        tests=("tests/runtime/test_supervisor.py::test_failed_starts_are_tried_again_within_the_budget",),
    ),
    Requirement(
        id="R064",
        sentence="A call during a restart waits for the next server within its own deadline.",
        tests=(
            "tests/runtime/test_calls.py::test_calls_made_during_a_restart_go_to_the_next_server",
            "tests/runtime/test_calls.py::test_the_deadline_covers_the_wait_for_a_server",
            "tests/runtime/test_runtime.py::test_waiting_for_ready_returns_with_the_next_server",
        ),
        difference="There is no switch: a short deadline fails soon, and the phase of the connection can be asked first.",
    ),
    Requirement(
        id="R065",
        sentence="After a restart, sessions find their threads again, with all settings.",
        tests=(
            "tests/client/test_session.py::test_after_a_crash_the_thread_is_resumed_with_all_its_settings",
            "tests/client/test_session.py::test_a_thread_in_which_nothing_ran_is_started_afresh",
            "tests/real/test_flows_turns.py::test_e1_a_killed_server_loses_the_turn_but_not_the_thread",
            "tests/client/test_turn_reconciliation.py::test_a_server_that_dies_in_mid_turn_loses_it_as_soon_as_the_next_one_is_there",
            "tests/real/test_attach.py::test_a_turn_goes_on_after_a_reconnect",
            "tests/real/test_attach.py::test_a_turn_that_ended_while_nobody_was_connected_has_its_result",
        ),
        difference="The turn that ran is found again, too: with its result if it ended, and going on where its server lives on.",
    ),
    Requirement(
        id="R066",
        sentence="Whoever uses a client can set everything that a runtime can be set to.",
        tests=(
            "tests/client/test_session.py::test_a_second_crash_during_the_resumption_is_outlived",
            "tests/client/test_turn_approvals.py::test_a_handler_that_hangs_means_no_at_the_deadline",
            "tests/contract/test_desk.py::test_a_turn_is_lost_and_the_thread_goes_on",
        ),
    ),
    Requirement(
        id="R067",
        sentence="The state follows threads, turns and items as the server really tells them.",
        tests=(
            "tests/sansio/test_projection.py::test_every_kind_of_item_starts_and_completes",
            "tests/sansio/test_projection.py::test_deltas_add_up_in_their_place",
            "tests/sansio/test_projection.py::test_a_turn_ends_as_the_server_says",
            "tests/sansio/test_state_facts.py::test_every_notification_is_taken_or_left_alone_on_purpose",
            "tests/sansio/test_state_facts.py::test_what_a_real_server_told_last_is_what_the_state_says",
            "tests/sansio/test_state_facts.py::test_a_sub_agents_thread_knows_its_parent",
        ),
    ),
    Requirement(
        id="R068",
        sentence="Text in the state is cut at its limit, between two characters, and says so.",
        tests=(
            "tests/sansio/test_state_text.py::test_text_is_cut_at_a_character_boundary_and_no_earlier_than_needed",
            "tests/sansio/test_state_text.py::test_text_added_in_pieces_is_the_text_added_at_once",
        ),
    ),
    Requirement(
        id="R069",
        sentence="The state keeps to its limits, and a running turn is never thrown out.",
        tests=(
            "tests/sansio/test_projection.py::test_limits_always_hold",
            "tests/sansio/test_state_tree.py::test_the_running_turn_is_never_evicted",
            "tests/sansio/test_state_tree.py::test_the_thread_that_was_touched_longest_ago_goes_first",
        ),
    ),
    Requirement(
        id="R070",
        sentence="What is told late does not overwrite what is known.",
        tests=(
            "tests/sansio/test_projection.py::test_the_end_of_a_command_corrects_its_output",
            "tests/sansio/test_projection.py::test_a_snapshot_is_what_a_fold_from_scratch_gives",
        ),
        difference="Numbers are not compared: the one road in folds each message once, in order, so an older one cannot come after.",
    ),
    Requirement(
        id="R071",
        sentence="A snapshot is the same object until something changes, and looking costs nothing.",
        tests=(
            "tests/runtime/test_runtime.py::test_the_state_is_the_same_object_until_something_changes",
            "tests/sansio/test_projection.py::test_what_did_not_change_keeps_its_identity",
        ),
    ),
    Requirement(
        id="R072",
        sentence="When a server goes, its open requests leave the state and its running turns are lost.",
        tests=(
            "tests/sansio/test_projection.py::test_the_end_of_a_generation_loses_what_ran",
            "tests/runtime/test_runtime.py::test_turns_in_flight_are_lost_with_their_server",
        ),
    ),
    Requirement(
        id="R073",
        sentence="The state outlives the program, in memory or in a file: written in order, whole or not at all, with damage told.",
        tests=(
            "tests/sansio/test_snapshot.py::test_a_state_comes_back_as_it_was",
            "tests/sansio/test_snapshot.py::test_any_one_byte_that_changed_is_noticed",
            "tests/sansio/test_snapshot.py::test_a_later_version_is_told_apart_from_damage",
            "tests/runtime/test_state_store.py::test_what_was_saved_last_is_there_again",
            "tests/runtime/test_state_store.py::test_a_program_that_is_killed_while_it_saves_leaves_a_whole_state",
            "tests/runtime/test_keeper.py::test_a_file_that_cannot_be_read_is_set_aside_and_told",
            "tests/runtime/test_keeper.py::test_what_changes_during_a_save_is_one_more_save",
            "tests/real/test_state.py::test_a_new_program_knows_the_thread_its_turn_and_its_items",
            "tests/journal/test_replay.py::test_a_replay_gives_the_results_and_the_state_of_then",
            "tests/journal/test_store.py::test_a_transaction_is_all_or_nothing",
        ),
    ),
    Requirement(
        id="R074",
        sentence="Numbers that begin anew after a restart of the program are never taken for old ones.",
        tests=(
            "tests/sansio/test_state_restore.py::test_nothing_that_comes_later_is_taken_for_old",
            "tests/runtime/test_keeper.py::test_what_comes_after_a_restart_is_never_taken_for_old",
            "tests/journal/test_store.py::test_cursors_rise_by_one_for_ever",
            "tests/journal/test_replay.py::test_numbers_that_begin_anew_are_another_run",
        ),
        difference="Each run numbers its own messages from 0: what a store brings back moves below 0, in its order.",
    ),
    Requirement(
        id="R075",
        sentence="Everything that is counted can be read: messages, losses by reader, restarts, outcomes, waits, sinks.",
        tests=(
            "tests/real/test_figures.py::test_what_happened_can_be_read_off_the_figures",
            "tests/runtime/test_metrics.py::test_every_counter_is_shown",
            "tests/runtime/test_figures.py::test_each_subscription_is_told_by_its_name",
            "tests/runtime/test_figures.py::test_approvals_are_told_apart_from_other_server_requests",
            "tests/runtime/test_figures.py::test_the_figures_can_be_written_as_json",
            "tests/runtime/test_figures.py::test_a_picture_does_not_change",
            "tests/runtime/test_dispatch.py::test_the_counters_agree_with_the_servers_own",
            "tests/runtime/test_server_requests.py::test_each_way_to_settle_has_its_words_and_its_outcome",
        ),
    ),
    Requirement(
        id="R076",
        sentence="How long things take is told by any percentile; for sinks also by average and maximum.",
        tests=(
            "tests/runtime/test_metrics.py::test_a_quantile_is_the_bound_of_the_bucket_it_falls_in",
            "tests/runtime/test_metrics.py::test_a_quantile_leaves_no_more_above_it_than_it_says",
            "tests/behaviour/test_figures.py::test_the_slowest_twentieth_does_not_show_in_the_ninety_fifth_percentile",
        ),
    ),
)
