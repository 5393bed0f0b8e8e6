"""What a phone must know before it sends anything: limits, thresholds, versions (U23)."""

from hashlib import sha256
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Response

from app.accounts.client_config import ClientConfig, client_config
from app.accounts.dependencies import CurrentCaller
from app.core.errors import Unauthenticated
from app.core.http import TheResources, problems

router = APIRouter(tags=["client-config"])


@router.get(
    "/client-config",
    response_model=ClientConfig,
    responses=problems(Unauthenticated) | {304: {"description": "Not changed"}},
)
async def read_client_config(
    resources: TheResources,
    caller: CurrentCaller,  # noqa: ARG001 - for those who are signed in
    if_none_match: Annotated[str | None, Header(max_length=1024)] = None,
) -> Response:
    """Ask at each start with the last `ETag`; nothing new costs 304."""
    body = orjson.dumps(client_config(resources.settings).model_dump(mode="json"))
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
