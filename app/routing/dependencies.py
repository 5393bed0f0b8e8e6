from typing import Annotated

from fastapi import Depends, Request

from app.accounts.dependencies import TheAreaMap
from app.categories.queries import current_tree
from app.core.http import TheResources, language_of
from app.routing.changing import Catalogues


async def catalogues(request: Request, resources: TheResources, areas: TheAreaMap) -> Catalogues:
    return Catalogues(await current_tree(resources), areas, language_of(request))


TheCatalogues = Annotated[Catalogues, Depends(catalogues)]
