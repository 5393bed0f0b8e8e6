"""Bytes on their way into the store and out of it."""

from tests.sabotage.guard import guard

FILES = (
    guard(
        "r3-sha256-of-the-manifest",
        "media/storing.py",
        " or expected.sha256 not in {None, sha256}",
        "",
        "media/test_storing.py::test_m9_a_file_that_differs_from_the_manifest_is_not_kept",
    ),
    guard(
        "m10-size-by-the-stores-word",
        "media/storing.py",
        "if size != self._total:",
        "if size < 0:",
        "media/test_storing.py::test_m10_a_store_that_reports_another_size_is_not_believed",
    ),
    guard(
        "m4-truncated-file-leaves-no-object",
        "media/storing.py",
        "        await resources.the(Clearing).run(writing.discard())\n",
        "",
        "media/test_storing.py::test_m4_a_truncated_file_leaves_no_object",
    ),
    guard(
        "m3-bytes-of-a-file",
        "media/storing.py",
        "if total > limit:",
        "if total < 0:",
        "media/test_storing.py::test_m3_a_picture_beyond_its_limit_is_refused",
    ),
    guard(
        "m3-bytes-of-a-multipart-request",
        "media/multipart.py",
        "            if total > limit:",
        "            if total < 0:",
        "media/test_multipart.py::test_m3_real_bytes_of_the_request_are_counted",
    ),
    guard(
        "m3-parts",
        "media/feed.py",
        "if self._parts > self._limits.parts:",
        "if self._parts < 0:",
        "media/test_multipart.py::test_m3_too_many_parts",
    ),
    guard(
        "m3-nested-multipart",
        "media/headers.py",
        'if kind.startswith("multipart/"):',
        'if kind.startswith("nested/"):',
        "media/test_multipart.py::test_m3_nested_multipart",
    ),
    guard(
        "m5-names-without-folders",
        "media/filenames.py",
        r're.split(r"[/\\]", visible)[-1]',
        "visible",
        "media/test_headers.py::test_m5_folders_and_unseen_characters_are_stripped",
    ),
    guard(
        "m9-content-digest",
        "media/bodies.py",
        "if not hmac.compare_digest(seen.digest(), wanted):",
        "if not wanted:",
        "media/test_bodies.py::test_m9_a_content_digest_that_differs_is_refused",
    ),
    guard(
        "m12-svg-named-jpg",
        "media/checks.py",
        "    if found is None:\n        raise MediaTypeRefused",
        "    if found is None:\n        return _PHOTO_JPEG.name, _PHOTO_JPEG.kind",
        "media/test_checks.py::test_m12_other_content_is_refused",
    ),
    guard(
        "m12-download-is-an-attachment",
        "media/dependencies.py",
        '        "Content-Disposition": attachment(file.filename),\n',
        "",
        "media/test_router.py::test_m12_a_download_is_an_attachment_that_no_browser_runs",
    ),
    guard(
        "m15-bomb",
        "media/bodies.py",
        ", limit + 1 - len(body))",
        ")",
        "media/test_bodies.py::test_m15_a_bomb_is_refused_without_being_unpacked",
    ),
    guard(
        "f24-full-disk-takes-no-files",
        "media/storing.py",
        "    resources.the(Disk).check_files()\n",
        "",
        "incidents/test_disk_full.py::"
        "test_f24_at_90_percent_the_text_is_taken_and_the_files_stay_expected",
    ),
    guard(
        "f24-fuller-disk-takes-no-reports",
        "incidents/receiving.py",
        "        self._resources.the(Disk).check_reports()\n",
        "",
        "incidents/test_disk_full.py::"
        "test_f24_at_95_percent_reports_are_refused_and_reading_goes_on",
    ),
    guard(
        "links-are-signed",
        "media/viewing.py",
        "if not keys.verify(_PURPOSE, _message(file_id, variant, expires), signature):",
        "if not signature:",
        "media/test_router.py::test_an_altered_link_is_told_nothing",
    ),
    guard(
        "links-end",
        "media/viewing.py",
        "if now.timestamp() >= expires:",
        "if expires < 0:",
        "media/test_router.py::test_an_expired_link_is_refused",
    ),
    guard(
        "f11-sweeper-spares-the-young",
        "media/sweeping.py",
        " if item.modified_at < before]",
        "]",
        "media/test_sweeping.py::test_named_and_young_objects_stay",
    ),
    guard(
        "f11-sweeper-spares-the-named",
        "media/sweeping.py",
        "return [key for key in keys if key not in named]",
        "return [key for key in keys if key or named]",
        "media/test_sweeping.py::test_f11_a_stray_is_gone_after_a_day",
    ),
)
