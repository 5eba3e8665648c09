"""Reads the FHIR Bundle of AuditEvents on standard input with the `fhir.resources` models of R5."""

import json
import sys

from fhir.resources.auditevent import AuditEvent
from fhir.resources.bundle import Bundle

text = json.load(sys.stdin)
Bundle.model_validate(text)
events = [AuditEvent.model_validate(entry["resource"]) for entry in text["entry"]]
print(json.dumps({"events": len(events), "codes": sorted({event.code.coding[0].code for event in events})}))
