"""requests-oauthlib: Basic (raw, not form-encoded) and form body, at both token URLs."""

from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

import task

report = task.Report("requests-oauthlib")
for token_url in task.TOKEN_URLS:
    for in_body in (False, True):
        client = BackendApplicationClient(client_id=task.CLIENT_ID, scope=[task.SCOPE])
        session = OAuth2Session(client=client)
        # Without an explicit choice the library sends Basic; with include_client_id it fills the form.
        token = session.fetch_token(
            token_url=token_url,
            client_secret=task.CLIENT_SECRET,
            **({"include_client_id": True} if in_body else {"client_id": task.CLIENT_ID}),
        )
        report.add(token, session.get(task.READ_URL, headers={"Accept": task.FHIR_JSON}))
report.print()
