//! Ready-made settings and programs for a client: to be copied, and tested as they are.

use crate::mail::credentials::{CA_FILE, Particulars};

/// Settings as environment variables: the first API that the client may call, and the others in its place.
pub(crate) fn settings(client: &Particulars) -> String {
    let line = |(at, (title, url)): (usize, &(String, String))| {
        let instead = if at == 0 { "" } else { "# " };
        format!("# {title}\n{instead}PMS_BASE_URL={url}\n")
    };
    let apis: Vec<String> = client.apis.iter().enumerate().map(line).collect();
    format!(
        "PMS_TOKEN_URL={}\nPMS_CLIENT_ID={}\nPMS_CLIENT_SECRET=\nPMS_SCOPE={}\n{}",
        client.token_url,
        client.client_id,
        client.scope,
        apis.concat()
    )
}

/// Where the file comes from by which programs know a development server.
fn trusting(client: &Particulars) -> String {
    if client.development_certificate {
        format!(
            "# {CA_FILE}: tls/{CA_FILE} of the server's data folder, for it made its certificate itself\n"
        )
    } else {
        String::new()
    }
}

/// A first call with curl.
pub(crate) fn curl(client: &Particulars) -> String {
    let token = client.curl();
    let Some((_, base)) = client.apis.first() else { return token };
    format!(
        "{}{token}\n\n# with the access_token of that answer:\n\
         {} -H \"Authorization: Bearer $TOKEN\" '{base}/MedicinalProductDefinition?_count=1'\n",
        trusting(client),
        client.curl_command()
    )
}

/// The same in Python.
pub(crate) fn python(client: &Particulars) -> String {
    let base = client.apis.first().map_or("", |(_, url)| url.as_str());
    let verify =
        if client.development_certificate { format!(", verify=\"{CA_FILE}\"") } else { String::new() };
    format!(
        "{trusting}import os\n\
         import requests\n\n\
         answer = requests.post(\n    \"{token_url}\",\n    data={{\n        \"grant_type\": \"client_credentials\",\n        \
         \"client_id\": \"{client_id}\",\n        \"client_secret\": os.environ[\"PMS_CLIENT_SECRET\"],\n        \
         \"scope\": \"{scope}\",\n    }},\n    timeout=30{verify},\n)\n\
         answer.raise_for_status()\n\
         headers = {{\"Authorization\": \"Bearer \" + answer.json()[\"access_token\"]}}\n\
         products = requests.get(\"{base}/MedicinalProductDefinition\", params={{\"_count\": 1}}, headers=headers, timeout=30{verify})\n\
         print(products.json())\n",
        trusting = trusting(client),
        token_url = client.token_url,
        client_id = client.client_id,
        scope = client.scope,
    )
}

/// A shell script that gives the client a new secret with its own token, for cron or a pipeline. The secret stands in a
/// file and never on a command line. When anything fails the file stays as it is, and the old secret works.
pub(crate) fn rotation(client: &Particulars) -> String {
    let trust = if client.development_certificate {
        format!("{}export CURL_CA_BUNDLE=\"${{CURL_CA_BUNDLE:-{CA_FILE}}}\"\n", trusting(client))
    } else {
        String::new()
    };
    format!(
        "#!/bin/sh\n\
         # For cron, every quarter: 0 3 1 */3 * /usr/local/bin/rotate-pms-secret /etc/pms/client_secret\n\
         set -eu\n\
         umask 077\n\
         {trust}\
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::credentials::tests::particulars;

    #[test]
    fn each_setting_stands_once_and_other_apis_in_comments() {
        let text = settings(&particulars());
        let names: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        let wanted = ["PMS_TOKEN_URL", "PMS_CLIENT_ID", "PMS_CLIENT_SECRET", "PMS_SCOPE", "PMS_BASE_URL"];
        assert_eq!(names, wanted, "{text}");
        assert!(text.contains("# PMS_BASE_URL=https://x.example/pms/api/v5-alpha\n"), "{text}");
    }

    #[test]
    fn programs_are_told_whom_to_trust_where_they_cannot_know() {
        let known = particulars();
        let unknown = Particulars { development_certificate: true, ..particulars() };
        for (snippet, words) in [
            (curl as fn(&Particulars) -> String, "curl --cacert ca.pem -"),
            (python, "verify=\"ca.pem\""),
            (rotation, "export CURL_CA_BUNDLE=\"${CURL_CA_BUNDLE:-ca.pem}\"\n"),
        ] {
            assert!(snippet(&unknown).contains(words), "{}", snippet(&unknown));
            assert!(!snippet(&known).contains("ca.pem"), "{}", snippet(&known));
        }
        assert_eq!(curl(&unknown).matches("--cacert ca.pem").count(), 2);
        assert_eq!(python(&unknown).matches("verify=").count(), 2);
    }
}
