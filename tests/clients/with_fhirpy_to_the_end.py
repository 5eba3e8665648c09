"""fhirpy: a FHIR client that reads a search which counts nothing to its last page, and each product by its id."""

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
# Pages of four, so that there are several.
found = client.resources("MedicinalProductDefinition").limit(4).fetch_all()
ids = {product.id for product in found}
if not len(found) == len(ids) > 8:
    sys.exit(f"fhirpy: {len(found)} products, {len(ids)} of them different")
for product in found[:3]:
    again = client.reference("MedicinalProductDefinition", product.id).to_resource()
    if again.serialize() != product.serialize():
        sys.exit("fhirpy: read and search differ")
print(f'{{"client": "fhirpy", "products": {len(found)}}}')
