"""All routes of accounts, mounted as one."""

from fastapi import APIRouter

from app.accounts import (
    audit_router,
    client_config_router,
    me_router,
    people_router,
    platforms_router,
    terminals_router,
    token_router,
    units_router,
)

router = APIRouter()
for part in (
    token_router,
    me_router,
    client_config_router,
    units_router,
    people_router,
    terminals_router,
    platforms_router,
    audit_router,
):
    router.include_router(part.router)
