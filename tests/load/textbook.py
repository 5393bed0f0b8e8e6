"""Yardstick (b): intake as a textbook writes it, `UploadFile` and boto3 in the thread pool.

Runs as `python -m tests.load.textbook` with the product's settings. It has the product's placing
and its very statement in a session's transaction, and neither limits, digests of the manifest, file
checks nor logs; who calls it asks once for ever.
"""

from hashlib import file_digest, sha256
from typing import Annotated, Any

import boto3
import uvicorn
import uvloop
from fastapi import FastAPI, Form, Header, UploadFile
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import insert

from app.accounts.access_tokens import read_access_token
from app.accounts.caller import Caller
from app.accounts.recognition import recognise
from app.core.db import new_id
from app.core.resources import Resources
from app.core.settings import Settings, StoreSettings
from app.incidents.preparing import prepare
from app.incidents.reporting import INTAKE, Received, Report, parameters
from app.incidents.schemas import NewIncident
from app.media.models import MediaFile
from app.media.storing import StoredFile
from app.opening import opened
from tests.load.client import HOST


def create_app(resources: Resources) -> FastAPI:
    app = FastAPI()
    settings = resources.settings
    bucket, client = settings.store.bucket, _client(settings.store)
    callers: dict[str, Caller] = {}

    async def caller_of(authorization: str) -> Caller:
        token = authorization.removeprefix("Bearer ")
        if token not in callers:
            callers[token] = await recognise(resources, read_access_token(resources, token))
        return callers[token]

    @app.post("/incidents", status_code=201)
    async def report_incident(
        meta: Annotated[str, Form()],
        photo: UploadFile,
        authorization: Annotated[str, Header()],
    ) -> dict[str, Any]:
        caller = await caller_of(authorization)
        prepared = await prepare(resources, caller, NewIncident.model_validate_json(meta))
        body = await photo.read()
        key = f"media/{new_id()}"
        await run_in_threadpool(
            client.put_object, Bucket=bucket, Key=key, Body=body, ContentType="image/jpeg"
        )
        stored = StoredFile(key, len(body), sha256(body).hexdigest(), "image/jpeg", "photo")
        attachment = prepared.new.attachments[0].id
        written = Report(
            new=prepared.new,
            placed=prepared.placed,
            root=prepared.root,
            sealed=prepared.sealed,
            reporter_id=prepared.reporter_id,
            received={attachment: Received(new_id(), stored)},
            at=resources.clock.now(),
            client_offset_s=None,
        )
        given = parameters(caller, written, keys=resources.keys, zone=settings.zone)
        async with resources.sessions.begin() as session:
            number = await session.scalar(INTAKE, given)
        return {"id": prepared.new.id, "number": number, "sha256": stored.sha256}

    @app.post("/files", status_code=201)
    async def keep_file(
        file: UploadFile, authorization: Annotated[str, Header()]
    ) -> dict[str, Any]:
        caller = await caller_of(authorization)
        key, at = f"media/{new_id()}", resources.clock.now()
        digest = await run_in_threadpool(file_digest, file.file, "sha256")  # type: ignore[arg-type]  # spooled files have it from 3.11 on
        await file.seek(0)
        await run_in_threadpool(client.upload_fileobj, file.file, bucket, key)
        row = {
            "id": new_id(),
            "object_key": key,
            "size": file.size,
            "sha256": digest.digest(),
            "content_type": file.content_type,
            "filename": file.filename,
            "kind": "photo",
            "state": "stored",
            "uploaded_at": at,
            "uploaded_by": caller.id,
            "created_at": at,
        }
        async with resources.sessions.begin() as session:
            await session.execute(insert(MediaFile).values(row))
        return {"id": row["id"], "sha256": digest.hexdigest()}

    return app


def _client(store: StoreSettings) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        aws_access_key_id=store.access_key.get_secret_value(),
        aws_secret_access_key=store.secret_key.get_secret_value(),
        region_name=store.region,
    )


async def main() -> None:
    """Serves until SIGTERM; says `ready PORT` as the product does."""
    settings = Settings()
    async with opened(settings) as resources:
        config = uvicorn.Config(
            create_app(resources), HOST, 0, lifespan="off", log_level="warning", access_log=False
        )
        listening = config.bind_socket()
        print(f"ready {listening.getsockname()[1]}", flush=True)  # noqa: T201 - how it is found
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    uvloop.run(main())  # as uvicorn itself would
