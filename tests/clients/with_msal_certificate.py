"""msal with a certificate in place of a secret: by its SHA-256 thumbprint (PS256), and as older programs do by SHA-1."""

import hashlib
from pathlib import Path

import msal
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import task

private_key = Path(task.setting("PMSGATE_CLIENT_KEY_FILE")).read_text()
certificate = Path(task.setting("PMSGATE_CLIENT_CERTIFICATE_FILE")).read_text()
der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
credentials = [
    {"private_key": private_key, "public_certificate": certificate},
    {"private_key": private_key, "thumbprint": hashlib.sha1(der).hexdigest()},
]
report = task.Report("msal")
for credential in credentials:
    application = msal.ConfidentialClientApplication(
        task.CLIENT_ID,
        client_credential=credential,
        oidc_authority=f"{task.BASE_URL}/{task.TENANT}/v2.0",
    )
    token = application.acquire_token_for_client(scopes=[task.SCOPE])
    if "access_token" not in token:
        raise SystemExit(f"msal: {token.get('error')}: {token.get('error_description')}")
    headers = {"Authorization": f"Bearer {token['access_token']}", "Accept": task.FHIR_JSON}
    report.add(token, requests.get(task.READ_URL, headers=headers, timeout=10))
report.print()
