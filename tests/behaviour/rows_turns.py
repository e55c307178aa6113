"""What is required of turns, threads and the protocol under them. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

TURNS = (
    Requirement(
        id="R096",
        sentence="One prompt gives one answer, with nothing else to do.",
        tests=(
            "tests/contract/test_desk.py::test_a_session_starts_and_runs_turns",
            "tests/client/test_client.py::test_a_client_runs_a_single_turn",
            "tests/test_oneshot.py::test_one_call_gives_the_result",
        ),
    ),
    Requirement(
        id="R097",
        sentence="What a turn says before its start is answered belongs to it.",
        tests=(
            "tests/sansio/test_turn.py::test_what_comes_before_the_reply_is_replayed_in_order",
            "tests/sansio/test_turn.py::test_a_turn_can_be_over_before_its_reply_is_read",
        ),
    ),
    Requirement(
        id="R098",
        sentence="What other threads say changes nothing.",
        tests=(
            "tests/sansio/test_turn.py::test_other_turns_and_threads_change_nothing",
            "tests/real/test_flows_turns.py::test_two_sessions_are_interleaved",
            "tests/real/test_flows_turns.py::test_sub_agents_do_not_disturb",
        ),
    ),
    Requirement(
        id="R099",
        sentence="The effort of the model can be set, and what is set is sent.",
        tests=("tests/client/test_prompt.py::test_every_option_reaches_the_wire",),
        difference="There is no default of ours: what nobody set is left to the server's own configuration.",
    ),
    Requirement(
        id="R100",
        sentence="A schema for the answer is sent along.",
        tests=("tests/client/test_prompt.py::test_every_option_reaches_the_wire",),
    ),
    Requirement(
        id="R101",
        sentence="The deadline of a turn is a moment that a stream of events does not put off.",
        tests=(
            "tests/behaviour/test_deadline.py::test_a_turn_that_never_stops_talking_ends_at_its_deadline",
            "tests/client/test_turn_interruption.py::test_the_deadline_holds_against_a_server_that_ignores_interruptions",
        ),
    ),
    Requirement(
        id="R102",
        sentence="At its deadline a turn is interrupted on the server.",
        tests=(
            "tests/client/test_turn_interruption.py::test_the_deadline_interrupts_the_turn_on_the_server",
            "tests/contract/test_desk.py::test_a_turn_has_a_deadline",
        ),
    ),
    Requirement(
        id="R103",
        sentence="A reader that lags still learns how the turn ended, and what it said.",
        tests=(
            "tests/client/test_turn_state.py::test_a_turn_that_nobody_reads_still_has_its_result",
            "tests/client/test_turn_state.py::test_a_slow_reader_loses_no_text",
            "tests/sansio/test_turn_fill.py::test_a_turn_comes_to_the_same_wherever_it_was_cut",
            "tests/client/test_turn_reconciliation.py::test_a_server_that_dies_at_the_end_of_a_turn_does_not_take_it_along",
            "tests/real/test_flows_turns.py::test_e1_a_server_killed_at_the_end_of_a_turn",
        ),
        difference="No reader can lag behind the end: a turn is folded on the road in. Only what a broken connection kept from us is read again, with the answer to thread/resume.",
    ),
    Requirement(
        id="R104",
        sentence="Lagging in the middle of a turn never cuts its text.",
        tests=(
            "tests/client/test_turn_state.py::test_a_slow_reader_loses_no_text",
            "tests/sansio/test_turn_buffer.py::test_a_reader_that_lags_gets_fewer_deltas_and_the_whole_text",
        ),
    ),
    Requirement(
        id="R105",
        sentence="A turn that the server ends as failed is a failure, whatever text had come.",
        tests=(
            "tests/sansio/test_turn.py::test_the_word_in_the_terminal_decides",
            "tests/contract/test_desk.py::test_a_turn_fails",
            "tests/client/test_turn.py::test_a_failed_turn_raises_with_what_had_come",
        ),
    ),
    Requirement(
        id="R106",
        sentence="A turn that the server ends as interrupted is told as that.",
        tests=(
            "tests/sansio/test_turn.py::test_the_word_in_the_terminal_decides",
            "tests/contract/test_desk.py::test_a_turn_is_interrupted",
        ),
    ),
    Requirement(
        id="R107",
        sentence="Trouble that the server tries to get over is told, and is not the end.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_a_retry_shows_the_new_message_and_is_never_the_error",
            "tests/real/test_flows_turns.py::test_f6_a_stream_that_is_cut_is_tried_again",
        ),
    ),
    Requirement(
        id="R108",
        sentence="The answer is told apart from what the agent said on the way.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_a_command_turn_tells_commentary_from_the_answer",
            "tests/sansio/test_turn_result.py::test_commentary_is_all_but_the_answer_also_when_they_are_equal",
        ),
    ),
    Requirement(
        id="R109",
        sentence="Why a turn failed is told in the server's own word for it.",
        tests=(
            "tests/real/test_flows_turns.py::test_f_a_failed_turn_names_its_kind",
            "tests/sansio/test_turn_items.py::test_the_kind_of_an_error_is_the_servers_word",
        ),
    ),
    Requirement(
        id="R110",
        sentence="A turn without any text has a clear end.",
        tests=(
            "tests/sansio/test_turn_fold.py::test_an_empty_turn_completes_with_no_text",
            "tests/sansio/test_turn.py::test_no_word_but_an_error_is_a_failure",
        ),
        difference="No error: a turn that only did something is complete with an empty text; one with an error in its end has failed.",
    ),
    Requirement(
        id="R111",
        sentence="A file in a prompt must be there, and is mentioned by its place in the bytes of the text.",
        tests=(
            "tests/client/test_prompt.py::test_a_file_is_mentioned_where_it_stands",
            "tests/client/test_prompt.py::test_a_prompt_that_cannot_be_sent_is_refused",
        ),
    ),
    Requirement(
        id="R112",
        sentence="Giving up the sandbox takes a second word, at every door, before anything is sent.",
        tests=(
            "tests/sansio/test_permissions.py::test_full_access_must_be_said_twice",
            "tests/client/test_prompt.py::test_full_access_wants_a_second_word",
            "tests/client/test_client.py::test_what_is_wrong_is_found_before_anything_is_sent",
            "tests/client/test_session.py::test_the_double_word_of_a_session_opens_the_gate_for_it_alone",
            "tests/client/test_session.py::test_settings_of_a_session_do_not_give_up_the_sandbox_unsaid",
            "tests/sansio/test_permissions.py::test_a_request_that_gives_up_the_sandbox_is_refused",
            "tests/sansio/test_permissions.py::test_a_setting_that_gives_up_the_sandbox_is_not_written",
            "tests/sansio/test_permissions.py::test_what_the_pinned_schema_does_not_have_is_not_judged",
            "tests/real/test_sandbox.py::test_a_thread_without_a_sandbox_takes_the_second_word",
            "tests/real/test_sandbox.py::test_a_program_in_the_configuration_takes_the_second_word",
        ),
        difference=(
            "Only the absence of a sandbox needs the second word, and configuration that names a program, which runs outside of "
            "it; writing in the workspace is an ordinary option. Parameters, settings and methods that the pinned schema does "
            "not have pass unjudged, as do plugins, the home's own configuration and the server's command line."
        ),
    ),
    Requirement(
        id="R113",
        sentence="The gate also stands before commands, processes and files that the server runs or writes by itself.",
        tests=(
            "tests/real/test_sandbox.py::test_what_the_server_lets_out_of_the_sandbox_is_what_the_gate_stops",
            "tests/real/test_sandbox.py::test_what_passes_the_gate_stays_in_the_sandbox",
            "tests/sansio/test_permissions.py::test_what_no_sandbox_holds_is_refused_whatever_it_says",
        ),
    ),
    Requirement(
        id="R114",
        sentence="Errors do not quote what came over the wire, but for the words of a refusal.",
        tests=(
            "tests/behaviour/test_secrets.py::test_a_result_without_the_id_it_should_have_is_not_repeated",
            "tests/behaviour/test_secrets.py::test_an_answer_that_is_wrong_is_not_repeated",
            "tests/behaviour/test_secrets.py::test_only_the_words_of_a_refusal_are_quoted",
            "tests/appserver/test_init.py::test_a_result_that_does_not_fit_is_the_servers_fault",
            "tests/sansio/test_envelope.py::test_its_repr_shows_no_payload",
        ),
    ),
    Requirement(
        id="R115",
        sentence="Threads can be started, resumed, forked, read, listed and put away by typed calls.",
        tests=(
            "tests/appserver/test_init.py::test_every_client_request_has_its_call",
            "tests/client/test_session.py::test_closing_may_put_the_thread_away",
        ),
        difference="The calls are generated from the server's schema, so there is no rollback where the server only has a revert.",
    ),
    Requirement(
        id="R116",
        sentence="An answer that names no thread, or another one, is an error.",
        tests=(
            "tests/client/test_client.py::test_an_answer_without_a_thread_is_the_servers_fault",
            "tests/client/test_client.py::test_an_answer_with_another_thread_is_the_servers_fault",
        ),
    ),
    Requirement(
        id="R117",
        sentence="An item of a kind that we do not know is kept as it came.",
        tests=(
            "tests/protocol/test_base.py::test_an_unknown_tag_keeps_the_object",
            "tests/protocol/test_registry_samples.py::test_an_unknown_arm_encodes_to_what_came_in",
            "tests/sansio/test_projection.py::test_every_kind_of_item_starts_and_completes",
        ),
    ),
    Requirement(
        id="R118",
        sentence="One odd field costs that field, never the list that it stands in.",
        tests=(
            "tests/protocol/test_base.py::test_an_arm_that_does_not_fit_costs_only_itself",
            "tests/protocol/test_base.py::test_an_absent_nullable_field_reads_as_none_where_the_server_speaks",
            "tests/protocol/test_registry_samples.py::test_what_is_new_never_makes_a_type_unreadable",
        ),
    ),
    Requirement(
        id="R149",
        sentence="The protocol is generated from the server's own schema, and a drift between the two fails a test.",
        tests=(
            "tests/tools/test_codegen.py::test_the_committed_files_are_up_to_date",
            "tests/tools/test_codegen.py::test_the_real_binary_says_what_is_pinned",
        ),
    ),
    Requirement(
        id="R150",
        sentence="Every method has its types, and they read what the real server says.",
        tests=(
            "tests/protocol/test_registry.py::test_every_method_of_the_schema_is_there",
            "tests/protocol/test_registry.py::test_every_request_has_a_typed_result",
            "tests/protocol/test_registry_recordings.py::test_every_recorded_line_is_read_typed",
            "tests/protocol/test_registry_recordings.py::test_no_recorded_field_is_lost",
        ),
    ),
)
