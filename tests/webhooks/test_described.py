"""W18: what the contract says of the messages we send is what we send."""

from pathlib import Path

import orjson

from app.reactions import REACTIONS
from app.webhooks.payloads import TYPES, EndpointMessage, IncidentMessage, RefusalMessage
from app.webhooks.reactions import queue_deliveries

CONTRACT = Path(__file__).parents[2] / "mobile_contract" / "openapi.json"
MESSAGES = {shape.__name__: shape for shape in (IncidentMessage, EndpointMessage, RefusalMessage)}


def test_w18_every_type_has_its_schema_and_an_example_that_fits_it() -> None:
    document = orjson.loads(CONTRACT.read_bytes())
    webhooks = document["webhooks"]
    assert set(webhooks) == set(TYPES)
    for name, item in webhooks.items():
        content = item["post"]["requestBody"]["content"]["application/json"]
        schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
        assert name in str(schema["properties"]["type"])
        shape = MESSAGES[content["schema"]["$ref"].rsplit("/", 1)[1]]
        told = shape.model_validate(content["example"])
        assert told.type == name


def test_w18_every_event_that_is_sent_is_described_and_nothing_else() -> None:
    sent = {event.name for event, after in REACTIONS.items() if queue_deliveries in after}
    assert sent | {"webhook.ping"} == set(TYPES)
