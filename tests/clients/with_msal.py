"""msal: the client that most of the agency's callers use, with a generic authority instead of the agency's tenant."""

import msal
import requests

import task

# Two ways to name an authority that is not Microsoft's: as an OpenID authority, or with instance discovery off.
authorities = [
    {"oidc_authority": f"{task.BASE_URL}/{task.TENANT}/v2.0"},
    {"authority": f"{task.BASE_URL}/{task.TENANT}", "instance_discovery": False},
]
report = task.Report("msal")
for authority in authorities:
    application = msal.ConfidentialClientApplication(
        task.CLIENT_ID, client_credential=task.CLIENT_SECRET, **authority
    )
    token = application.acquire_token_for_client(scopes=[task.SCOPE])
    if "access_token" not in token:
        raise SystemExit(f"msal: {token.get('error')}: {token.get('error_description')}")
    # The second wish is answered from the library's cache, which proves that `expires_in` was understood.
    again = application.acquire_token_for_client(scopes=[task.SCOPE])
    if again.get("token_source") != "cache":
        raise SystemExit("msal: the token was not kept in the cache")
    headers = {"Authorization": f"Bearer {token['access_token']}", "Accept": task.FHIR_JSON}
    report.add(token, requests.get(task.READ_URL, headers=headers, timeout=10))
report.print()
