import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from email.generator import BytesGenerator
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from io import BytesIO

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from app.core.errors import ContentEncodingRefused, PayloadTooLarge, Problem
from app.core.settings import IntakeSettings
from app.media import errors
from app.media.multipart import check_request, parts
from tests.media.wire import (
    BOUNDARY,
    CONTENT_TYPE,
    LIMITS,
    Seen,
    body_of,
    parse,
    parsed,
    part,
    stream,
)

META = part('name="meta"', b'{"a": 1}', "Content-Type: application/json")
PHOTO = part('name="p1"; filename="a.jpg"', b"\xff\xd8\xff\r\n--x", "Content-Type: image/jpeg")

EXPECTED = [
    Seen("meta", None, "application/json", b'{"a": 1}'),
    Seen("p1", "a.jpg", "image/jpeg", b"\xff\xd8\xff\r\n--x"),
]


async def test_m1_refusals_come_before_the_first_byte() -> None:
    body = stream(b"one byte")
    with pytest.raises(errors.MultipartExpected):
        await anext(parts("application/json", body, LIMITS))
    with pytest.raises(errors.BoundaryMissing):
        await anext(parts("multipart/form-data", body, LIMITS))
    assert await anext(body) == b"one byte"


def test_m1_a_declared_length_is_judged_at_once() -> None:
    with pytest.raises(PayloadTooLarge):
        check_request(CONTENT_TYPE, LIMITS.request_bytes + 1, None, LIMITS)
    assert check_request(CONTENT_TYPE, LIMITS.request_bytes, None, LIMITS) == BOUNDARY.encode()


def test_m15_compressed_multipart_is_refused() -> None:
    with pytest.raises(ContentEncodingRefused) as refused:
        check_request(CONTENT_TYPE, None, "gzip", LIMITS)
    assert refused.value.status == 415
    assert refused.value.headers == {"Accept-Encoding": "identity"}


@pytest.mark.parametrize(
    ("content_type", "problem"),
    [
        ("", errors.MultipartExpected),
        ("multipart/mixed; boundary=x", errors.MultipartExpected),
        ("multipart/form-data; boundary=", errors.BoundaryMissing),
        ('multipart/form-data; boundary="a\\"b"', errors.BoundaryMissing),
        ("multipart/form-data; boundary=ü", errors.BoundaryMissing),
        ('multipart/form-data; boundary="ends with space "', errors.BoundaryMissing),
        ("multipart/form-data; boundary=" + "x" * 71, errors.BoundaryTooLong),
        ("multipart/form-data; boundary=a; boundary=b", errors.MultipartMalformed),
    ],
)
def test_m3_boundaries(content_type: str, problem: type[Problem]) -> None:
    with pytest.raises(problem):
        parse(body_of(META), content_type)


def test_m3_a_boundary_of_70_characters_is_taken() -> None:
    boundary = "b" * 70
    content_type = f'Multipart/Form-Data; charset=utf-8; boundary="{boundary}"'
    assert len(parse(body_of(META, boundary=boundary), content_type)) == 1


def test_m3_real_bytes_of_the_request_are_counted() -> None:
    limits = IntakeSettings(request_bytes=1024 * 1024)
    body = body_of(META, part('name="p"; filename="a"', bytes(1024 * 1024)))
    with pytest.raises(PayloadTooLarge):
        parse(body, limits=limits, cuts=range(0, len(body), 1000))


def test_m3_too_many_parts() -> None:
    with pytest.raises(errors.TooManyParts):
        parse(body_of(*[part('name="t"', b"x")] * 33))
    assert len(parse(body_of(*[part('name="t"', b"x")] * 32))) == 32


def test_m3_too_many_files() -> None:
    files = [part(f'name="{n}"; filename="a.jpg"', b"x") for n in range(13)]
    with pytest.raises(errors.TooManyFiles):
        parse(body_of(META, *files))
    assert len(parse(body_of(META, *files[:12]))) == 13


def test_m3_a_meta_sent_as_a_blob_is_no_file() -> None:
    blob = part('name="meta"; filename="blob"', b"{}", "Content-Type: application/json")
    files = [part(f'name="{n}"; filename="a.jpg"', b"x") for n in range(12)]
    assert len(parse(body_of(blob, *files))) == 13


