"""What is required of a connection: settings, lines, processes, greeting, calls. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

CONNECTION = (
    Requirement(
        id="R001",
        sentence="Every setting has a documented default, and the defaults are bounded and safe.",
        tests=(
            "tests/runtime/test_config.py::test_the_defaults_are_fine",
            "tests/sansio/test_state.py::test_the_default_limits_are_those_that_are_documented",
            "tests/client/test_prompt.py::test_the_defaults_are_the_safe_ones_and_are_said",
        ),
    ),
    Requirement(
        id="R002",
        sentence="A setting without a meaning is refused by its name before anything is started.",
        tests=(
            "tests/runtime/test_config.py::test_waits_are_finite_and_above_zero",
            "tests/runtime/test_config.py::test_sizes_are_one_or_more",
            "tests/runtime/test_config.py::test_settings_within_settings_are_named_in_full",
            "tests/runtime/test_config.py::test_a_subscription_has_sizes_and_a_known_overflow",
            "tests/sansio/test_state.py::test_a_limit_that_is_not_a_whole_number_above_zero_is_refused_by_name",
            "tests/sansio/test_restart.py::test_a_bad_policy_names_its_field",
            "tests/runtime/test_pump.py::test_the_grace_of_sinks_is_checked",
        ),
    ),
    Requirement(
        id="R003",
        sentence="Whether the server's experimental methods are asked for is one switch of the greeting.",
        tests=(
            "tests/runtime/test_life.py::test_an_open_runtime_has_been_greeted",
            "tests/runtime/test_life.py::test_without_the_experimental_api_the_greeting_does_not_ask_for_it",
        ),
        difference="The greeting is made of typed settings; there is no free-form object in it that would have to be repaired.",
    ),
    Requirement(
        id="R004",
        sentence="A message is a line, both ways; how lines end and how the bytes are cut does not matter.",
        tests=(
            "tests/sansio/test_framing.py::test_the_same_lines_come_out_however_the_bytes_are_cut",
            "tests/sansio/test_framing.py::test_a_line_that_ends_with_the_stream_still_counts",
            "tests/behaviour/test_odd_messages.py::test_lines_may_end_as_they_do_on_windows",
            "tests/io/test_process.py::test_what_is_written_comes_back_and_the_end_is_clean",
        ),
    ),
    Requirement(
        id="R005",
        sentence="A line that is no message is counted, told and skipped.",
        tests=(
            "tests/sansio/test_peer.py::test_bad_lines_are_counted_by_sort",
            "tests/runtime/test_dispatch.py::test_garbage_and_over_long_lines_are_counted_and_told",
        ),
    ),
    Requirement(
        id="R006",
        sentence="A line over the limit is counted and told, costs no more memory than the limit, and leaves the next one whole.",
        tests=(
            "tests/sansio/test_framing.py::test_over_long_lines_become_faults_in_their_place",
            "tests/sansio/test_framing.py::test_an_endless_line_holds_no_more_than_the_limit",
            "tests/real/test_hard_times.py::test_garbage_and_an_endless_line_are_survived_and_counted",
        ),
    ),
    Requirement(
        id="R007",
        sentence="A hundred thousand lines arrive without loss, within seconds.",
        tests=("tests/behaviour/test_volume.py::test_a_hundred_thousand_lines_arrive_whole_and_soon",),
    ),
    Requirement(
        id="R008",
        sentence="The last of stderr can be read by whoever wants it, and is in no error message.",
        tests=(
            "tests/io/test_process.py::test_stderr_is_always_drained_and_only_its_tail_is_kept",
            "tests/runtime/test_runtime.py::test_stderr_and_pid_are_those_of_the_current_server",
            "tests/behaviour/test_secrets.py::test_what_stood_on_stderr_is_beside_the_error_and_not_in_it",
            "tests/behaviour/test_secrets.py::test_what_a_dying_server_complained_of_is_beside_the_error_and_not_in_it",
        ),
    ),
    Requirement(
        id="R009",
        sentence="A server that stops reading its input is no crash of ours.",
        tests=(
            "tests/io/test_process.py::test_a_child_that_closes_its_stdin_is_still_heard",
            "tests/io/test_outbox.py::test_a_reader_that_is_gone_is_not_reported",
        ),
    ),
    Requirement(
        id="R010",
        sentence="A server is ended by closing its input, then SIGTERM, then SIGKILL, each with its grace.",
        tests=(
            "tests/io/test_process.py::test_what_is_written_comes_back_and_the_end_is_clean",
            "tests/io/test_process_end.py::test_a_stopped_child_may_leave_in_good_order",
            "tests/io/test_process_end.py::test_a_child_that_ignores_everything_is_killed_in_bounded_time",
        ),
    ),
    Requirement(
        id="R011",
        sentence="A slow reader, on either side, holds the other back instead of filling memory.",
        tests=(
            "tests/io/test_process.py::test_a_pause_loses_nothing",
            "tests/io/test_process.py::test_drain_waits_until_a_slow_reader_has_caught_up",
            "tests/runtime/test_dispatch.py::test_a_blocking_subscription_pauses_the_pipe_and_resumes_it",
            "tests/io/test_fanout.py::test_bytes_are_bounded_but_the_newest_batch_survives",
        ),
    ),
    Requirement(
        id="R012",
        sentence="An open runtime has been greeted and knows who is there.",
        tests=(
            "tests/runtime/test_life.py::test_an_open_runtime_has_been_greeted",
            "tests/sansio/test_peer.py::test_the_greeting_is_written_in_order",
        ),
    ),
    Requirement(
        id="R013",
        sentence="A refused greeting fails the start at once and leaves nothing.",
        tests=(
            "tests/runtime/test_supervisor.py::test_a_refused_greeting_is_a_start_error",
            "tests/runtime/test_supervisor.py::test_a_greeting_of_another_shape_is_a_start_error",
        ),
    ),
    Requirement(
        id="R014",
        sentence="A greeting that is never answered fails the start at its deadline and leaves nothing.",
        tests=("tests/runtime/test_supervisor.py::test_a_first_server_that_does_not_answer_is_a_start_error",),
    ),
    Requirement(
        id="R015",
        sentence="A server that dies in the greeting fails the start at once.",
        tests=(
            "tests/runtime/test_supervisor.py::test_a_first_server_that_dies_before_it_is_ready_is_a_start_error",
            "tests/testing/test_fake_server.py::test_it_can_die_in_the_middle_of_the_greeting",
        ),
    ),
    Requirement(
        id="R016",
        sentence="Closing works from any state, any number of times, and leaves no process.",
        tests=(
            "tests/runtime/test_life.py::test_a_runtime_closes_from_any_state",
            "tests/io/test_process_end.py::test_every_caller_of_aclose_gets_the_same_end",
            "tests/io/test_process_end.py::test_a_hundred_lives_and_deaths_leave_nothing",
        ),
    ),
    Requirement(
        id="R017",
        sentence="Closing does not wait for calls in flight, and does not kill a healthy server because of them.",
        tests=(
            "tests/runtime/test_calls.py::test_calls_that_wait_when_the_runtime_is_closed_learn_it",
            "tests/behaviour/test_farewell.py::test_a_server_that_still_owes_an_answer_leaves_by_itself",
        ),
    ),
    Requirement(
        id="R018",
        sentence="Whatever way the block is left, or the opening cancelled, the server is gone afterwards.",
        tests=(
            "tests/runtime/test_runtime.py::test_leaving_the_block_by_an_error_ends_the_server",
            "tests/runtime/test_life.py::test_opening_may_be_cancelled_at_any_await",
            "tests/runtime/test_life.py::test_opening_may_be_cancelled_at_any_turn_of_the_loop",
        ),
    ),
    Requirement(
        id="R019",
        sentence="Ten thousand calls in a row each get their own answer.",
        tests=(
            "tests/behaviour/test_volume.py::test_ten_thousand_calls_one_after_the_other_each_get_their_own_answer",
        ),
    ),
    Requirement(
        id="R020",
        sentence="A hundred calls at once are told apart, whatever the order of the answers.",
        tests=(
            "tests/behaviour/test_volume.py::test_a_hundred_calls_at_once_are_answered_last_first",
            "tests/runtime/test_calls.py::test_answers_find_their_callers_in_any_order",
        ),
    ),
    Requirement(
        id="R021",
        sentence="A call without an answer ends at its deadline, and an answer that comes later reaches nobody.",
        tests=(
            "tests/runtime/test_calls.py::test_no_answer_in_time_is_a_timeout_and_a_late_answer_is_dropped",
            "tests/runtime/test_figures.py::test_gauges_go_back_to_nothing",
        ),
    ),
    Requirement(
        id="R022",
        sentence="The deadline of a call covers the wait for a server, for a free place and for the pipe.",
        tests=(
            "tests/runtime/test_calls.py::test_the_deadline_covers_the_wait_for_a_server",
            "tests/runtime/test_calls.py::test_the_deadline_covers_the_wait_for_a_slot",
            "tests/runtime/test_calls.py::test_the_deadline_covers_the_wait_for_the_pipe",
        ),
    ),
    Requirement(
        id="R023",
        sentence="A caller that is cancelled leaves nothing behind, wherever it waits.",
        tests=(
            "tests/runtime/test_calls.py::test_a_cancelled_caller_frees_its_slot_and_its_id",
            "tests/runtime/test_calls.py::test_a_caller_cancelled_in_line_leaves_it",
            "tests/runtime/test_calls.py::test_a_call_may_be_cancelled_at_any_await",
        ),
    ),
    Requirement(
        id="R024",
        sentence="Each call can bring a deadline of its own, also the typed ones.",
        tests=(
            "tests/runtime/test_calls.py::test_a_deadline_is_above_zero",
            "tests/runtime/test_calls.py::test_a_deadline_may_be_endless",
            "tests/behaviour/test_deadline.py::test_every_door_takes_a_deadline",
        ),
    ),
    Requirement(
        id="R025",
        sentence="When the server goes away, each call in flight learns it at once.",
        tests=(
            "tests/runtime/test_calls.py::test_calls_in_flight_fail_when_their_server_dies",
            "tests/runtime/test_life.py::test_everyone_who_waits_sees_the_death",
        ),
    ),
    Requirement(
        id="R026",
        sentence="A call on a runtime that is not open, or no longer, has an error of its own kind.",
        tests=(
            "tests/runtime/test_calls.py::test_before_it_is_open_a_runtime_carries_nothing",
            "tests/runtime/test_calls.py::test_after_the_end_a_runtime_carries_nothing",
            "tests/sansio/test_peer.py::test_nothing_is_sent_before_the_greeting_is_over",
        ),
    ),
    Requirement(
        id="R027",
        sentence="A refusal keeps the server's code, message and data; overload has its own class.",
        tests=(
            "tests/runtime/test_calls.py::test_a_refusal_says_what_the_server_said",
            "tests/runtime/test_calls.py::test_an_overloaded_server_is_asked_again",
            "tests/runtime/test_calls.py::test_a_server_that_stays_overloaded_is_reported_as_such",
            "tests/test_errors.py::test_what_they_carry",
        ),
        difference="No classes for unknown methods or wrong params: the server answers both with the same code, so they would lie.",
    ),
    Requirement(
        id="R028",
        sentence="An error of null beside a result is a success.",
        tests=(
            "tests/sansio/test_envelope.py::test_an_error_of_null_beside_a_result_is_no_refusal",
            "tests/runtime/test_calls.py::test_odd_answers_have_one_outcome",
        ),
    ),
    Requirement(
        id="R029",
        sentence="A notification is refused before the greeting, and after it keeps its place between the calls.",
        tests=(
            "tests/runtime/test_calls.py::test_before_it_is_open_a_runtime_carries_nothing",
            "tests/runtime/test_calls.py::test_a_notification_has_no_id_and_keeps_its_place",
        ),
    ),
    Requirement(
        id="R030",
        sentence="Calls can be made raw or typed, and a typed one is checked on both sides.",
        tests=(
            "tests/appserver/test_init.py::test_any_method_can_be_called_raw",
            "tests/appserver/test_init.py::test_every_client_request_has_its_call",
            "tests/appserver/test_init.py::test_a_result_that_does_not_fit_is_the_servers_fault",
        ),
        difference="There are two families and no modes of checking: raw is for what this version does not know, typed for all the rest.",
    ),
)
