"""Authlib with a private key (private_key_jwt): at both token URLs, with the algorithms of an RSA key."""

import time
from pathlib import Path

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

import task

private_key = Path(task.setting("PMSGATE_CLIENT_KEY_FILE")).read_text()
kid = task.setting("PMSGATE_CLIENT_KEY_ID")
report = task.Report("Authlib")
for token_url in task.TOKEN_URLS:
    for algorithm in ("RS256", "RS384", "PS256"):
        session = OAuth2Session(
            task.CLIENT_ID, private_key, scope=task.SCOPE, token_endpoint_auth_method="private_key_jwt"
        )
        # The library would write an hour.
        claims = {"exp": int(time.time()) + 60}
        method = PrivateKeyJWT(token_url, claims=claims, headers={"kid": kid}, alg=algorithm)
        session.register_client_auth_method(method)
        token = session.fetch_token(token_url, grant_type="client_credentials")
        report.add(token, session.get(task.READ_URL, headers={"Accept": task.FHIR_JSON}))
report.print()
