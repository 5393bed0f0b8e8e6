"""Refusals of this feature."""

from app.core.errors import Problem


class NotReady(
    Problem,
    status=503,
    code="not-ready",
    zh="服务尚未就绪，请稍后再试",
    en="The server is not ready yet; try again later",
):
    """`reasons`: draining, seeding, database, schema, check."""
