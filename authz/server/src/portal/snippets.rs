//! Ready-made settings and programs for a client: to be copied, and tested as they are.

use crate::mail::credentials::Particulars;

/// Settings as environment variables.
pub(crate) fn settings(client: &Particulars) -> String {
    let apis: Vec<String> =
        client.apis.iter().map(|(title, url)| format!("# {title}\nPMS_BASE_URL={url}\n")).collect();
    format!(
        "PMS_TOKEN_URL={}\nPMS_CLIENT_ID={}\nPMS_CLIENT_SECRET=\nPMS_SCOPE={}\n{}",
        client.token_url,
        client.client_id,
        client.scope,
        apis.concat()
    )
}

/// A first call with curl.
pub(crate) fn curl(client: &Particulars) -> String {
    let token = client.curl();
    let Some((_, base)) = client.apis.first() else { return token };
    format!(
        "{token}\n\n# with the access_token of that answer:\n\
         curl -H \"Authorization: Bearer $TOKEN\" '{base}/MedicinalProductDefinition?_count=1'\n"
    )
}

/// The same in Python.
pub(crate) fn python(client: &Particulars) -> String {
    let base = client.apis.first().map_or("", |(_, url)| url.as_str());
    format!(
        "import os\n\
         import requests\n\n\
         answer = requests.post(\n    \"{token_url}\",\n    data={{\n        \"grant_type\": \"client_credentials\",\n        \
         \"client_id\": \"{client_id}\",\n        \"client_secret\": os.environ[\"PMS_CLIENT_SECRET\"],\n        \
         \"scope\": \"{scope}\",\n    }},\n    timeout=30,\n)\n\
         answer.raise_for_status()\n\
         headers = {{\"Authorization\": \"Bearer \" + answer.json()[\"access_token\"]}}\n\
         products = requests.get(\"{base}/MedicinalProductDefinition\", params={{\"_count\": 1}}, headers=headers, timeout=30)\n\
         print(products.json())\n",
        token_url = client.token_url,
        client_id = client.client_id,
        scope = client.scope,
    )
}

/// A shell script that gives the client a new secret with its own token, for cron or a pipeline. The secret stands in a
/// file and never on a command line. When anything fails the file stays as it is, and the old secret works.
pub(crate) fn rotation(client: &Particulars) -> String {
    format!(
        "#!/bin/sh\n\
         # For cron, every quarter: 0 3 1 */3 * /usr/local/bin/rotate-pms-secret /etc/pms/client_secret\n\
         set -eu\n\
         umask 077\n\
         FILE=$1\n\
         value() {{ sed -n 's/.*\"'\"$1\"'\":\"\\([^\"]*\\)\".*/\\1/p' \"$2\" | tr -d '\\n'; }}\n\
         curl -fsS -X POST {token_url} -o \"$FILE.answer\" -d grant_type=client_credentials -d client_id={client_id} \
         --data-urlencode \"client_secret@$FILE\" -d scope=client.rotate\n\
         printf 'Authorization: Bearer %s\\n' \"$(value access_token \"$FILE.answer\")\" > \"$FILE.header\"\n\
         curl -fsS -X POST {base_url}/api/v1/client/secrets -o \"$FILE.answer\" -H \"@$FILE.header\"\n\
         value client_secret \"$FILE.answer\" > \"$FILE.new\"\n\
         test -s \"$FILE.new\"\n\
         mv \"$FILE.new\" \"$FILE\"\n\
         rm \"$FILE.answer\" \"$FILE.header\"\n",
        token_url = client.token_url,
        client_id = client.client_id,
        base_url = client.base_url,
    )
}
