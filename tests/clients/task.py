"""What every Python client of this folder is asked to do: its settings, and the proof that a token works."""

import json
import os


def setting(name):
    """A setting from the environment; an absent one is an error that names it."""
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"{name} is not set")
    return value


BASE_URL = setting("PMSGATE_BASE_URL")
TENANT = setting("PMSGATE_TENANT")
CLIENT_ID = setting("PMSGATE_CLIENT_ID")
CLIENT_SECRET = os.environ.get("PMSGATE_CLIENT_SECRET")  # none where a client has a key
SCOPE = setting("PMSGATE_SCOPE")
READ_URL = setting("PMSGATE_READ_URL")
setting("REQUESTS_CA_BUNDLE")

TOKEN_URLS = [f"{BASE_URL}/oauth2/token", f"{BASE_URL}/{TENANT}/oauth2/v2.0/token"]
FHIR_JSON = "application/fhir+json"


class Report:
    """Collects what each token was good for and prints the last answer as one line of JSON."""

    def __init__(self, client):
        self.client = client
        self.last = None
        self.tokens = 0

    def add(self, token, response):
        """Takes a token answer and the answer to the read that used it."""
        body = response.json()
        if response.status_code != 200:
            raise SystemExit(f"{self.client}: read answered {response.status_code}: {response.text[:500]}")
        if not response.headers["Content-Type"].startswith(FHIR_JSON):
            raise SystemExit(f"{self.client}: not FHIR: {response.headers['Content-Type']}")
        self.tokens += 1
        self.last = {
            "client": self.client,
            "token_type": token["token_type"],
            "status": response.status_code,
            "resourceType": body["resourceType"],
            "id": body["id"],
        }

    def print(self):
        """One line of JSON on standard output."""
        print(json.dumps({**self.last, "tokens": self.tokens}))
