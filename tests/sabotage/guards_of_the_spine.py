"""Outbox, relay, inbox, streams, keys of operations, pages, logs, headers."""

from tests.sabotage.guard import guard

SPINE = (
    guard(
        "events-share-the-transaction",
        "core/events.py",
        "    await session.execute(insert(OutboxRow).values(rows))",
        "    await session.commit()\n    await session.execute(insert(OutboxRow).values(rows))",
        "core/test_events.py",
    ),
    guard(
        "one-relay-leads",
        "core/relay.py",
        "        if not locked:\n            return\n",
        "",
        "core/test_relay_running.py::test_a_second_relay_stands_by_and_takes_over",
    ),
    guard(
        "events-in-their-order",
        "core/relay.py",
        ".order_by(OutboxRow.id)",
        ".order_by(OutboxRow.id.desc())",
        "core/test_relay.py::test_events_of_one_subject_are_worked_off_in_their_order",
    ),
    guard(
        "f27-failed-reaction-writes-nothing",
        "core/relay.py",
        "            async with session.begin_nested():\n                await reaction(",
        "            if session:\n                await reaction(",
        "core/test_relay.py::test_what_a_failed_reaction_had_written_is_gone",
    ),
    guard(
        "f27-parked-after-five-tries",
        "core/parking.py",
        "if parked.attempts >= TRIES:",
        "if parked.attempts >= TRIES - 1:",
        "core/test_relay.py::test_f27_tries_come_at_growing_intervals_and_end_after_five",
    ),
    guard(
        "f27-later-events-wait-behind",
        "core/relay.py",
        "free = [e for e in wanted if (reaction.__name__, e.event.subject_id) not in behind]",
        "free = wanted",
        "core/test_relay.py::test_f27_later_events_wait_behind_also_when_they_come_later",
    ),
    guard(
        "p1-counter-under-its-lock",
        "notifications/inbox.py",
        "DO UPDATE SET head_seq = i.head_seq + excluded.head_seq",
        "DO UPDATE SET head_seq = excluded.head_seq + ("
        "SELECT count(*) FROM notices n WHERE n.person_id = i.person_id)",
        "notifications/test_inbox.py::test_p1_s2_a_second_writer_waits_for_the_first",
    ),
    guard(
        "r5-each-event-once-a-person",
        "notifications/inbox.py",
        "WHERE NOT EXISTS (",
        "WHERE true OR NOT EXISTS (",
        "notifications/test_inbox.py::test_each_event_is_told_a_person_once",
    ),
    guard(
        "p2-ack-never-goes-back",
        "notifications/inbox.py",
        "if wanted > inbox.acked_seq:",
        "if wanted >= 0:",
        "notifications/test_inbox.py::test_p2_an_ack_never_goes_back_and_never_beyond",
    ),
    guard(
        "f27-outbox-age-counts-what-is-parked",
        "system/ages.py",
        "WHERE p.next_attempt_at IS NOT NULL))",
        "WHERE p.next_attempt_at IS NULL))",
        "core/test_relay.py::"
        "test_f27_what_was_given_up_is_counted_shown_and_tried_again_when_told_to",
    ),
    guard(
        "f27-republished-events-are-read-again",
        "core/parking.py",
        "values(processed_at=None)",
        "values(processed_at=at)",
        "core/test_relay.py::test_f27_an_event_that_can_be_read_by_now_has_all_its_reactions",
    ),
    guard(
        "f20-subscribe-first-then-read",
        "notifications/stream.py",
        """                self._news = False
                await self._pass_on()
""",
        """                await self._pass_on()
                self._news = False
""",
        "notifications/test_stream.py::test_f20_what_comes_while_the_stream_begins_is_not_missed",
    ),
    guard(
        "p2-a-waiting-reader-subscribes-first",
        "core/wakeups.py",
        "        self._subjects[waiter] = subjects\n        for subject in subjects:\n",
        "        self._subjects[waiter] = subjects\n        for subject in ():\n",
        "notifications/test_inbox.py::test_p2_a_waiting_reader_is_woken",
    ),
    guard(
        "p7-revoked-session-ends-its-streams",
        "notifications/switchboard.py",
        "                await self._try(self._recognise)\n",
        "                await self._try(self._forget_closed)\n",
        "notifications/test_stream.py::"
        "test_p7_a_session_that_is_revoked_ends_it_although_nothing_comes",
    ),
    guard(
        "p8-streams-hear-bye-when-the-server-drains",
        "notifications/switchboard.py",
        '                stream.end("draining")\n',
        "                stream.look()\n",
        "notifications/test_stream.py::test_p8_a_stream_that_runs_says_bye_when_the_server_drains",
    ),
    guard(
        "f30-drained-streams-come-back-spread-out",
        "notifications/stream.py",
        'or (self._why == "draining" and not self._greeted):',
        'or self._why == "draining":',
        "notifications/test_stream.py::test_p8_a_stream_that_runs_says_bye_when_the_server_drains",
    ),
    guard(
        "p13-two-streams-a-device",
        "notifications/devices.py",
        "MOST = 2",
        "MOST = 3",
        "notifications/test_stream.py::test_p13_the_third_stream_of_a_device_ends_the_oldest",
    ),
    guard(
        "p10-the-kernel-holds-little",
        "serving.py",
        "socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)",
        "socket.TCP_NOTSENT_LOWAT, 2**30)",
        "system/test_serving.py::test_p10_a_reader_that_takes_nothing_is_felt_at_once",
    ),
    guard(
        "f16-a-dead-relays-lock-is-given-back",
        "core/relay.py",
        "            await connection.execute(_GIVE_THE_LOCK_BACK)\n",
        "            await connection.commit()\n",
        "faults/test_f16_killed_midway.py::"
        "test_f16_a_relay_killed_in_the_middle_of_a_reaction_is_succeeded_in_5_s",
    ),
    guard(
        "f29-readiness-needs-no-pool",
        "schema.py",
        "        found = await asyncio.to_thread(_revision, resources.settings.database)\n",
        """        async with resources.sessions.read() as session:
            await session.connection()
        found = await asyncio.to_thread(_revision, resources.settings.database)
""",
        "system/test_health.py::test_f29_the_schema_is_asked_past_the_pool",
    ),
    guard(
        "p4-gap-is-told",
        "notifications/stream.py",
        '"gap": marks.oldest > after + 1 or after > marks.head,',
        '"gap": after > marks.head,',
        "notifications/test_stream.py::test_p4_numbers_that_are_kept_no_more_are_a_gap",
    ),
    guard(
        "p7-stream-ends-with-its-token",
        "notifications/stream.py",
        "min(lifetime_ends, caller.expires_at)",
        "lifetime_ends",
        "notifications/test_stream.py::test_p7_a_token_that_runs_out_ends_it",
    ),
    guard(
        "i11-answer-is-kept",
        "core/http.py",
        "        if keyed is not None and answer is not None:\n",
        "        if keyed is not None and answer is None:\n",
        "flows/test_operation_sent_twice.py::test_i11_ten_at_once_are_carried_out_once",
    ),
    guard(
        "i11-answer-is-kept-in-the-same-transaction",
        "core/http.py",
        "            await claim(session, keyed, resources.keys, resources.clock.now())\n",
        "            async with resources.sessions.begin() as other:\n"
        "                await claim(other, keyed, resources.keys, resources.clock.now())\n",
        "flows/test_operation_sent_twice.py::test_i7_a_refused_operation_is_tried_again",
    ),
    guard(
        "i11-key-is-for-one-content",
        "core/idempotency.py",
        "if kept is None or kept.fingerprint != keyed.fingerprint:",
        "if kept is None:",
        "flows/test_operation_sent_twice.py::test_i11_another_content_under_the_same_key_is_refused",
    ),
    guard(
        "f12-lost-commit-asks-for-a-repeat",
        "core/db.py",
        "            except OperationalError as lost:\n",
        "            except ZeroDivisionError as lost:\n",
        "core/test_errors.py::test_a_lost_commit_asks_for_a_repeat",
    ),
    guard(
        "h5-cursors-are-signed",
        "core/paging.py",
        "if not self._keys.verify(self._purpose, head.encode(), signature):",
        "if not signature:",
        "core/test_paging.py::test_an_altered_cursor_is_refused",
    ),
    guard(
        "h1-frameworks-shape-never-appears",
        "core/http.py",
        "    app.add_exception_handler(RequestValidationError, _on_invalid)\n",
        "",
        "core/test_errors.py::test_h1_validation_names_every_field",
    ),
    guard(
        "h2-commands-refuse-unknown-fields",
        "core/fields.py",
        'ConfigDict(extra="forbid", frozen=True)',
        'ConfigDict(extra="ignore", frozen=True)',
        "accounts/test_people.py::test_mass_assignment_is_refused",
    ),
    guard(
        "h1-large-body-is-refused",
        "core/bodies.py",
        "if self._size <= self._limit:",
        "if self._size >= 0:",
        "core/test_middleware_bodies.py::test_a_chunked_body_is_counted",
    ),
    guard(
        "silent-sender-is-ended",
        "core/bodies.py",
        "async with asyncio.timeout(self._idle_s):",
        "async with asyncio.timeout(self._idle_s + 20):",
        "core/test_middleware_bodies.py::test_a_silent_sender_is_ended",
    ),
    guard(
        "answers-leave-at-once",
        "serving.py",
        "socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)",
        "socket.socket(family, socket.SOCK_STREAM)",
        "system/test_serving.py",
    ),
    guard(
        "pages-have-a-policy",
        "core/middleware.py",
        """    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),\n""",
        "",
        "core/test_middleware.py::test_h10_every_refusal_carries_the_id",
    ),
    guard(
        "logs-hold-no-names",
        "core/logs.py",
        "if key.lower() in _WITHHELD:",
        "if key.lower() == key.upper():",
        "core/test_logs.py::test_canary_keys_for_peoples_words_are_withheld",
    ),
    guard(
        "logs-quote-no-errors",
        "core/logs.py",
        "    shown: dict[str, Any] = {\n",
        '    shown: dict[str, Any] = {\n        "said": str(error),\n',
        "core/test_logs.py::test_canary_a_refusing_database_quotes_nothing",
    ),
    guard(
        "heads-are-not-gathered-without-end",
        "core/head_limits.py",
        "            if self._came > self.head_bytes:\n",
        "            if self._came < 0:\n",
        "core/test_head_limits.py::test_h1_heads_beyond_64_kib_are_refused_as_a_problem",
    ),
    guard(
        "f4-heads-are-not-waited-for",
        "core/head_limits.py",
        "        self._wait(self.head_s)\n\n    def on_header(",
        "\n    def on_header(",
        "core/test_head_limits.py::test_f4_a_head_that_dribbles_is_not_waited_for",
    ),
    guard(
        "h14-kept-nowhere",
        "core/middleware.py",
        '    (b"cache-control", b"no-store"),\n',
        "",
        "guardrails/test_conduct.py::"
        "test_h14_personal_data_is_kept_nowhere_and_catalogues_only_with_their_tag",
    ),
    guard(
        "h4-answers-are-open",
        "system/openapi.py",
        "    open_enums(document)\n",
        "",
        "guardrails/test_wire.py::test_h4_no_enum_of_an_answer_is_closed",
    ),
)
