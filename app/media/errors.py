"""What an upload or a file link can be refused for."""

from app.core.errors import (
    CompressedTooMuch,
    ContentEncodingRefused,
    MalformedEncoding,
    Problem,
)


class MultipartExpected(
    Problem,
    status=415,
    code="multipart-expected",
    zh="此处只接受 multipart/form-data",
    en="Only multipart/form-data is taken here",
): ...


class BoundaryMissing(
    Problem,
    status=400,
    code="boundary-missing",
    zh="Content-Type 中缺少有效的 boundary",
    en="The Content-Type names no valid boundary",
): ...


class BoundaryTooLong(
    Problem,
    status=400,
    code="boundary-too-long",
    zh="boundary 超过 {limit} 个字符",
    en="The boundary is longer than {limit} characters",
): ...


class MultipartTruncated(
    Problem,
    status=400,
    code="multipart-truncated",
    zh="上传内容不完整（缺少结尾），请重新发送",
    en="The upload ends before its closing boundary; send it again",
): ...


class MultipartMalformed(
    Problem,
    status=400,
    code="multipart-malformed",
    zh="multipart 格式有误",
    en="The multipart body is malformed",
): ...


class MultipartNested(
    Problem,
    status=400,
    code="multipart-nested",
    zh="不接受嵌套的 multipart",
    en="A multipart inside a multipart is not taken",
): ...


class SlackTooLarge(
    Problem,
    status=400,
    code="multipart-slack-too-large",
    zh="multipart 首尾之外的多余内容超过 {limit} 字节",
    en="More than {limit} bytes stand before the first or after the last boundary",
): ...


class TooManyParts(
    Problem,
    status=413,
    code="too-many-parts",
    zh="一次提交最多 {limit} 个部分",
    en="A request has at most {limit} parts",
): ...


class TooManyFiles(
    Problem,
    status=413,
    code="too-many-files",
    zh="一次最多提交 {limit} 个文件，其余请稍后补传",
    en="A request has at most {limit} files; send the others afterwards",
): ...


class TooManyPartHeaders(
    Problem,
    status=400,
    code="too-many-part-headers",
    zh="每个部分最多 {limit} 个头字段",
    en="A part has at most {limit} headers",
): ...


class PartHeaderTooLarge(
    Problem,
    status=400,
    code="part-header-too-large",
    zh="部分的头字段超过 {limit} 字节",
    en="A header of a part is larger than {limit} bytes",
): ...


class TransferEncodingRefused(
    Problem,
    status=400,
    code="transfer-encoding-refused",
    zh="文件必须原样发送，不接受 base64 等编码（Content-Transfer-Encoding）",
    en="Parts are sent as they are, not in a Content-Transfer-Encoding",
): ...


class TextTooLarge(
    Problem,
    status=413,
    code="text-too-large",
    zh="文字部分超过 {limit} 字节",
    en="A text part is larger than {limit} bytes",
): ...


class CharsetRefused(
    Problem,
    status=415,
    code="charset-refused",
    zh="文字请使用 UTF-8、GBK 或 GB18030 编码",
    en="Text is taken in UTF-8, GBK, GB2312 or GB18030 only",
): ...


class TextUndecodable(
    Problem,
    status=400,
    code="text-undecodable",
    zh="文字与声明的编码不符",
    en="The text is not in the charset it claims",
): ...


class MetaMustBeFirst(
    Problem,
    status=400,
    code="meta-must-be-first",
    zh="第一个部分必须是名为 meta 的 application/json",
    en="The first part must be `meta`, of type application/json",
): ...


class MediaTypeRefused(
    Problem,
    status=415,
    code="media-type-refused",
    zh="只接受照片（JPEG、PNG、WebP、HEIC）、视频（MP4、MOV、3GP）和录音（AMR、M4A、WAV）",
    en="Only JPEG, PNG, WebP, HEIC, MP4, MOV, 3GP, AMR, M4A and WAV files are taken",
): ...


class FileTooLarge(
    Problem,
    status=413,
    code="file-too-large",
    zh="文件超过上限 {limit} 字节",
    en="The file is larger than {limit} bytes",
): ...


class AttachmentsDiffer(
    Problem,
    status=422,
    code="attachments-differ",
    zh="部分文件与清单不符（大小或 SHA-256），请重新发送",
    en="Some files differ from the manifest in size or SHA-256; send them again",
):
    """`attachments`: the ids."""


class DigestMismatch(
    Problem,
    status=400,
    code="digest-mismatch",
    zh="内容与其摘要不符，可能在途中损坏，请重新发送",
    en="The content does not match its digest; send it again",
): ...


class DigestMalformed(
    Problem,
    status=400,
    code="digest-malformed",
    zh="Content-Digest 格式有误",
    en="The Content-Digest header is malformed",
): ...


class FileStoreUnavailable(
    Problem,
    status=503,
    code="file-store-unavailable",
    zh="文件存储暂时不可用，请稍后重试",
    en="The file store is unavailable for the moment; try again",
): ...


class FileNotFound(
    Problem, status=404, code="file-not-found", zh="没有找到该文件", en="There is no such file"
): ...


class LinkExpired(
    Problem,
    status=403,
    code="link-expired",
    zh="链接已过期，请刷新后重新打开",
    en="The link has expired; refresh to get a new one",
): ...


class RangeNotSatisfiable(
    Problem,
    status=416,
    code="range-not-satisfiable",
    zh="请求的范围超出文件大小",
    en="The range lies beyond the end of the file",
): ...


STREAM_REFUSALS: tuple[type[Problem], ...] = (
    FileTooLarge,
    MediaTypeRefused,
    DigestMalformed,
    DigestMismatch,
)
"""Of a body that is one file."""
BODY_REFUSALS: tuple[type[Problem], ...] = (
    *STREAM_REFUSALS,
    AttachmentsDiffer,
    BoundaryMissing,
    BoundaryTooLong,
    CharsetRefused,
    CompressedTooMuch,
    ContentEncodingRefused,
    MalformedEncoding,
    MetaMustBeFirst,
    MultipartMalformed,
    MultipartNested,
    MultipartTruncated,
    PartHeaderTooLarge,
    SlackTooLarge,
    TextTooLarge,
    TextUndecodable,
    TooManyFiles,
    TooManyPartHeaders,
    TooManyParts,
    TransferEncodingRefused,
)
"""Of a body that is JSON, or multipart with its meta first."""
