import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media.filenames import attachment, cleaned, decoded_extended
from app.media.headers import head_of


def filename(parameters: bytes) -> str | None:
    return head_of({"content-disposition": b'form-data; name="p"; ' + parameters}).filename


def test_m5_only_three_escapes_are_decoded() -> None:
    assert filename(b'filename="a%22b%0d%0Ac%20%41.jpg"') == 'a"bc%20%41.jpg'


def test_m5_invalid_utf8_is_tried_as_gb18030() -> None:
    assert filename('filename="现场.jpg"'.encode("gbk")) == "现场.jpg"
    # a character of four bytes
    assert filename('filename="㐂.jpg"'.encode("gb18030")) == "㐂.jpg"


def test_m5_a_gbk_character_that_ends_like_a_backslash_is_no_escape() -> None:
    raw = "輁".encode("gbk")
    assert raw.endswith(b"\\")
    assert filename(b'filename="' + raw + b'"') == "輁"


def test_m5_what_no_charset_fits_is_replaced() -> None:
    assert filename(b'filename="a\xff\xff.jpg"') == "a\ufffd\ufffd.jpg"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"filename*=UTF-8''%E4%BA%8B%E6%95%85.jpg", "事故.jpg"),
        (b"filename*=utf-8'zh'%E4%BA%8B.jpg", "事.jpg"),
        (b"filename*=gbk''%CA%C2.jpg", "事.jpg"),
        (b"filename*=iso-8859-1''%A3.jpg", "£.jpg"),
        (b"filename*=nonsense''%E4%BA%8B.jpg", "事.jpg"),
        (b"filename*=UTF-8''%FF.jpg", "\ufffd.jpg"),
        (b"filename*=plain.jpg", "plain.jpg"),
        (b"filename*=zip''%00", "未命名"),
    ],
)
def test_m5_a_lone_extended_name_makes_a_file(value: bytes, name: str) -> None:
    assert filename(value) == name


def test_m5_the_plain_name_wins_over_the_extended() -> None:
    assert filename(b"filename*=UTF-8''b.jpg; filename=\"a.jpg\"") == "a.jpg"


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\现场.jpg", "现场.jpg"),
        ("/sdcard/DCIM/1.jpg", "1.jpg"),
        ("a\x00b\x1f\x85c.jpg", "abc.jpg"),
        ("gpj.\u202eexe.jpg", "gpj.exe.jpg"),
        ("", "未命名"),
        ("..", "未命名"),
        ("folder/", "未命名"),
        ("  a.jpg ", "a.jpg"),
        ("👩\u200d🚒.jpg", "👩\u200d🚒.jpg"),
    ],
)
def test_m5_folders_and_unseen_characters_are_stripped(given_name: str, kept: str) -> None:
    assert cleaned(given_name) == kept


def test_m5_long_names_are_cut_between_characters_before_the_suffix() -> None:
    kept = cleaned("事" * 200 + ".jpeg")
    assert kept == "事" * 83 + ".jpeg"
    assert len(cleaned("x." + "y" * 400).encode()) == 255


@given(st.text())
def test_m5_any_name_becomes_a_safe_one(name: str) -> None:
    kept = cleaned(name)
    assert 1 <= len(kept.encode()) <= 255
    assert not set("/\\\0\r\n").intersection(kept)
    assert cleaned(kept) == kept
    assert attachment(kept).isascii()


@given(st.text(), st.sampled_from(["utf-8", "gb18030"]))
def test_m5_extended_names_never_fail(value: str, charset: str) -> None:
    decoded_extended(f"{charset}''{value}")
    decoded_extended(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'form-data; name="a;b"; filename="c=d"', "a;b"),
        (b"form-data; name=plain", "plain"),
        (b'FORM-DATA;NAME="a"', "a"),
        (b'form-data; name="say \\"hi\\""', 'say "hi"'),
        (b'form-data; name="" ;', ""),
    ],
)
def test_names_as_clients_write_them(value: bytes, name: str) -> None:
    assert head_of({"content-disposition": value}).name == name


def test_a_name_that_ends_with_a_backslash() -> None:
    assert filename(b'filename="C:\\"') == "未命名"


@pytest.mark.parametrize(
    ("headers", "is_file"),
    [
        ({"content-disposition": b'form-data; name="t"'}, False),
        ({"content-disposition": b'form-data; name="t"; filename="a.txt"'}, True),
        ({"content-disposition": b'form-data; name="t"', "content-type": b"image/jpeg"}, True),
        ({"content-disposition": b'form-data; name="t"', "content-type": b"text/plain"}, False),
    ],
)
def test_what_is_a_file(headers: dict[str, bytes], *, is_file: bool) -> None:
    assert head_of(headers).is_file == is_file
