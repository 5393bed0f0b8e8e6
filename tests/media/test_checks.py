from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.settings import IntakeSettings
from app.media import samples
from app.media.checks import Kind, judge, size_limit, sniff
from app.media.errors import MediaTypeRefused


def boxed(major: bytes, *compatible: bytes) -> bytes:
    body = major + b"\0\0\2\0" + b"".join(compatible)
    return (len(body) + 8).to_bytes(4, "big") + b"ftyp" + body + b"\0\0\0\x08free"


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\xff\xd8",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<!DOCTYPE html><script>",
        b"PK\x03\x04zip",
        b"%PDF-1.7",
        b"GIF89a",
        b"BM",
        b"MZ\x90\x00",
        b"\x7fELF",
        b"#!/bin/sh",
        b"#EXTM3U\n",
        b"ffconcat version 1.0",
        b"RIFF\0\0\0\0AVI ",
        b"\x1a\x45\xdf\xa3webm",
        b" \xff\xd8\xff",
        boxed(b"avif", b"mif1", b"heic"),
        boxed(b"mif1", b"avif"),
        boxed(b"jp2 "),
        boxed(b"????"),
        b"\0\0\0\x08ftyp",
    ],
)
def test_m12_other_content_is_refused(first: bytes) -> None:
    assert sniff(first) is None
    with pytest.raises(MediaTypeRefused) as refused:
        judge(first)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("first", "name", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg", "photo"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", "photo"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp", "photo"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav", "audio"),
        (b"#!AMR\n\x3c", "audio/amr", "audio"),
        (b"#!AMR-WB\n\x3c", "audio/amr-wb", "audio"),
        (boxed(b"heic", b"mif1"), "image/heic", "photo"),
        (boxed(b"mif1", b"heic"), "image/heic", "photo"),
        (boxed(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4", "video"),
        (boxed(b"mp42"), "video/mp4", "video"),
        (boxed(b"qt  "), "video/quicktime", "video"),
        (boxed(b"3gp4", b"isom"), "video/3gpp", "video"),
        (boxed(b"3g2a"), "video/3gpp2", "video"),
        (boxed(b"M4A ", b"mp42"), "audio/mp4", "audio"),
        (boxed(b"XYZW", b"mp42"), "video/mp4", "video"),
    ],
)
def test_m12_the_allow_list(first: bytes, name: str, kind: Kind) -> None:
    assert judge(first) == (name, kind)
    assert judge(first, kind) == (name, kind)


def test_m12_content_of_another_kind_than_promised_is_refused() -> None:
    with pytest.raises(MediaTypeRefused):
        judge(b"\xff\xd8\xff\xe0", "video")
    with pytest.raises(MediaTypeRefused):
        judge(boxed(b"mp42"), "photo")


def test_m12_voice_in_a_container_for_video_is_audio_where_it_is_meant_to_be() -> None:
    assert judge(boxed(b"3gp4"), "audio") == ("audio/3gpp", "audio")
    assert judge(boxed(b"mp42"), "audio") == ("audio/mp4", "audio")


@given(st.binary(max_size=80))
def test_m12_sniffing_never_fails(first: bytes) -> None:
    sniff(first)
    sniff(b"\0\0\0\x20ftyp" + first)


def test_m3_limits_by_kind() -> None:
    limits = IntakeSettings()
    assert size_limit("video", limits) == 200 * 1024 * 1024
    assert size_limit("photo", limits) == size_limit("audio", limits) == 25 * 1024 * 1024


def test_samples_are_what_they_say() -> None:
    taken_at = datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
    photo = samples.photo(7, 106.68, 35.54, taken_at)
    assert photo == samples.photo(7, 106.68, 35.54, taken_at)
    assert photo != samples.photo(8, 106.68, 35.54, taken_at)
    assert 100_000 < len(photo) < 400_000
    judged = [
        judge(content)[0]
        for content in (
            photo,
            samples.video(0.5),
            samples.sound(0.5),
            samples.picture(1),
            samples.picture(1, "webp"),
        )
    ]
    assert judged == ["image/jpeg", "video/mp4", "audio/wav", "image/png", "image/webp"]
