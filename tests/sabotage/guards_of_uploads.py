"""What an upload's offset promises, whoever sends and whatever breaks."""

from tests.sabotage.guard import guard

_TESTS = "incidents/test_uploads.py::"
_KEPT = "incidents/test_uploads_kept.py::"
_SLOW = "incidents/test_uploads_slow.py::"
_BROKEN = "incidents/test_uploads_broken.py::"
_FIRST = "incidents/test_uploads_first.py::"
_BESIDE = "incidents/test_uploads_beside.py::"
_AGAIN = "incidents/test_uploads_rechecked.py::"

UPLOADS = (
    guard(
        "f9-large-bodies-do-not-share-one-deadline",
        "core/s3_store.py",
        "return self._lanes if len(body) >= _LARGE else nullcontext()",
        "return nullcontext()",
        "core/test_object_store.py::test_f9_many_large_parts_do_not_share_one_deadline",
    ),
    guard(
        "u10-late-bytes-of-a-fenced-request",
        "media/holding.py",
        "self._mine = and_(Upload.id == upload.id, Upload.fence == upload.fence)",
        "self._mine = and_(Upload.id == upload.id, Upload.fence > 0)",
        _TESTS + "test_u10_who_does_not_hear_is_gone_round_and_fenced",
    ),
    guard(
        "u11-the-store-is-asked-in-threads",
        "core/s3_store.py",
        "return await asyncio.get_running_loop().run_in_executor(self._threads, call)",
        "return call()",
        _BESIDE + "test_u11_no_call_to_a_silent_store_stops_the_loop",
    ),
    guard(
        "u11-large-chunks-are-hashed-elsewhere",
        "media/writing.py",
        "if len(chunk) > ON_THE_LOOP:",
        "if not chunk:",
        _BESIDE + "test_u11_nothing_large_is_hashed_on_the_loop",
    ),
    guard(
        "u13-a-report-finds-what-came-before-it",
        "incidents/settling.py",
        "    await adopt(resources, incident_id)\n",
        "",
        _FIRST + "test_u4_i9_a_report_in_json_finds_the_file_that_came_before_it",
    ),
    guard(
        "u13-what-differs-is-not-adopted",
        "incidents/adopting.py",
        "if await _fits(session, upload, link):",
        "if upload:",
        _FIRST + "test_u13_what_differs_from_the_manifest_is_rejected_and_can_be_sent_anew",
    ),
    guard(
        "u13-what-is-under-way-is-shown",
        "incidents/queries.py",
        "coming.get(link, link.state)",
        "link.state",
        _FIRST + "test_u13_i9_each_state_of_a_file_is_shown",
    ),
    guard(
        "u13-the-worker-finishes-what-was-left",
        "incidents/taking_up.py",
        "Upload.received == Upload.length,",
        "Upload.received > Upload.length,",
        _FIRST + "test_u13_u17_what_was_left_verifying_is_finished_by_the_worker",
    ),
    guard(
        "u13-the-worker-leaves-what-is-being-worked-at",
        "incidents/taking_up.py",
        "now + kept - QUIET",
        "now + kept",
        _FIRST + "test_u13_u17_what_was_left_verifying_is_finished_by_the_worker",
    ),
    guard(
        "r3-the-worker-looks-again-for-homeless-files",
        "incidents/taking_up.py",
        "        await adopt_all(self._resources)\n",
        "",
        _FIRST + "test_r3_what_report_and_upload_missed_of_each_other_the_worker_sees",
    ),
    guard(
        "r3-a-lost-file-is-not-taken-for-sent",
        "media/opening.py",
        "    return UploadLost.code if lost else None\n",
        "    return None\n",
        _FIRST + "test_r3_a_file_that_the_store_lost_is_sent_again_under_a_new_address",
    ),
    guard(
        "u10-a-watch-outlives-a-lost-database",
        "media/holding.py",
        """        except (SQLAlchemyError, OSError) as lost:
            log.warning("upload_watch_interrupted\"""",
        """        except ZeroDivisionError as lost:
            log.warning("upload_watch_interrupted\"""",
        _FIRST + "test_u13_a_watch_outlives_a_lost_database",
    ),
    guard(
        "u13-digest-of-the-whole-file",
        "media/finishing.py",
        "    if upload.sha256 not in {None, sha256}:\n        raise DigestMismatch\n",
        "",
        _KEPT + "test_u13_the_digest_of_the_whole_file_is_verified",
    ),
    guard(
        "u14-tails-of-living-uploads-are-spared",
        "media/sweeping.py",
        "    named |= await _being_uploaded(session, keys)\n",
        "",
        _KEPT + "test_u14_m11_the_sweeper_spares_what_uploads_still_need",
    ),
    guard(
        "u17-offset-only-for-bytes-in-the-store",
        "media/writing.py",
        "        await self._store.put(key, merged, _BYTES)\n",
        "",
        _TESTS + "test_u7_patch",
    ),
    guard(
        "u18-a-minute-of-silence-ends-it",
        "media/resumable.py",
        "async with self._pacing.waiting() as self._next:",
        "async with asyncio.timeout(600) as self._next:",
        _SLOW + "test_u18_f6_who_is_silent_for_a_minute_is_saved_and_let_go",
    ),
    guard(
        "u18-who-dribbles-keeps-no-place",
        "core/pace.py",
        "if self._heard < self._pace.bytes_per_s * self._waited_s:",
        "if self._heard == 0:",
        _SLOW + "test_u18_f6_who_dribbles_is_saved_and_let_go",
        _SLOW + "test_u18_f6_a_report_that_dribbles_is_ended_too",
        "core/test_pace.py::test_u18_a_byte_now_and_then_keeps_no_place",
    ),
    guard(
        "u18-the-stores-time-is-not-the-senders",
        "core/pace.py",
        "        self.waited(loop.time() - began)\n",
        "        self.waited(loop.time() - self.__dict__.setdefault('_first', began))\n",
        "core/test_pace.py::test_u18_only_what_a_sender_is_waited_for_counts",
    ),
    guard(
        "u18-one-at-a-time-counts-what-a-device-has",
        "media/opening.py",
        '    await session.execute(_ONE_AT_A_TIME, {"device": new.device})\n',
        "",
        _SLOW + "test_u18_at_once_as_many_as_one_after_the_other",
    ),
    guard(
        "u18-only-so-many-are-open",
        "media/opening.py",
        "if (count or 0) >= most:",
        "if (count or 0) >= most * 2:",
        _SLOW + "test_u18_f6_only_so_many_are_open_on_one_device",
    ),
    guard(
        "u17-the-tail-outlives-its-part",
        "media/writing.py",
        "            number, upload.next_part = upload.next_part, upload.next_part + 1\n",
        "            await self._delete(old)\n"
        "            number, upload.next_part = upload.next_part, upload.next_part + 1\n",
        _BROKEN + "test_u17_f8_a_store_that_refuses_any_one_call_loses_nothing_acknowledged",
    ),
    guard(
        "u17-the-tail-outlives-its-object",
        "media/writing.py",
        "        await self._store.put(key, whole, content_type_of(self._head))\n",
        "        await self._delete(old)\n"
        "        await self._store.put(key, whole, content_type_of(self._head))\n",
        _BROKEN + "test_u17_f8_a_store_that_refuses_any_one_call_loses_nothing_acknowledged",
    ),
    guard(
        "u19-room-is-asked-for-under-the-lock",
        "incidents/completing.py",
        "await check_amount(session, incident.id, limits, files=int(link is None), size=size)",
        "link = link",
        _AGAIN + "test_u19_of_many_at_once_only_as_many_as_there_is_room_for",
        _AGAIN + "test_u19_bytes_beyond_what_a_matter_takes",
    ),
    guard(
        "u19-rights-are-read-anew",
        "incidents/bringing.py",
        "if not caller.may(Permission.MOVE_INCIDENTS):",
        "if caller is None:",
        _AGAIN + "test_u19_a_right_that_was_lost_meanwhile",
    ),
    guard(
        "u20-nobody-elses-file-is-adopted",
        "incidents/adopting.py",
        "IncidentMedia.added_by == Upload.owner_id,",
        "IncidentMedia.added_by.is_not(None),",
        _FIRST + "test_u20_nobody_elses_file_is_taken",
    ),
    guard(
        "u23-what-is-told-is-what-is-demanded",
        "accounts/client_config.py",
        "settings.uploads.open_per_device",
        "20",
        "incidents/test_uploads_choice.py::"
        "test_u23_what_is_told_is_what_is_set_and_what_is_demanded",
    ),
    guard(
        "f6-no-connection-while-bytes-flow",
        "incidents/upload_work.py",
        """    async with held(resources, upload_id) as hold:
        try:
            yield hold
""",
        """    from sqlalchemy import text

    async with held(resources, upload_id) as hold, resources.sessions.read() as session:
        await session.execute(text("SELECT 1"))
        try:
            yield hold
""",
        "faults/test_f6_dribbling.py::test_f6_u18_dribbling_links_hold_nothing_and_are_saved",
    ),
    guard(
        "f28-an-upload-is-saved-when-the-process-ends",
        "media/resumable.py",
        "        if self._resources.draining.is_set():\n",
        "        if self._resources is None:\n",
        "faults/test_f28_deploys.py::"
        "test_f28_u9_an_upload_in_pieces_is_saved_at_once_and_goes_on_elsewhere",
    ),
    guard(
        "u20-an-upload-is-its-creators",
        "media/holding.py",
        "if upload is None or upload.owner_id != owner_id:",
        "if upload is None:",
        _KEPT + "test_u20_an_upload_is_its_creators_alone",
    ),
)
