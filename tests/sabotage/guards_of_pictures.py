"""What is made of files, who sees it, and how long it stays."""

from tests.sabotage.guard import guard

PICTURES = (
    guard(
        "m13-pixels-and-sides-by-the-header",
        "media/findings.py",
        "if max(width, height) > self.side or width * height > self.pixels:",
        "if width < 0:",
        "media/test_looking.py::test_m13_a_side_has_its_own_limit",
        "media/test_clips.py::test_m13_a_video_has_the_same_limits",
    ),
    guard(
        "m13-memory-of-a-child",
        "media/looking.py",
        "    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))\n",
        "",
        "media/test_looking.py::test_m13_a_child_has_only_so_much_memory",
    ),
    guard(
        "m14-a-child-opens-nothing",
        "media/looking.py",
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
        "    resource.getrlimit(resource.RLIMIT_NOFILE)",
        "media/test_clips.py::test_m14_a_child_can_open_nothing_once_it_has_begun",
    ),
    guard(
        "m16-pictures-without-exif",
        "media/pictures.py",
        "    image.info.clear()\n    known",
        '    import functools\n    kept = image.info.get("exif", b"")\n'
        "    image.save = functools.partial(image.save, exif=kept)\n    known",
        "media/test_looking.py::test_m16_what_the_camera_wrote_is_told_and_taken_out",
    ),
    guard(
        "m16-a-link-is-for-one-file",
        "media/viewing.py",
        'return f"{file_id}/{variant}/{expires}/{mark}".encode()',
        'return f"{variant}/{expires}".encode()',
        "media/test_derivatives.py::test_a_link_shows_one_variant_of_one_file",
    ),
    guard(
        "sealed-originals-are-withheld",
        "incidents/attachments.py",
        'telling = not sight.knows_reporter and attachment.link.kind == "photo"',
        "telling = False",
        "media/test_derivatives.py::"
        "test_of_a_sealed_matter_the_original_is_for_those_who_know_its_reporter",
    ),
    guard(
        "f10-a-lie-is-acted-upon",
        "media/rereading.py",
        'if found == "whole":',
        "if found:",
        "media/test_derivatives.py::"
        "test_f10_a_store_that_lies_is_found_out_and_the_phone_is_asked_again",
    ),
    guard(
        "f11-named-pictures-are-not-swept",
        "media/sweeping.py",
        "union_all(files, pictures)",
        "files",
        "media/test_derivatives.py::test_the_sweeper_keeps_pictures_that_a_row_names",
    ),
    guard(
        "a-legal-hold-holds",
        "incidents/retention.py",
        "        AND NOT EXISTS (SELECT FROM legal_holds l WHERE l.incident_id = i.id)\n",
        "",
        "incidents/test_retention.py::test_a_legal_hold_keeps_a_matter_until_it_is_lifted",
    ),
)
