import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.embedded.ownership import AlreadyRunning
from app.embedded.store import EmbeddedStore
from tests.embedded.probes import all_gone, children_in, s3

PHOTO = os.urandom(300_000)
VIDEO = os.urandom(9_000_000)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ("long-" * 40) / "home"  # a path no socket could have


@pytest.fixture
def store(home: Path) -> Iterator[EmbeddedStore]:
    started = EmbeddedStore(home)
    started.start()
    yield started
    started.stop()


def client_of(store: EmbeddedStore) -> Any:
    return s3(store.endpoint_url, store.access_key, store.secret_key)


def keep(client: Any) -> None:
    client.create_bucket(Bucket="media")
    client.put_object(Bucket="media", Key="photo", Body=PHOTO)
    upload = client.create_multipart_upload(Bucket="media", Key="video")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": part["ETag"]}
        for number, body in ((1, VIDEO[:6_000_000]), (2, VIDEO[6_000_000:]))
        for part in [
            client.upload_part(
                Bucket="media", Key="video", UploadId=upload, PartNumber=number, Body=body
            )
        ]
    ]
    client.complete_multipart_upload(
        Bucket="media", Key="video", UploadId=upload, MultipartUpload={"Parts": parts}
    )


def assert_kept(client: Any) -> None:
    assert client.get_object(Bucket="media", Key="photo")["Body"].read() == PHOTO
    assert client.get_object(Bucket="media", Key="video")["Body"].read() == VIDEO
    part = client.get_object(Bucket="media", Key="video", Range="bytes=5999990-6000009")
    assert part["Body"].read() == VIDEO[5_999_990:6_000_010]


def test_strangers_and_second_starters_are_refused(store: EmbeddedStore, home: Path) -> None:
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        EmbeddedStore(home).start()
    stranger = s3(store.endpoint_url, store.access_key, "wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_buckets()
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client_of(store).put_object(Bucket="never-made", Key="photo", Body=b"")
    ports = (home / "store" / "ports").read_text().split()
    filer = f"http://127.0.0.1:{ports[6]}/buckets/"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(filer, timeout=5)
    assert (home / "store" / "s3.json").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_objects_are_found_after_a_kill_and_on_other_ports(
    store: EmbeddedStore, home: Path
) -> None:
    keep(client_of(store))
    url, pid = store.endpoint_url, store.pid
    os.kill(pid, signal.SIGKILL)
    assert all_gone([pid], 2.0)
    assert not store.alive
    store.start()
    assert store.endpoint_url == url
    assert_kept(client_of(store))
    store.stop()

    (home / "store" / "ports").unlink()
    moved = EmbeddedStore(home)
    moved.start()
    assert moved.endpoint_url != url
    assert_kept(client_of(moved))
    client_of(moved).put_object(Bucket="media", Key="later", Body=PHOTO)
    assert_kept(client_of(moved))
    moved.stop()
    assert children_in(home) == []
    assert list(Path("/tmp").glob(f"seaweedfs-*-{url[-5:]}.sock")) == []  # noqa: S108 - its own choice
