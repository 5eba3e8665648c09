"""Authlib: Basic and form body at both token URLs; its JOSE library checks the token against the published keys."""

import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

import task

metadata = requests.get(f"{task.BASE_URL}/.well-known/oauth-authorization-server", timeout=10).json()
keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())

report = task.Report("Authlib")
for token_url in [metadata["token_endpoint"], *task.TOKEN_URLS]:
    for method in ("client_secret_basic", "client_secret_post"):
        session = OAuth2Session(
            task.CLIENT_ID,
            task.CLIENT_SECRET,
            scope=task.SCOPE,
            token_endpoint_auth_method=method,
        )
        token = session.fetch_token(token_url, grant_type="client_credentials")
        algorithms = ["ES256", "RS256", "EdDSA"]
        decoded = jwt.decode(token["access_token"], keys, algorithms=algorithms)
        if decoded.header["typ"] != "at+jwt" or decoded.claims["client_id"] != task.CLIENT_ID:
            raise SystemExit(f"Authlib: not our access token: {decoded.header} {decoded.claims}")
        report.add(token, session.get(task.READ_URL, headers={"Accept": task.FHIR_JSON}))
report.print()
