"""The tree of categories and the codes other platforms use for them."""

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Json, Model


class Category(Model):
    """One kind of matter. Rows are switched off, never deleted: old incidents keep theirs."""

    __tablename__ = "categories"

    code: Mapped[str] = mapped_column(primary_key=True)
    """Two digits a level: "02" is a root, "0201" its child."""
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("categories.code"), index=True)
    name: Mapped[str]
    sealed: Mapped[bool] = mapped_column(server_default=false())
    """Content encrypted, reporter hidden from handlers, access logged. Never goes back to false."""
    attributes: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    """What a matter of this kind is asked for, on top of what its ancestors ask for."""
    active: Mapped[bool] = mapped_column(server_default=true())
    position: Mapped[int] = mapped_column(server_default=text("0"))
    """Order among its siblings."""

    __table_args__ = (
        CheckConstraint("code ~ '^([0-9]{2}){1,4}$'", name="code_has_two_digits_a_level"),
        # also what makes a cycle impossible
        CheckConstraint(
            "coalesce(parent_code, '') = left(code, -2)", name="parent_is_one_level_up"
        ),
    )


class CategoryCode(Model):
    """What a category is called in another system: one code a system, each for one category."""

    __tablename__ = "category_codes"

    category_code: Mapped[str] = mapped_column(ForeignKey("categories.code"), primary_key=True)
    system: Mapped[str] = mapped_column(primary_key=True)
    external_code: Mapped[str]

    __table_args__ = (UniqueConstraint("system", "external_code"),)
