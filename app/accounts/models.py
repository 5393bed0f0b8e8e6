"""Tables of people, units, roles, terminals, sessions and platforms."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Model, new_id


def _one_of(column: str, *values: str) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


class Person(Model):
    __tablename__ = "people"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    username: Mapped[str]
    name: Mapped[str]
    phone_sealed: Mapped[str | None]
    """AES-GCM under the purpose "person-phone"; never shown whole."""
    password_hash: Mapped[str | None]
    """None: nobody can sign in until a one-time code sets the first password."""
    state: Mapped[str] = mapped_column(default="active")
    must_change_password: Mapped[bool] = mapped_column(default=False)
    password_changed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        Index("uq_people_username_folded", func.lower(text("username")), unique=True),
        CheckConstraint(_one_of("state", "active", "disabled"), name="state"),
    )


class FormerPassword(Model):
    """Hashes a person has used; the newest five, the present one included, are not used again."""

    __tablename__ = "former_passwords"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    password_hash: Mapped[str]
    set_at: Mapped[datetime]

    __table_args__ = (Index("ix_former_passwords_person_id", "person_id", "set_at"),)


class Unit(Model):
    __tablename__ = "units"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    level: Mapped[str]
    kind: Mapped[str]
    area_code: Mapped[str]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("units.id"))
    head_id: Mapped[UUID | None] = mapped_column(ForeignKey("people.id"))
    active: Mapped[bool] = mapped_column(default=True)
    revision: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        CheckConstraint(_one_of("level", "village", "township", "district"), name="level"),
        CheckConstraint(_one_of("kind", "centre", "department"), name="kind"),
        CheckConstraint("parent_id IS DISTINCT FROM id", name="not_own_parent"),
        Index("ix_units_area_code", "area_code"),
        Index("ix_units_parent_id", "parent_id"),
        # routing asks for "the centre of this area": there is one at most
        Index(
            "uq_units_centre",
            "area_code",
            unique=True,
            postgresql_where=text("kind = 'centre' AND active"),
        ),
    )


class RoleHolding(Model):
    __tablename__ = "role_holdings"

    person_id: Mapped[UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)

    __table_args__ = (Index("ix_role_holdings_unit_id", "unit_id", "role"),)


class PersonGrid(Model):
    """Own grids of a grid worker."""

    __tablename__ = "person_grids"

    person_id: Mapped[UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    grid_code: Mapped[str] = mapped_column(primary_key=True)

    __table_args__ = (Index("ix_person_grids_grid_code", "grid_code"),)


class Terminal(Model):
    __tablename__ = "terminals"

    id: Mapped[str] = mapped_column(primary_key=True)
    """Installation id, made by the phone: ≤ 64 characters."""
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"))
    """Who bound it. On a shared phone others sign in too; their sessions name the terminal."""
    model: Mapped[str | None]
    app_version: Mapped[str | None]
    state: Mapped[str]
    bound_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("length(id) BETWEEN 1 AND 64", name="id_length"),
        CheckConstraint(_one_of("state", "active", "pending", "revoked"), name="state"),
        Index("ix_terminals_person_id", "person_id"),
    )


class Platform(Model):
    __tablename__ = "platforms"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(unique=True)
    """The client id."""
    name: Mapped[str]
    secret_hash: Mapped[str]
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    state: Mapped[str] = mapped_column(default="active")
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(_one_of("state", "active", "disabled"), name="state"),
        Index("ix_platforms_unit_id", "unit_id"),
    )


class LoginSession(Model):
    """One sign-in and all its tokens (the "family")."""

    __tablename__ = "login_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    platform_id: Mapped[UUID | None] = mapped_column(ForeignKey("platforms.id", ondelete="CASCADE"))
    terminal_id: Mapped[str | None] = mapped_column(ForeignKey("terminals.id"))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    """Sign-in or last refresh: not written at every request."""
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("num_nonnulls(person_id, platform_id) = 1", name="one_owner"),
        Index("ix_login_sessions_person_id", "person_id"),
        Index("ix_login_sessions_platform_id", "platform_id"),
        Index("ix_login_sessions_terminal_id", "terminal_id"),
        Index("ix_login_sessions_expires_at", "expires_at"),
    )


class RefreshToken(Model):
    __tablename__ = "refresh_tokens"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_sessions.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_with: Mapped[bytes | None]
    """Digest of the Idempotency-Key of the request that used it; None once replayed."""
    successor: Mapped[bytes | None]
    """Digest of the token that took its place."""

    __table_args__ = (Index("ix_refresh_tokens_session_id", "session_id"),)


class LoginFailure(Model):
    """Wrong passwords, counted by name typed (existing or not) and terminal."""

    __tablename__ = "login_failures"

    account: Mapped[str] = mapped_column(primary_key=True)
    """Keyed digest of the folded name: people type passwords into the wrong field."""
    terminal_id: Mapped[str] = mapped_column(primary_key=True)
    """Empty: no terminal, or one this account has not bound."""
    failures: Mapped[int]
    last_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]

    __table_args__ = (Index("ix_login_failures_last_at", "last_at"),)


class PasswordReset(Model):
    """One-time codes a security officer gives out."""

    __tablename__ = "password_resets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    digest: Mapped[bytes]
    issued_at: Mapped[datetime]
    issued_by: Mapped[UUID | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("person_id", "digest"),)
