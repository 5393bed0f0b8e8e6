"""What an upload's offset promises, whoever sends and whatever breaks."""

from tests.sabotage.guard import guard

_TESTS = "incidents/test_uploads.py::"
_KEPT = "incidents/test_uploads_kept.py::"
_SLOW = "incidents/test_uploads_slow.py::"
_BROKEN = "incidents/test_uploads_broken.py::"

UPLOADS = (
    guard(
        "u10-late-bytes-of-a-fenced-request",
        "media/holding.py",
        "self._mine = and_(Upload.id == upload.id, Upload.fence == upload.fence)",
        "self._mine = and_(Upload.id == upload.id, Upload.fence > 0)",
        _TESTS + "test_u10_who_does_not_hear_is_gone_round_and_fenced",
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
        "u20-an-upload-is-its-creators",
        "media/holding.py",
        "if upload is None or upload.owner_id != owner_id:",
        "if upload is None:",
        _KEPT + "test_u20_an_upload_is_its_creators_alone",
    ),
)
