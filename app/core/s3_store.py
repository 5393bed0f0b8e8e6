"""The real object store: S3 within our own deadlines, whole objects by `WholeObjects`.

All else goes through boto3, in threads of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from boto3.session import Session
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from app.core.breaker import Breaker
from app.core.object_store import ObjectMissing, StoredObject, StoreUnavailable, UnfinishedParts
from app.core.s3_objects import WholeObjects, arrives_as_sent
from app.core.settings import StoreSettings

if TYPE_CHECKING:  # the stubs are not installed with the product
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_THREADS = 32
_LARGE_AT_ONCE = 4
"""Many at once would share the link to the store until none is through by its deadline."""
_LARGE = 1024 * 1024
_CHUNK = 256 * 1024
_CONNECT_S = 3.0
_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_RULE = "etong-abort-unfinished"
_ABORT_AFTER_DAYS = 7

AnswerT = TypeVar("AnswerT")
log = structlog.get_logger()


class S3Store:
    """boto3 blocks, so each call runs in one of a bounded number of threads.

    A call that does not answer within `deadline_s` has failed, though its thread may still work.
    """

    def __init__(self, settings: StoreSettings, breaker: Breaker | None = None) -> None:
        self._bucket = settings.bucket
        self._region = settings.region
        self._deadline_s = settings.deadline_s
        self._breaker = breaker or Breaker()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self._lanes = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._client = _make_client(settings)
        self._whole = WholeObjects(settings)

    async def prepare(self) -> None:
        await self._ask(self._make_bucket)
        await self._ask(self._make_lifecycle)

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        async with self._lane(body):
            await self._guarded(self._whole.put(key, body, content_type))

    async def start_parts(self, key: str, content_type: str) -> str:
        answer = await self._ask(
            lambda: self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ContentType=content_type
            )
        )
        return answer["UploadId"]

    async def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        async with self._lane(body):
            answer = await self._ask(
                lambda: self._client.upload_part(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body
                )
            )
        return answer["ETag"]

    async def complete_parts(self, key: str, upload_id: str, etags: Mapping[int, str]) -> None:
        """Old servers leave the object's ETag out of this answer, so nobody gets one from here."""
        numbered: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())
        ]
        try:
            await self._ask(
                lambda: self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": numbered},
                )
            )
        except ObjectMissing:
            # an earlier try may have been carried out although its answer was lost
            await self.size(key)

    async def abort_parts(self, key: str, upload_id: str) -> None:
        try:
            await self._ask(
                lambda: self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id
                )
            )
        except ObjectMissing:
            log.debug("parts_gone", key=key)

    async def size(self, key: str) -> int:
        return await self._guarded(self._whole.size(key))

    async def read(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        if end is not None and end <= start:
            await self.size(key)
            return
        body = await self._ask(lambda: self._open(key, start, end))
        if body is None:
            return
        try:
            while chunk := await self._ask(lambda: body.read(_CHUNK)):
                yield chunk
        finally:
            body.close()

    async def delete(self, keys: Sequence[str]) -> None:
        """One by one: DeleteObjects needs a checksum of a kind that old servers refuse."""
        for key in keys:
            try:
                await self._ask(self._deleting(key))
            except ObjectMissing:
                log.debug("object_gone", key=key)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
        )
        while (page := await self._ask(lambda: next(pages, None))) is not None:
            for found in page.get("Contents", ()):
                yield StoredObject(found["Key"], found["Size"], found["LastModified"])

    async def unfinished(self, prefix: str) -> AsyncIterator[UnfinishedParts]:
        pages = iter(
            self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
        )
        while (page := await self._ask(lambda: next(pages, None))) is not None:
            for found in page.get("Uploads", ()):
                yield UnfinishedParts(found["Key"], found["UploadId"], found["Initiated"])

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _lane(self, body: bytes) -> AbstractAsyncContextManager[None]:
        """The deadline begins once a large body has its lane."""
        return self._lanes if len(body) >= _LARGE else nullcontext()

    async def _ask(self, call: Callable[[], AnswerT]) -> AnswerT:
        """Run a blocking call in a thread, guarded."""
        return await self._guarded(self._in_a_thread(call))

    async def _in_a_thread(self, call: Callable[[], AnswerT]) -> AnswerT:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except ClientError as refused:
            raise _named(refused) from refused
        except (BotoCoreError, OSError) as failed:
            raise StoreUnavailable(type(failed).__name__) from failed

    async def _guarded(self, asking: Coroutine[Any, Any, AnswerT]) -> AnswerT:
        """Breaker first, deadline around it, failures counted."""
        if not self._breaker.admits():
            asking.close()
            raise StoreUnavailable("breaker open")
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await asking
        except ObjectMissing:
            self._breaker.succeeded()
            raise
        except (StoreUnavailable, TimeoutError) as failed:
            self._breaker.failed()
            log.warning("store_failed", error=str(failed) or type(failed).__name__)
            raise StoreUnavailable(str(failed)) from failed
        self._breaker.succeeded()
        return answer

    def _open(self, key: str, start: int, end: int | None) -> StreamingBody | None:
        wanted = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            if start == 0 and end is None:
                return self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            return self._client.get_object(Bucket=self._bucket, Key=key, Range=wanted)["Body"]
        except ClientError as refused:
            if _code(refused) in {"InvalidRange", "416"}:
                return None
            raise

    def _deleting(self, key: str) -> Callable[[], object]:
        return lambda: self._client.delete_object(Bucket=self._bucket, Key=key)

    def _make_bucket(self) -> None:
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as refused:
            if _code(refused) not in _MISSING | {"NoSuchBucket"}:
                raise
            self._create_bucket()

    def _create_bucket(self) -> None:
        try:
            if self._region == "us-east-1":  # S3 refuses to be told its default
                self._client.create_bucket(Bucket=self._bucket)
            else:
                self._client.create_bucket(
                    Bucket=self._bucket,
                    CreateBucketConfiguration={"LocationConstraint": self._region},  # type: ignore[typeddict-item]  # any region of any S3, not only Amazon's
                )
        except ClientError as refused:
            # another process made it at the same moment
            if _code(refused) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise

    def _make_lifecycle(self) -> None:
        """Adds our rule to those of the operator; a store without lifecycles is swept by us."""
        rules = self._lifecycle_rules()
        if any(rule.get("ID") == _RULE for rule in rules):
            return
        ours: Any = {
            "ID": _RULE,
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABORT_AFTER_DAYS},
        }
        try:
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self._bucket, LifecycleConfiguration={"Rules": [*rules, ours]}
            )
        except ClientError as refused:
            log.warning("store_without_lifecycle", code=_code(refused))

    def _lifecycle_rules(self) -> Sequence[Any]:
        """Rules of any shape: what the store answers is what it takes back."""
        try:
            answer = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)
        except ClientError as refused:
            log.info("store_lifecycle_unread", code=_code(refused))
            return ()
        return answer.get("Rules", ())


def _named(refused: ClientError) -> Exception:
    code = _code(refused)
    return ObjectMissing(code) if code in _MISSING else StoreUnavailable(code)


def _code(refused: ClientError) -> str:
    return str(refused.response.get("Error", {}).get("Code", ""))


def _make_client(settings: StoreSettings) -> "S3Client":
    session = Session(
        aws_access_key_id=settings.access_key.get_secret_value(),
        aws_secret_access_key=settings.secret_key.get_secret_value(),
        region_name=settings.region,
    )
    config = Config(
        connect_timeout=min(_CONNECT_S, settings.deadline_s),
        read_timeout=settings.deadline_s,
        # one repeat, for a kept connection that the server has meanwhile closed
        retries={"total_max_attempts": 2, "mode": "standard"},
        max_pool_connections=_THREADS,
        tcp_keepalive=True,
        proxies={},  # a web proxy of the machine is not meant for media
        s3={
            "addressing_style": settings.addressing,
            "payload_signing_enabled": not arrives_as_sent(settings.endpoint_url),
        },
        request_checksum_calculation=settings.checksums,
        response_checksum_validation=settings.checksums,
    )
    client: S3Client = session.client(
        "s3", endpoint_url=settings.endpoint_url or None, config=config
    )
    return client
