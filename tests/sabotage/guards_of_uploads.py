"""What an upload's offset promises, whoever sends and whatever breaks."""

from tests.sabotage.guard import guard

_TESTS = "incidents/test_uploads.py::"
_KEPT = "incidents/test_uploads_kept.py::"
_BROKEN = "incidents/test_uploads_broken.py::"

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
