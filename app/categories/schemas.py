"""Categories on the wire."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from app.categories.queries import CategoryNode, CategoryTree
from app.core.fields import Code, Command, Line, View

CategoryCodeText = Annotated[
    str, StringConstraints(min_length=2, max_length=8, pattern=r"^([0-9]{2}){1,4}$")
]
"""Two digits a level; a child's code starts with its parent's."""
AttributeValue = bool | Line | Annotated[list[Line], Field(max_length=32)]
Attributes = Annotated[dict[Code, AttributeValue], Field(max_length=32)]
ExternalCodes = Annotated[dict[Code, Line], Field(max_length=50)]
"""`{system: its code}`."""


class CategoryView(View):
    code: CategoryCodeText
    parent_code: CategoryCodeText | None
    name: Line
    sealed: bool
    """Also true when an ancestor is sealed."""
    attributes: Attributes
    """Its own: `appointment: true`, `scale: [choices]`."""
    effective_attributes: Attributes
    """What a form asks for: its own and those of its ancestors."""
    active: bool
    position: int = Field(ge=0, le=1_000_000)
    external_codes: ExternalCodes

    @classmethod
    def of(cls, tree: CategoryTree, node: CategoryNode) -> Self:
        return cls(
            code=node.code,
            parent_code=node.parent_code,
            name=node.name,
            sealed=tree.is_sealed(node.code),
            attributes=dict(node.attributes),
            effective_attributes=dict(tree.attributes_of(node.code)),
            active=node.active,
            position=node.position,
            external_codes=dict(sorted(node.external_codes.items())),
        )


class CategoryChange(Command):
    name: Line
    active: bool = True
    sealed: bool | None = None
    """True seals it and everything below, for good; left out: as it is, or as its parent is."""
    attributes: Attributes = Field(default_factory=dict)
    position: int = Field(default=0, ge=0, le=1_000_000)
