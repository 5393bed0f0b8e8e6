"""Yardstick (b): the same bytes put straight into the object store through presigned addresses.

No server of ours, no database: what the store and this machine can do at best.
"""

from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from app.core.db import new_id
from app.core.settings import StoreSettings
from tests.load.client import Load, Request, encoded
from tests.load.reports import Photo

_EXPIRES_S = 900


def puts(store: StoreSettings, photo: Photo, count: int) -> Load:
    """`count` uploads of the photo, each to a key of its own, signed beforehand."""
    client = boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        aws_access_key_id=store.access_key.get_secret_value(),
        aws_secret_access_key=store.secret_key.get_secret_value(),
        region_name=store.region,
        config=Config(signature_version="s3v4", s3={"addressing_style": store.addressing}),
    )
    urls = [
        client.generate_presigned_url(
            "put_object",
            Params={"Bucket": store.bucket, "Key": f"bench/{new_id()}"},
            ExpiresIn=_EXPIRES_S,
        )
        for _ in range(count)
    ]
    port = urlsplit(store.endpoint_url).port or 80
    return Load({port: [_put(url, photo) for url in urls]}, status=200)


def _put(url: str, photo: Photo) -> Request:
    parts = urlsplit(url)
    return encoded("PUT", f"{parts.path}?{parts.query}", parts.netloc, {}, [photo.body])
