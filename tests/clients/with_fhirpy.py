"""fhirpy: a FHIR client that reads a search to its last page by following links, and products by their ids."""

import os
import sys

import requests
from fhirpy import SyncFHIRClient


def setting(name):
    """A setting from the environment; an absent one is an error that names it."""
    return os.environ.get(name) or sys.exit(f"{name} is not set")


base_url = setting("PMSGATE_BASE_URL")
form = {
    "grant_type": "client_credentials",
    "client_id": setting("PMSGATE_CLIENT_ID"),
    "client_secret": setting("PMSGATE_CLIENT_SECRET"),
    "scope": setting("PMSGATE_SCOPE"),
}
setting("REQUESTS_CA_BUNDLE")
token = requests.post(f"{base_url}/oauth2/token", data=form, timeout=10).json()

client = SyncFHIRClient(
    base_url + setting("PMSGATE_BASE_PATH"),
    authorization=f"Bearer {token['access_token']}",
    extra_headers={"Accept": "application/fhir+json"},
)
# Pages of seven, so that there are several.
products = client.resources("MedicinalProductDefinition").limit(7)
found = products.fetch_all()
ids = {product.id for product in found}
# Where the gateway filters, nothing is counted: hidden products would be told.
total = products.fetch_raw().get("total", len(ids))
if not (len(found) == len(ids) == total > 14):
    sys.exit(f"fhirpy: {len(found)} products, {len(ids)} of them different, {total} counted")

for product in found[:3]:
    again = client.reference("MedicinalProductDefinition", product.id).to_resource()
    if again.serialize() != product.serialize():
        sys.exit("fhirpy: read and search differ")
first = found[0]
everything = client.execute(f"MedicinalProductDefinition/{first.id}/$everything", method="get")
if first.id not in {entry["resource"]["id"] for entry in everything["entry"]}:
    sys.exit("fhirpy: $everything has not the product itself")
print(f'{{"client": "fhirpy", "products": {total}}}')
