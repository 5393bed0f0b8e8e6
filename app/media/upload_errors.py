"""What a resumable upload can be refused for."""

from app.core.errors import Problem
from app.media.errors import FileTooLarge


class TusVersionUnsupported(
    Problem,
    status=412,
    code="tus-version-unsupported",
    zh="此处只支持 tus 1.0.0（请求头 Tus-Resumable）",
    en="Only tus 1.0.0 is spoken here (header Tus-Resumable)",
): ...


class OffsetStreamExpected(
    Problem,
    status=415,
    code="offset-stream-expected",
    zh="续传内容的 Content-Type 必须是 application/offset+octet-stream",
    en="Chunks are sent as application/offset+octet-stream",
): ...


class UploadNotFound(
    Problem,
    status=404,
    code="upload-not-found",
    zh="没有找到这个上传",
    en="No such upload",
): ...


class UploadExpired(
    Problem,
    status=410,
    code="upload-expired",
    zh="这个上传已过期，请重新上传",
    en="The upload has expired; begin it anew",
): ...


class UploadLost(
    Problem,
    status=410,
    code="upload-lost",
    zh="存储中的部分内容已丢失，请重新上传",
    en="Parts of the upload are gone from the store; begin it anew",
): ...


class UploadBusy(
    Problem,
    status=423,
    code="upload-busy",
    zh="另一个请求正在处理这个上传，请稍后再试",
    en="Another request is at work on this upload; try again",
): ...


class OffsetDiffers(
    Problem,
    status=409,
    code="offset-differs",
    zh="位置不符，请从 Upload-Offset 处继续",
    en="The offset differs; go on at Upload-Offset",
): ...


class OffsetInvalid(
    Problem,
    status=400,
    code="offset-invalid",
    zh="缺少有效的 Upload-Offset",
    en="There is no valid Upload-Offset",
): ...


class UploadLengthInvalid(
    Problem,
    status=400,
    code="upload-length-invalid",
    zh="请给出 Upload-Length，或 Upload-Defer-Length: 1",
    en="Give Upload-Length, or Upload-Defer-Length: 1",
): ...


class UploadOverflows(
    Problem,
    status=413,
    code="upload-overflows",
    zh="内容超过声明的长度 {length} 字节",
    en="There are more bytes than the length of {length}",
): ...


class UploadMetadataInvalid(
    Problem,
    status=400,
    code="upload-metadata-invalid",
    zh="Upload-Metadata 格式有误",
    en="Upload-Metadata is malformed",
): ...


class UploadDiffers(
    Problem,
    status=409,
    code="upload-differs",
    zh="这个附件已有另一个长度不同的上传",
    en="There is an upload of other length for this attachment",
): ...


class UploadAttached(
    Problem,
    status=409,
    code="upload-attached",
    zh="这个文件已属于一个事件，不能撤回",
    en="The file belongs to an incident and can not be withdrawn",
): ...


class TooManyUploads(
    Problem,
    status=429,
    code="too-many-uploads",
    zh="未完成的上传已达 {limit} 个，请先完成或取消",
    en="{limit} uploads are open already; finish or end some of them",
): ...


class ChecksumMismatch(
    Problem,
    status=460,
    code="checksum-mismatch",
    zh="这一段与其校验值不符，请重发这一段",
    en="The chunk does not match its checksum; send it again",
): ...


class ChecksumUnusable(
    Problem,
    status=400,
    code="checksum-unusable",
    zh="校验只接受 sha1 或 sha256（Upload-Checksum）",
    en="Upload-Checksum is taken with sha1 or sha256",
): ...


class ChecksummedTooLarge(
    Problem,
    status=413,
    code="checksummed-too-large",
    zh="带校验的一段最多 {limit} 字节",
    en="A chunk with a checksum has at most {limit} bytes",
): ...


UPLOAD_REFUSALS: tuple[type[Problem], ...] = (
    TusVersionUnsupported,
    UploadNotFound,
    UploadExpired,
    UploadBusy,
)
"""Of every request about one upload."""
CHUNK_REFUSALS: tuple[type[Problem], ...] = (
    ChecksumMismatch,
    ChecksumUnusable,
    ChecksummedTooLarge,
    FileTooLarge,
    OffsetDiffers,
    OffsetInvalid,
    OffsetStreamExpected,
    UploadLengthInvalid,
    UploadLost,
    UploadOverflows,
)
"""Of bytes on their way."""