def test_m3_ten_thousand_parts_are_refused_early_and_parsed_when_allowed() -> None:
    body = body_of(*[part('name="t"', b"x")] * 10_000)
    with pytest.raises(errors.TooManyParts):
        parse(body)
    limits = LIMITS.model_copy(update={"parts": 10_000})
    assert len(parse(body, limits=limits)) == 10_000


def test_m3_too_many_headers() -> None:
    with pytest.raises(errors.TooManyPartHeaders):
        parse(body_of(part('name="t"', b"", *[f"X-{n}: 1" for n in range(8)])))
    assert parse(body_of(part('name="t"', b"", *[f"X-{n}: 1" for n in range(7)])))


@pytest.mark.parametrize("cuts", [(), range(0, 9000, 7)])
@pytest.mark.parametrize("header", ["X-Long: " + "y" * 5000, "X" * 5000 + ": y"])
def test_m3_a_large_header(header: str, cuts: range) -> None:
    with pytest.raises(errors.PartHeaderTooLarge):
        parse(body_of(part('name="t"', b"", header)), cuts=cuts)


def test_m3_an_endless_header_is_refused_while_it_comes() -> None:
    endless = f"--{BOUNDARY}\r\nX-Long: ".encode() + b"y" * 200_000
    with pytest.raises(errors.PartHeaderTooLarge):
        parse(endless)


@pytest.mark.parametrize("cuts", [(), range(0, 3000, 3)])
def test_m3_preamble_and_epilogue_count_together(cuts: range) -> None:
    body = body_of(META)
    # two bytes each: the line break after the preamble, and after the closing boundary
    fitting = b"p" * 500 + b"\r\n" + body + b"e" * 520
    assert len(parse(fitting, cuts=cuts)) == 1
    with pytest.raises(errors.SlackTooLarge):
        parse(fitting + b"e", cuts=cuts)
    with pytest.raises(errors.SlackTooLarge):
        parse(b"p" * 1023 + b"\r\n" + body, cuts=cuts)


def test_m3_something_else_than_multipart_is_refused_early() -> None:
    with pytest.raises(errors.SlackTooLarge):
        parse(b"\xff\xd8\xff" * 1_000_000)


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=in", "Multipart/Form-Data"])
def test_m3_nested_multipart(kind: str) -> None:
    nested = part('name="files"', b"--in\r\n\r\nx\r\n--in--", f"Content-Type: {kind}")
    with pytest.raises(errors.MultipartNested):
        parse(body_of(META, nested))


@pytest.mark.parametrize("length", range(1, len(body_of(META, PHOTO)) - 1, 5))
def test_m4_truncated_body_is_refused(length: int) -> None:
    body = body_of(META, PHOTO)
    with pytest.raises(errors.MultipartTruncated):
        parse(body[: len(body) - 2 - length])


def test_m4_an_empty_body_is_truncated() -> None:
    with pytest.raises(errors.MultipartTruncated):
        parse(b"")


def test_a_form_without_parts() -> None:
    assert parse(f"--{BOUNDARY}--\r\n".encode()) == []
    assert parse(f"--{BOUNDARY}--".encode()) == []


@pytest.mark.parametrize(
    "section",
    [
        b"\r\nno headers",
        b"Content-Type: text/plain\r\n\r\nno disposition",
        b'Content-Disposition: attachment; name="a"\r\n\r\n',
        b'Content-Disposition: form-data; filename="a"\r\n\r\n',
        b'Content-Disposition: form-data; name="a"; name="b"\r\n\r\n',
        b'Content-Disposition: form-data; name="a"\r\n' * 2 + b"\r\n",
        b'Content-Disposition: form-data; name="a\nX: y"\r\n\r\n',
        b'Content-Disposition: form-data; name="a\x00"\r\n\r\n',
        b'Content-Disposition: form-data; name="a" garbage\r\n\r\n',
        b'Content Disposition: form-data; name="a"\r\n\r\n',
        b": empty\r\n\r\n",
    ],
)
def test_malformed_parts(section: bytes) -> None:
    with pytest.raises(errors.MultipartMalformed):
        parse(body_of(META, section))


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-gzip"])
def test_m7_encoded_parts_are_refused(encoding: str) -> None:
    with pytest.raises(errors.TransferEncodingRefused):
        parse(body_of(part('name="a"', b"eA==", f"Content-Transfer-Encoding: {encoding}")))


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "BINARY"])
def test_m7_plain_encodings_are_taken(encoding: str) -> None:
    body = body_of(part('name="a"', b"x", f"Content-Transfer-Encoding: {encoding}"))
    assert parse(body)[0].body == b"x"


