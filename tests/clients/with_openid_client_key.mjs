// openid-client with a private key (private_key_jwt), at the root issuer and at the tenant's.
import { readFileSync } from "node:fs";
import { createPrivateKey } from "node:crypto";
import * as task from "./task.mjs";

const client = await task.library("openid-client");
const pem = readFileSync(task.setting("PMSGATE_CLIENT_KEY_FILE"));
const kid = task.setting("PMSGATE_CLIENT_KEY_ID");
const pkcs8 = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
const report = new task.Report("openid-client");
const servers = [
  { issuer: task.BASE_URL, algorithm: "oauth2" },
  { issuer: `${task.BASE_URL}/${task.TENANT}/v2.0`, algorithm: "oidc" },
];
for (const { issuer, algorithm } of servers) {
  for (const name of ["RSASSA-PKCS1-v1_5", "RSA-PSS"]) {
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name, hash: "SHA-256" }, false, ["sign"]);
    const method = client.PrivateKeyJwt({ key, kid });
    const configuration = await client.discovery(new URL(issuer), task.CLIENT_ID, undefined, method, { algorithm });
    const supported = configuration.serverMetadata().token_endpoint_auth_methods_supported;
    if (!supported.includes("private_key_jwt")) throw new Error(`openid-client: ${supported}`);
    const token = await client.clientCredentialsGrant(configuration, { scope: task.SCOPE });
    const headers = new Headers({ accept: task.FHIR_JSON });
    const url = new URL(task.READ_URL);
    const response = await client.fetchProtectedResource(configuration, token.access_token, url, "GET", null, headers);
    await report.add(token, response);
  }
}
report.print();
