from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.accounts.conftest import Phone, refused
from tests.make import PASSWORD, Cast

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def send(phone: Phone, body: bytes, content_type: str = FORM["Content-Type"]) -> int:
    answer = await phone.http.post(
        "/v1/token", content=body, headers={"Content-Type": content_type}
    )
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


async def test_json_is_not_a_form(phone: Phone) -> None:
    assert await send(phone, b"{}", "application/json") == 415


async def test_gbk_is_refused(phone: Phone) -> None:
    percent = "".join(f"%{byte:02x}" for byte in "张三".encode("gbk"))
    assert await send(phone, f"grant_type=password&username={percent}".encode()) == 400
    assert await send(phone, b"grant_type=password&username=" + "张三".encode("gbk")) == 400


async def test_nul_and_repeated_fields_are_refused(phone: Phone) -> None:
    assert await send(phone, b"grant_type=password&username=a%00b&password=x") == 400
    assert await send(phone, b"grant_type=password&grant_type=password") == 400
    assert await send(phone, b"&".join(b"f%d=1" % n for n in range(40))) == 400


async def test_more_than_eight_kib_is_refused(phone: Phone) -> None:
    body = await phone.http.post("/v1/token", content=b"a=" + b"x" * 8192, headers=FORM)
    refused(body, 413, "payload-too-large")


async def test_too_long_fields_are_refused_with_their_pointer(phone: Phone) -> None:
    answer = await phone.token(grant_type="password", username="x" * 65, password="p" * 257)
    body = refused(answer, 422, "validation-failed")
    assert {error["pointer"] for error in body["errors"]} == {"/username", "/password"}


async def test_missing_and_unknown_grants_are_refused(phone: Phone) -> None:
    refused(await phone.token(grant_type="implicit"), 400, "unsupported-grant-type")
    refused(await phone.token(username="x"), 422, "validation-failed")
    body = refused(await phone.token(grant_type="password", username=""), 400, "form-incomplete")
    assert body["fields"] == "username, password"


async def test_unknown_fields_are_ignored_as_oauth_asks(phone: Phone, cast: Cast) -> None:
    answer = await phone.password(cast.worker.username, scope="everything", role="administrator")
    assert answer.status_code == 200


@given(st.binary(max_size=400))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_bytes_are_answered_with_a_refusal(phone: Phone, body: bytes) -> None:
    assert 400 <= await send(phone, body) < 500


async def test_platforms_sign_in_by_form_and_by_basic(phone: Phone, cast: Cast) -> None:
    wrong = await phone.token(
        grant_type="client_credentials", client_id="liuhu-platform", client_secret=PASSWORD
    )
    refused(wrong, 401, "invalid-credentials")
    form = await phone.token(
        grant_type="client_credentials",
        client_id="liuhu-platform",
        client_secret=cast.platform_secret,
    )
    basic = await phone.http.post(
        "/v1/token",
        data={"grant_type": "client_credentials"},
        auth=("liuhu-platform", cast.platform_secret),
    )
    for answer in (form, basic):
        body = answer.json()
        assert body["refresh_token"] is None
        me = await phone.get("/me", {"Authorization": "Bearer " + body["access_token"]})
        assert me.json()["kind"] == "platform"
        assert me.json()["roles"][0]["role"] == "platform"
