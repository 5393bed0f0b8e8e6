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
from app.areas.models import Area, AreaImport, AreaRevision
from app.categories.models import Category, CategoryCode
from app.core.audit import AuditEntry
from app.core.db import Model
from app.core.events import OutboxRow
from app.core.idempotency import KeptAnswer
from app.core.parking import ParkedReaction
from app.deadlines.models import CalendarDay, Limit, OfficeHours
from app.evidence.models import Anchor, AnchoredLeaf
from app.incidents.kept import DeletedIncident, LegalHold, RetentionPeriod
from app.incidents.list_models import IncidentExport, IncidentWords, Sight
from app.incidents.models import (
    HistoryEntry,
    Incident,
    IncidentMedia,
    IncidentSerial,
    InformedUnit,
    Step,
    Supplement,
)
from app.incidents.opening_models import Clearance, Opening
from app.incidents.relations import IncidentLink, Relation
from app.media.models import Derivative, Examination, MediaFile, Rereading, Upload
from app.notifications.models import Inbox, Notice, OpenStream, Reminder
from app.routing.models import Decision, DryRun, RoutingRule, RuleSet
from app.webhooks.models import (
    Attempt,
    Callback,
    CallbackAdapter,
    CallbackSecret,
    Delivery,
    Endpoint,
)

metadata = Model.metadata
TABLES = (
    Anchor,
    AnchoredLeaf,
    Area,
    AreaImport,
    AreaRevision,
    Attempt,
    AuditEntry,
    CalendarDay,
    Callback,
    CallbackAdapter,
    CallbackSecret,
    Category,
    CategoryCode,
    Clearance,
    Decision,
    DeletedIncident,
    Delivery,
    Derivative,
    DryRun,
    Endpoint,
    Examination,
    FormerPassword,
    HistoryEntry,
    Inbox,
    Incident,
    IncidentLink,
    IncidentMedia,
    IncidentSerial,
    InformedUnit,
    IncidentExport,
    IncidentMedia,
    IncidentSerial,
    IncidentWords,
    KeptAnswer,
    LegalHold,
    Limit,
    LoginFailure,
    LoginSession,
    MediaFile,
    Notice,
    OfficeHours,
    Opening,
    OpenStream,
    OutboxRow,
    ParkedReaction,
    PasswordReset,
    Person,
    PersonGrid,
    Platform,
    RefreshToken,
    Relation,
    Reminder,
    Rereading,
    RetentionPeriod,
    RoleHolding,
    RoutingRule,
    RuleSet,
    Sight,
    Step,
    Supplement,
    Terminal,
    Unit,
    Upload,
)