async def texts(body: bytes) -> list[str]:
    return [await found.text(64) async for found in parts(CONTENT_TYPE, stream(body), LIMITS)]


async def test_m6_unknown_charsets_are_refused() -> None:
    with pytest.raises(errors.CharsetRefused) as refused:
        await texts(body_of(part('name="t"', b"x", "Content-Type: text/plain; charset=big5")))
    assert refused.value.status == 415


async def test_m6_text_that_is_not_in_its_charset_is_refused() -> None:
    with pytest.raises(errors.TextUndecodable):
        await texts(body_of(part('name="t"', "消防".encode("gbk"))))


@pytest.mark.parametrize("charset", ["gbk", "GB2312", "gb18030", "utf-8", '"UTF8"'])
async def test_m6_declared_charsets_are_decoded(charset: str) -> None:
    raw = "楼道堆放杂物".encode(charset.strip('"'))
    body = body_of(part('name="t"', raw, f"Content-Type: text/plain; charset={charset}"))
    assert await texts(body) == ["楼道堆放杂物"]


async def test_m6_the_charset_field_counts_for_the_texts_after_it() -> None:
    body = body_of(
        part('name="before"', "纠纷".encode()),
        part('name="_charset_"', b"gbk"),
        part('name="after"', "纠纷".encode("gbk")),
        part('name="own"', "纠纷".encode(), "Content-Type: text/plain; charset=utf-8"),
    )
    assert await texts(body) == ["纠纷", "纠纷", "纠纷"]


async def test_m3_a_large_text_is_refused() -> None:
    with pytest.raises(errors.TextTooLarge):
        await texts(body_of(part('name="t"', b"x" * 65)))


async def test_a_byte_order_mark_is_dropped() -> None:
    assert await texts(body_of(part('name="t"', b"\xef\xbb\xbf{}"))) == ["{}"]


async def test_f7_a_client_that_leaves_is_felt_where_it_happens() -> None:
    class Left(Exception):  # noqa: N818 - as starlette's ClientDisconnect
        pass

    async def leaving() -> AsyncIterator[bytes]:
        yield body_of(META, PHOTO)[:-30]
        raise Left

    async def read_all() -> None:
        async for found in parts(CONTENT_TYPE, leaving(), LIMITS):
            async for _ in found:
                pass

    with pytest.raises(Left):
        await read_all()


async def test_back_pressure_nothing_is_read_ahead() -> None:
    read = 0

    async def counting() -> AsyncIterator[bytes]:
        nonlocal read
        yield body_of(part('name="a"; filename="a"'))[: -len(BOUNDARY) - 8]
        for _ in range(1000):
            read += 1
            yield bytes(65536)

    found = await anext(parts(CONTENT_TYPE, counting(), LIMITS))
    chunks = aiter(found)
    for _ in range(3):
        await anext(chunks)
    assert read <= 4


async def test_memory_stays_flat_over_a_large_body() -> None:
    async def large() -> AsyncIterator[bytes]:
        yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n'.encode()
        for _ in range(1600):
            yield bytes(65536)
        yield f"\r\n--{BOUNDARY}--".encode()

    tracemalloc.start()
    total = 0
    async for found in parts(CONTENT_TYPE, large(), LIMITS):
        async for chunk in found:
            total += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 1600 * 65536
    assert peak < 4 * 1024 * 1024


async def test_what_is_left_of_a_part_is_skipped() -> None:
    names = [
        found.name async for found in parts(CONTENT_TYPE, stream(body_of(META, PHOTO)), LIMITS)
    ]
    assert names == ["meta", "p1"]


async def test_a_refusal_is_repeated_to_whom_asks_again() -> None:
    found = parts(CONTENT_TYPE, stream(body_of(META, b"\r\n")), LIMITS)
    meta = await anext(found)
    with pytest.raises(errors.MultipartMalformed):
        await anext(found)
    assert [chunk async for chunk in meta] == []


