"""The child that looks into a file: its limits, its words for what it refuses, what it makes."""

import io
from collections.abc import Callable
from datetime import datetime

import pillow_heif
import pytest
from PIL import Image, ImageDraw

from app.core.settings import JobsSettings
from app.media import samples
from app.media.pictures import difference_hash
from tests.media.broken import png_bomb
from tests.media.watching import code_of, encoded, look, opened

TAKEN = datetime(2026, 3, 11, 12, 0)  # noqa: DTZ001 - a camera's clock has no zone
PHOTO = samples.photo(3, 106.68, 35.54, TAKEN)


@pytest.mark.parametrize(("width", "height", "most"), [(30_000, 30_000, 110_000), (10_000,) * 3])
async def test_m13_a_bomb_is_refused_by_its_header(width: int, height: int, most: int) -> None:
    """Pillow refuses the first of itself; of the second it only warns, and takes 286 MiB."""
    bomb = png_bomb(width, height)
    assert len(bomb) < most + 3_000
    # so little memory that decoding would end otherwise
    limits = JobsSettings(memory_bytes=192 * 1024 * 1024)
    assert await code_of(bomb, "image/png", limits) == "too-many-pixels"


async def test_m13_a_side_has_its_own_limit() -> None:
    assert await code_of(png_bomb(16_385, 8), "image/png") == "too-many-pixels"
    assert (await look(png_bomb(16_384, 8), "image/png")).facts["width"] == 16_384


async def test_m13_a_child_has_only_so_much_memory() -> None:
    """49 megapixels with four channels are 187 MiB as they are."""
    large = encoded(Image.new("RGBA", (7_000, 7_000)), "PNG", compress_level=1)
    limits = JobsSettings(memory_bytes=192 * 1024 * 1024)
    assert await code_of(large, "image/png", limits) == "too-much-memory"
    assert (await look(large, "image/png")).facts["width"] == 7_000


async def test_m13_a_child_has_only_so_much_time() -> None:
    large = encoded(Image.new("RGBA", (7_000, 7_000)), "PNG", compress_level=1)
    assert await code_of(large, "image/png", JobsSettings(seconds=1)) == "too-much-time"


@pytest.mark.parametrize("suffix", ["jpeg", "png", "webp"])
async def test_a_file_is_decoded_as_what_it_is_found_to_be_and_nothing_else(suffix: str) -> None:
    body = samples.picture(1, suffix)
    assert (await look(body, f"image/{suffix}")).facts["codec"] == suffix
    for other in {"jpeg", "png", "webp", "heic"} - {suffix}:
        assert await code_of(body, f"image/{other}") == "undecodable"


@pytest.mark.parametrize("body", [b"", b"\xff\xd8\xff\xe0", PHOTO[: len(PHOTO) // 2]])
async def test_a_broken_picture_is_called_undecodable(body: bytes) -> None:
    assert await code_of(body, "image/jpeg") == "undecodable"


async def test_three_pictures_of_a_photo() -> None:
    answer = await look(PHOTO, "image/jpeg")
    sizes = {variant: image.size for variant, image in opened(answer).items()}
    assert sizes == {"view": (1280, 960), "preview": (640, 480), "thumbnail": (256, 192)}
    assert {image.format for image in opened(answer).values()} == {"WEBP"}
    assert (answer.facts["width"], answer.facts["height"]) == (1280, 960)


async def test_a_large_photo_is_shown_smaller() -> None:
    body = encoded(Image.effect_noise((4_000, 3_000), 40).convert("RGB"), "JPEG")
    answer = await look(body, "image/jpeg")
    assert opened(answer)["view"].size == (1600, 1200)
    assert (answer.facts["width"], answer.facts["height"]) == (4_000, 3_000)


async def test_m16_what_the_camera_wrote_is_told_and_taken_out() -> None:
    answer = await look(PHOTO, "image/jpeg")
    assert answer.facts["taken"] == {
        "at": "2026-03-11T12:00:00",
        "lon": 106.68,
        "lat": 35.54,
        "datum": None,
    }
    for each, image in zip(answer.pictures, opened(answer).values(), strict=True):
        assert not dict(image.getexif())
        assert b"EXIF" not in each.body
        assert b"Etong" not in each.body


async def test_m16_comments_and_xmp_do_not_reach_a_picture() -> None:
    xmp = b"<x:xmpmeta>gps 35.54</x:xmpmeta>"
    for suffix, extra in (("JPEG", {"comment": b"by 13800000000"}), ("WEBP", {}), ("PNG", {})):
        scene = Image.open(io.BytesIO(samples.picture(1)))
        body = encoded(scene, suffix, **({"xmp": xmp} if suffix != "PNG" else {}), **extra)
        answer = await look(body, f"image/{suffix.lower()}")
        for each in answer.pictures:
            assert b"xmp" not in each.body.lower()
            assert b"13800000000" not in each.body


async def test_a_picture_is_turned_upright() -> None:
    scene = Image.new("RGB", (400, 200), "white")
    ImageDraw.Draw(scene).rectangle((0, 0, 50, 199), "black")  # black on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise: black on top
    view = opened(await look(encoded(scene, "JPEG", exif=exif), "image/jpeg"))["view"]
    assert view.size == (200, 400)
    grey = view.convert("L").tobytes()
    assert grey[10 * 200 + 100] < 60
    assert grey[390 * 200 + 100] > 200


async def test_broken_exif_does_not_cost_the_picture() -> None:
    body = encoded(Image.new("RGB", (64, 64)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    answer = await look(body, "image/jpeg")
    assert answer.facts["taken"]["at"] is None
    assert len(answer.pictures) == 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
async def test_pictures_of_every_mode(mode: str) -> None:
    answer = await look(encoded(Image.new(mode, (300, 200)), "PNG"), "image/png")
    assert opened(answer)["view"].mode == "RGB"


@pytest.mark.parametrize("mode", ["CMYK", "L", "YCbCr"])
async def test_jpegs_of_every_mode(mode: str) -> None:
    answer = await look(encoded(Image.new(mode, (300, 200)), "JPEG"), "image/jpeg")
    assert opened(answer)["view"].size == (300, 200)


async def test_a_heic_of_a_phone_is_shown() -> None:
    scene = Image.open(io.BytesIO(PHOTO))
    heif = pillow_heif.from_pillow(scene)
    buffer = io.BytesIO()
    heif.save(buffer, exif=scene.getexif().tobytes())
    answer = await look(buffer.getvalue(), "image/heic")
    assert opened(answer)["view"].size == (1280, 960)
    assert (answer.facts["taken"]["lon"], answer.facts["taken"]["lat"]) == (106.68, 35.54)


def _bits_apart(one: Image.Image, other: Image.Image) -> int:
    return ((difference_hash(one) ^ difference_hash(other)) & (2**64 - 1)).bit_count()


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: image.resize((400, 300)),
        lambda image: image.point(lambda value: value * 0.8),
        lambda image: Image.open(io.BytesIO(encoded(image, "JPEG", quality=20))),
    ],
)
def test_pictures_of_one_scene_have_hashes_a_few_bits_apart(
    changed: Callable[[Image.Image], Image.Image],
) -> None:
    scene = Image.open(io.BytesIO(PHOTO)).convert("RGB")
    other = Image.open(io.BytesIO(samples.photo(4, 0.1, 0.1, TAKEN))).convert("RGB")
    assert _bits_apart(scene, changed(scene)) <= 6
    assert _bits_apart(scene, other) > 10
