"""Imports every models.py, so that the metadata is whole for Alembic and the tests."""

from app.accounts.models import (
    FormerPassword,
    LoginFailure,
    LoginSession,
    PasswordReset,
    Person,
    PersonGrid,
    Platform,
    RefreshToken,
    RoleHolding,
    Terminal,
    Unit,
)
from app.core.audit import AuditEntry
from app.core.db import Model
from app.core.events import OutboxRow

metadata = Model.metadata
TABLES = (
    AuditEntry,
    FormerPassword,
    LoginFailure,
    LoginSession,
    OutboxRow,
    PasswordReset,
    Person,
    PersonGrid,
    Platform,
    RefreshToken,
    RoleHolding,
    Terminal,
    Unit,
)
