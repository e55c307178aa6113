"""What is required of what comes in: order, events, questions of the server, sinks. The numbers are those of :mod:`tests.behaviour.requirements`."""

from tests.behaviour.entry import Requirement

STREAM = (
    Requirement(
        id="R031",
        sentence="When a call returns, everything that came before its answer is in the state and in every subscription.",
        tests=("tests/runtime/test_dispatch.py::test_when_a_request_returns_all_that_came_before_is_there",),
    ),
    Requirement(
        id="R032",
        sentence="Messages are numbered in the order of the wire, without holes, across generations.",
        tests=(
            "tests/runtime/test_dispatch.py::test_all_subscribers_see_the_wire_order_without_holes",
            "tests/runtime/test_dispatch.py::test_numbers_go_on_across_generations",
            "tests/sansio/test_envelope.py::test_numbers_rise_by_one_and_the_stamp_is_shared",
        ),
    ),
    Requirement(
        id="R033",
        sentence="What kind a message is follows from which of its members are there.",
        tests=("tests/sansio/test_envelope.py::test_the_kind_follows_from_which_members_are_there",),
    ),
    Requirement(
        id="R034",
        sentence="A message of a shape that nobody knows is published like any other.",
        tests=(
            "tests/runtime/test_dispatch.py::test_it_does_not_matter_how_the_bytes_are_cut",
            "tests/sansio/test_turn.py::test_a_method_that_we_do_not_know_is_passed_on",
            "tests/protocol/test_registry.py::test_an_unknown_method_keeps_its_bytes",
        ),
    ),
    Requirement(
        id="R035",
        sentence="Reading never waits for a hook or for an approval.",
        tests=(
            "tests/client/test_guard.py::test_events_go_on_while_a_hook_thinks",
            "tests/client/test_turn_approvals.py::test_a_handler_answers_in_a_task_of_its_own",
        ),
    ),
    Requirement(
        id="R036",
        sentence="A stamped message can be written as JSON and read back without loss.",
        tests=(
            "tests/runtime/test_jsonl.py::test_a_line_tells_every_field",
            "tests/runtime/test_jsonl.py::test_every_line_comes_back_as_it_was",
        ),
    ),
    Requirement(
        id="R037",
        sentence="The ids of thread, turn and item are found wherever the server puts them; only proper text counts.",
        tests=("tests/sansio/test_envelope.py::test_ids_are_found_where_the_server_puts_them",),
    ),
    Requirement(
        id="R038",
        sentence="Each event can be had in its own type, in the shapes that the server really sends.",
        tests=(
            "tests/sansio/test_envelope.py::test_the_event_has_the_type_of_the_protocol",
            "tests/protocol/test_registry.py::test_a_line_becomes_the_struct_of_its_method",
            "tests/protocol/test_registry_recordings.py::test_every_recorded_line_is_read_typed",
        ),
    ),
    Requirement(
        id="R039",
        sentence="Every subscriber gets everything; one that lags is told how much it lost, and where, and nobody else notices.",
        tests=(
            "tests/io/test_fanout.py::test_a_lagging_reader_loses_the_oldest_and_is_told_where",
            "tests/io/test_fanout.py::test_what_is_received_and_what_is_lost_add_up",
            "tests/real/test_hard_times.py::test_what_nobody_reads_costs_little_and_is_counted",
        ),
    ),
    Requirement(
        id="R040",
        sentence="A subscription begins with its making; what came before can be had otherwise.",
        tests=(
            "tests/io/test_fanout.py::test_what_was_published_before_is_not_seen",
            "tests/journal/test_journal.py::test_following_goes_on_where_reading_ends",
        ),
        difference="A subscription replays nothing: the state tells how things stand, and the journal is followed from any place.",
    ),
    Requirement(
        id="R041",
        sentence="Each kind of server request reaches whoever is there to answer.",
        tests=(
            "tests/behaviour/test_odd_messages.py::test_each_kind_of_question_reaches_whoever_reads_them",
            "tests/sansio/test_server_requests.py::test_there_are_eleven_kinds",
            "tests/runtime/test_server_requests.py::test_each_method_may_have_its_own_handler",
            "tests/sansio/test_wording.py::test_a_question_holds_what_one_must_see",
        ),
    ),
    Requirement(
        id="R042",
        sentence="A request goes to one reader, and reading can be given up and taken over.",
        tests=(
            "tests/runtime/test_server_requests.py::test_another_iteration_takes_over_what_waits",
            "tests/runtime/test_server_requests.py::test_leaving_the_iteration_declines_what_waits",
            "tests/runtime/test_server_requests.py::test_a_cancelled_reader_leaves_the_iteration",
            "tests/runtime/test_server_requests.py::test_an_iteration_may_be_narrow",
        ),
        difference="A second reader is not refused: it stands behind the first, so handing over needs no special call.",
    ),
    Requirement(
        id="R043",
        sentence="When there is no room for another request, it is answered at once, with no.",
        tests=(
            "tests/runtime/test_server_requests.py::test_too_many_at_once_are_declined",
            "tests/runtime/test_server_requests.py::test_a_reader_that_stopped_reading_costs_a_bounded_amount",
        ),
    ),
    Requirement(
        id="R044",
        sentence="A request that nobody answers in time is declined, cancelled or refused, as one chose for its method; never accepted.",
        tests=(
            "tests/runtime/test_server_requests.py::test_a_handler_that_hangs_is_cancelled_and_declined_at_the_deadline",
            "tests/runtime/test_server_requests.py::test_what_is_said_at_the_deadline_can_be_chosen",
            "tests/runtime/test_config.py::test_what_answers_server_requests_is_checked",
            "tests/sansio/test_server_requests.py::test_each_method_is_declined_in_its_own_words",
            "tests/real/test_flows_answers.py::test_silence_has_the_end_that_was_chosen",
        ),
    ),
    Requirement(
        id="R045",
        sentence="A request for tokens that nobody answers gets an error, never an invented token.",
        tests=(
            "tests/sansio/test_server_requests.py::test_what_has_no_word_for_no_gets_an_error",
            "tests/sansio/test_server_requests.py::test_tokens_are_refused_whatever_the_deadline_says",
            "tests/real/test_flows_answers.py::test_tokens_are_given_anew",
            "tests/sansio/test_server_requests.py::test_no_refusal_of_any_method_reads_as_consent",
        ),
    ),
    Requirement(
        id="R046",
        sentence="A request of a method that we do not know is refused at once.",
        tests=(
            "tests/runtime/test_server_requests.py::test_an_unknown_method_is_refused_even_if_somebody_would_answer",
        ),
        difference="It is never queued and never accepted, whatever the settings: nobody could know what they say yes to.",
    ),
    Requirement(
        id="R047",
        sentence="An answer of the wrong form is refused on our side and may be tried again.",
        tests=(
            "tests/runtime/test_server_requests.py::test_an_invalid_answer_leaves_the_ticket_open",
            "tests/sansio/test_answer_forms.py::test_bad_answers_are_refused_with_the_method_named",
            "tests/sansio/test_answer_forms.py::test_good_answers_pass_and_are_named",
            "tests/runtime/test_answering.py::test_what_does_not_fit_leaves_it_open",
            "tests/sansio/test_answers.py::test_an_answer_has_the_form_of_its_method",
        ),
    ),
    Requirement(
        id="R048",
        sentence="A request takes one answer; a second one, and one for a request that is gone, are errors of their own kind.",
        tests=(
            "tests/runtime/test_server_requests.py::test_the_second_answer_is_refused",
            "tests/runtime/test_server_requests.py::test_a_ticket_is_found_by_its_id_while_it_is_open",
        ),
    ),
    Requirement(
        id="R049",
        sentence="An answer carries the id of its question in the same JSON type, also below zero.",
        tests=(
            "tests/behaviour/test_odd_messages.py::test_an_answer_has_the_id_of_its_question_in_the_same_type",
            "tests/behaviour/test_odd_messages.py::test_a_question_under_an_id_that_is_none_is_counted_and_not_answered",
        ),
    ),
    Requirement(
        id="R050",
        sentence="A request whose params are no object is answered, and never by consent of a session.",
        tests=(
            "tests/behaviour/test_odd_messages.py::test_a_question_without_an_object_is_not_for_a_session_to_accept",
        ),
        difference="It is declined in its own form rather than with an error about params: to the server, both say no.",
    ),
    Requirement(
        id="R051",
        sentence="A request that the server no longer wants answered is withdrawn, and whoever works on it is told.",
        tests=(
            "tests/runtime/test_server_requests.py::test_what_the_server_resolves_is_withdrawn",
            "tests/runtime/test_server_requests.py::test_what_a_turn_asked_is_withdrawn_with_the_turn",
            "tests/real/test_flows_turns.py::test_d1_an_answer_that_comes_too_late_is_told",
        ),
    ),
    Requirement(
        id="R052",
        sentence="An answer can only reach the server that asked, though the next one uses the same ids.",
        tests=(
            "tests/runtime/test_server_requests.py::test_a_late_answer_never_reaches_the_next_server",
            "tests/runtime/test_server_requests.py::test_an_answer_in_the_moment_of_the_death_goes_nowhere",
        ),
    ),
    Requirement(
        id="R053",
        sentence="Open requests are in the state, with their deadlines, until they are settled.",
        tests=(
            "tests/runtime/test_server_requests.py::test_the_state_shows_what_is_open",
            "tests/sansio/test_projection.py::test_pending_requests_come_and_go",
        ),
    ),
    Requirement(
        id="R054",
        sentence="A sink that fails costs itself its batch and nobody else anything.",
        tests=(
            "tests/runtime/test_pump.py::test_a_sink_that_raises_costs_itself_its_batch",
            "tests/runtime/test_pump.py::test_a_write_that_hangs_is_cut_off",
            "tests/runtime/test_pump.py::test_a_sink_that_keeps_failing_is_set_aside_for_a_while",
        ),
    ),
    Requirement(
        id="R055",
        sentence="A sink that lags loses the oldest, which is counted and told.",
        tests=(
            "tests/runtime/test_pump.py::test_a_lagging_sink_holds_up_the_pipe_for_a_while_and_then_loses_the_oldest",
            "tests/runtime/test_pump.py::test_a_sink_may_ask_to_hold_up_nothing",
        ),
    ),
    Requirement(
        id="R056",
        sentence="Messages can be appended to a log of JSON lines, and one may choose when the disk is waited for.",
        tests=(
            "tests/runtime/test_sinks.py::test_every_line_is_in_the_log_as_it_was_sent",
            "tests/io/test_files.py::test_the_policy_says_when_the_disk_is_waited_for",
            "tests/runtime/test_sinks.py::test_what_is_written_is_in_the_file_when_write_returns",
        ),
        difference="One chooses by time (always, within a second, never), not by a number of events: that is what a loss of power costs.",
    ),
    Requirement(
        id="R057",
        sentence="Closing, and a final death, bring everything that was published to the sinks first.",
        tests=(
            "tests/runtime/test_pump.py::test_closing_drains_what_a_slow_sink_has_not_yet_got",
            "tests/runtime/test_pump.py::test_a_dead_runtime_leaves_its_sinks_complete",
        ),
    ),
)