@settings(max_examples=60, deadline=None)
@given(
    contents=st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.lists(
                st.sampled_from([b"\r\n", b"--", b"\r", BOUNDARY.encode()[:-1], b"x", b"-"])
            ).map(b"".join),
        ),
        max_size=5,
    ),
    data=st.data(),
)
def test_any_chunking_gives_the_same_parts(contents: list[bytes], data: st.DataObject) -> None:
    body = b"pre\r\n" + body_of(
        *(part(f'name="{n}"; filename="f{n}"', one) for n, one in enumerate(contents))
    )
    cuts = data.draw(st.lists(st.integers(1, len(body)), max_size=20))
    expected = [Seen(str(n), f"f{n}", "text/plain", one) for n, one in enumerate(contents)]
    assert parse(body) == expected
    assert parse(body, cuts=cuts) == expected


def test_one_byte_at_a_time_gives_the_same_parts() -> None:
    body = body_of(META, PHOTO)
    assert parse(body, cuts=range(len(body))) == EXPECTED


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_bodies_give_parts_or_a_problem_however_they_are_cut(data: st.DataObject) -> None:
    body = bytearray(body_of(META, PHOTO, part('name="t"', "文字".encode())))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 6))] = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\r\n", b"--", b'"', b";", b":"]))
        )
    cuts = data.draw(st.lists(st.integers(1, max(1, len(body))), max_size=8))
    whole = outcome(bytes(body))
    assert isinstance(whole, list) or whole.startswith("4")
    assert outcome(bytes(body), cuts) == whole


def outcome(body: bytes, cuts: list[int] | None = None) -> list[Seen] | str:
    try:
        return parse(body, cuts=cuts or [])
    except Problem as refusal:
        return f"{refusal.status} {refusal.code}"


NAMES = st.text(
    st.characters(
        exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"), exclude_characters='/\\"%'
    ),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in {".", ".."})


@settings(max_examples=40, deadline=None)
@given(name=NAMES, content=st.binary(max_size=300))
@example(name="现场 照片.jpg", content=b"\r\n--")
def test_oracle_bodies_of_httpx_parse_equal(name: str, content: bytes) -> None:
    request = httpx.Request(
        "POST",
        "http://test/",
        data={"meta": '{"text": "事故"}'},
        files={"0193": (name, content, "image/jpeg")},
    )
    seen = parse(request.read(), request.headers["content-type"])
    assert seen == [
        Seen("meta", None, "text/plain", '{"text": "事故"}'.encode()),
        Seen("0193", name, "image/jpeg", content),
    ]


@settings(max_examples=40, deadline=None)
@given(name=NAMES, content=st.binary(max_size=300))
def test_oracle_bodies_of_requests_parse_equal(name: str, content: bytes) -> None:
    """`requests` writes its bodies with this function of urllib3."""
    meta = RequestField("meta", "{}")
    meta.make_multipart(content_type="application/json")
    body, content_type = encode_multipart_formdata([meta, ("0193", (name, content, "image/jpeg"))])
    assert parse(body, content_type) == [
        Seen("meta", None, "application/json", b"{}"),
        Seen("0193", name, "image/jpeg", content),
    ]


def test_oracle_bodies_of_the_email_package_parse_equal() -> None:
    """The standard library writes `filename*` and folds nothing of ours."""
    form = MIMEMultipart("form-data", BOUNDARY)
    one = MIMENonMultipart("image", "jpeg")
    one.add_header("Content-Disposition", "form-data", name="p", filename=("utf-8", "", "事故.jpg"))
    one.set_payload("bytes")
    form.attach(one)
    buffer = BytesIO()
    BytesGenerator(buffer, policy=form.policy.clone(linesep="\r\n", max_line_length=0)).flatten(
        form
    )
    body = buffer.getvalue().partition(b"\r\n\r\n")[2]
    assert parse(body) == [Seen("p", "事故.jpg", "image/jpeg", b"bytes")]


async def test_two_bodies_at_once_do_not_disturb_each_other() -> None:
    body = body_of(META, PHOTO)
    both = await asyncio.gather(*(parsed(body, cuts=range(0, len(body), step)) for step in (3, 5)))
    assert both[0] == both[1] == EXPECTED
