"""Readers of FHIR written by others: PyPI fhir.resources (R5 models), and HL7's JSON schema of 5.0.0 with PyPI jsonschema.

Arguments are JSON files; each is a resource of 5.0.0. Prints one line of JSON: how many resources each reader took.
"""

import json
import os
import sys
from pathlib import Path

from fhir.resources import get_fhir_model_class
from jsonschema import Draft6Validator
from referencing import Registry
from referencing.jsonschema import DRAFT6

MODULES = os.environ.get("PMSGATE_TEST_NODE_MODULES") or sys.exit("PMSGATE_TEST_NODE_MODULES is not set")
SCHEMA = json.loads((Path(MODULES) / "hl7.fhir.r5.core" / "openapi" / "fhir.schema.json").read_text())

# "Any resource" is a list of all 157, of which the schema names `resourceType` the discriminator. Plain JSON Schema
# would try one after the other; here every nested resource is taken out and judged by its own definition instead.
SCHEMA["definitions"]["ResourceList"] = {}
REGISTRY = Registry().with_resource("urn:fhir", DRAFT6.create_resource(SCHEMA))
VALIDATORS = {}


def resources(value):
    """A resource and all resources in it."""
    if isinstance(value, dict):
        if "resourceType" in value:
            yield value
        for child in value.values():
            yield from resources(child)
    elif isinstance(value, list):
        for child in value:
            yield from resources(child)


def judge(resource):
    """What HL7's schema has against a resource, resources in it left out."""
    kind = resource["resourceType"]
    if kind not in VALIDATORS:
        if kind not in SCHEMA["discriminator"]["mapping"]:
            return [f"{kind} is no resource type"]
        schema = {"$ref": f"urn:fhir#/definitions/{kind}"}
        VALIDATORS[kind] = Draft6Validator(schema, registry=REGISTRY)
    return [f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in VALIDATORS[kind].iter_errors(resource)]


taken = {"fhir.resources": 0, "hl7.fhir.r5.core": 0}
problems = []
for name in sys.argv[1:]:
    document = json.loads(Path(name).read_text())
    try:
        get_fhir_model_class(document["resourceType"]).model_validate(document)
        taken["fhir.resources"] += 1
    except Exception as error:  # whatever the library raises is what this test is for
        problems.append(f"{name}: fhir.resources: {error}")
    for resource in resources(document):
        complaints = judge(resource)
        problems += [f"{name}: {resource['resourceType']}/{resource.get('id')}: {complaint}" for complaint in complaints]
        taken["hl7.fhir.r5.core"] += 1

if problems:
    sys.exit("\n".join(problems[:40]))
print(json.dumps(taken))
