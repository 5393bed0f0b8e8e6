"""The web process: routers, error rendering, the layers around every request."""

from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from app.accounts.router import router as accounts
from app.areas.router import router as areas
from app.categories.router import router as categories
from app.core.bodies import BodyLimits
from app.core.http import install_errors
from app.core.middleware import RequestContext
from app.core.resources import Resources
from app.core.settings import MIB
from app.core.sheets import MOST_BYTES
from app.deadlines.router import router as deadlines
from app.evidence.router import router as evidence
from app.incidents.clusters_router import router as clusters
from app.incidents.custody_router import router as custody
from app.incidents.exports_router import router as exports
from app.incidents.lists_router import router as lists
from app.incidents.openings_router import router as openings
from app.incidents.reporting_router import router as reporting
from app.incidents.router import router as incidents
from app.incidents.similar_router import router as similar
from app.incidents.supplements_router import router as supplements
from app.incidents.uploads import router as uploads
from app.media.router import router as media
from app.media.tus_layer import TusLayer
from app.notifications.receipts_router import router as receipts
from app.notifications.router import router as notifications
from app.notifications.router import streams
from app.routing.router import router as routing
from app.routing.rules_router import router as routing_rules
from app.system.docs import docs_router
from app.system.openapi import TITLE, enrich
from app.system.router import router as system
from app.webhooks.callbacks_router import router as callbacks
from app.webhooks.described import describe_webhooks
from app.webhooks.router import router as webhooks

V1: tuple[APIRouter, ...] = (
    reporting,
    supplements,
    similar,
    openings,
    lists,
    exports,
    incidents,
    clusters,
    custody,
    evidence,
    uploads,
    accounts,
    routing,
    routing_rules,
    notifications,
    streams,
    receipts,
    webhooks,
    callbacks,
    media,
    categories,
    deadlines,
    areas,
)

_IMPORT_BYTES = 16 * MIB
_CALLBACK_BYTES = MIB // 4


def create_app(resources: Resources) -> FastAPI:
    """The application on what the process has opened; it opens nothing itself."""
    app = FastAPI(
        title=TITLE,
        version=version("etong"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.state.resources = resources
    for router in V1:
        app.include_router(router, prefix="/v1")
    app.include_router(system)
    app.include_router(docs_router)
    install_errors(app)
    describe_webhooks(app)
    intake = resources.settings.intake
    # bodies that a feature reads as a stream; multipart ones count their own parts
    streamed = {
        "/v1/areas/import": _IMPORT_BYTES,
        "/v1/callbacks": _CALLBACK_BYTES,
        "/v1/categories/import": MOST_BYTES,
        "/v1/incidents/*/attachments": intake.request_bytes,
        "/v1/limits/import": MOST_BYTES,
        "/v1/units/import": MOST_BYTES,
        "/v1/uploads": None,
    }
    app.add_middleware(BodyLimits, most=intake.json_bytes, pace=intake.pace, exceptions=streamed)
    app.add_middleware(RequestContext)
    app.add_middleware(TusLayer, prefix="/v1/uploads")
    enrich(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
