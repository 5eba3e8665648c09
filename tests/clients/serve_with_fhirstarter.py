"""fhirstarter: a FHIR R5 server of another language and HTTP stack, which tells everything to whoever asks it.

It is empty at first; `PUT` fills it. The framework does the HTTP, checks every resource by its models and writes the
answers; what is searched is looked up here, as in any server made with it. Prints the port that it found free.
"""

import importlib
import inspect
import socket
import sys

import uvicorn
from fastapi import FastAPI
from fhir.resources.bundle import Bundle
from fhirstarter import FHIRProvider, FHIRStarter, InteractionContext
from fhirstarter.exceptions import FHIRResourceNotFoundError

# Type: reference parameters that find it, with the element each looks at.
TYPES = {
    "MedicinalProductDefinition": {"contact": "contact"},
    "RegulatedAuthorization": {"subject": "subject"},
    "PackagedProductDefinition": {"package-for": "packageFor", "contained-item": "packaging"},
    "AdministrableProductDefinition": {"form-of": "formOf"},
    "Ingredient": {"for": "for"},
    "ClinicalUseDefinition": {"subject": "subject"},
    "ManufacturedItemDefinition": {},
    "SubstanceDefinition": {},
    "ActivityDefinition": {},
    "Organization": {},
    "Location": {},
    "DocumentReference": {},
    "PractitionerRole": {},
    "Practitioner": {},
}
KEPT = {name: {} for name in TYPES}
ASKED = []


def references(value):
    """Every literal reference in a part of a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def identified(resource, token):
    """Whether a resource has an identifier: `system|value` or `value`."""
    system, bar, value = token.rpartition("|")
    return any(
        one.get("value") == value and (not bar or one.get("system", "") == system)
        for one in resource.get("identifier", [])
    )


def named(product, start):
    """Whether a name of a product begins so."""
    return any(one["productName"].lower().startswith(start.lower()) for one in product.get("name", []))


# Type: what else finds it.
LOOKED_INTO = {
    "MedicinalProductDefinition": {"name": named, "identifier": identified},
    "Location": {"identifier": identified},
}


def matches(resource, parameter, text, element):
    """Whether a resource has one of the values asked for."""
    alternatives = text.split(",")
    if parameter == "_id":
        return resource["id"] in alternatives
    if element:
        return any(target in alternatives for target in references(resource.get(element)))
    look = LOOKED_INTO[resource["resourceType"]][parameter]
    return any(look(resource, one) for one in alternatives)


def searching(name):
    """A search of one type, with the parameters that it takes in its signature, as the framework wants them."""
    links = TYPES[name]
    parameters = ["_id", *links, *LOOKED_INTO.get(name, ())]
    # A name of Python ends in an underscore where it is a word of the language.
    variables = {p.replace("-", "_") + ("_" if p == "for" else ""): p for p in parameters}

    async def search(context: InteractionContext, **given) -> Bundle:
        query = context.request.query_params
        ASKED.append(dict(context.request.headers))
        found = list(KEPT[name].values())
        for variable, text in given.items():
            parameter = variables[variable]
            if text is not None:
                found = [one for one in found if matches(one, parameter, text, links.get(parameter))]
        found.sort(key=lambda one: one["id"])
        count, start = int(query.get("_count", 20)), int(query.get("_start", 0))
        link = [{"relation": "self", "url": str(context.request.url)}]
        if start + count < len(found):
            following = context.request.url.include_query_params(_start=start + count)
            link.append({"relation": "next", "url": str(following)})
        entry = [
            {"fullUrl": f"{context.request.base_url}{name}/{one['id']}", "resource": one, "search": {"mode": "match"}}
            for one in found[start : start + count]
        ]
        return Bundle.model_validate(
            {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": link, "entry": entry}
        )

    def keyword(variable):
        return inspect.Parameter(variable, inspect.Parameter.KEYWORD_ONLY, annotation=str, default=None)

    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=InteractionContext
    )
    search.__signature__ = inspect.Signature([context, *map(keyword, variables)])
    return search


def provide(provider, name):
    """Read, update and search of one type."""
    model = getattr(importlib.import_module(f"fhir.resources.{name.lower()}"), name)

    async def read(context: InteractionContext, id_: str) -> model:
        if id_ not in KEPT[name]:
            raise FHIRResourceNotFoundError
        return model.model_validate(KEPT[name][id_])

    async def update(context: InteractionContext, id_: str, resource: model) -> str:
        KEPT[name][id_] = await context.request.json()
        return id_

    provider.read(model)(read)
    provider.update(model)(update)
    provider.search_type(model)(searching(name))


starter = FHIRStarter(title="Partner")
provider = FHIRProvider()
for type_name in TYPES:
    provide(provider, type_name)
starter.add_providers(provider)
outer = FastAPI()


@outer.get("/asked")
async def asked():
    """The headers of every search, for the test that looks at what reached this server."""
    return ASKED


outer.mount("/fhir", starter)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1])
sys.stdout.flush()
uvicorn.Server(uvicorn.Config(outer, log_level="warning")).run(sockets=[listener])
