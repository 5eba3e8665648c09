// openid-client with the certificate of its connections (self_signed_tls_client_auth), at the root issuer and at the
// tenant's: the library says who, Node's TLS proves it.
import { readFileSync } from "node:fs";
import { request as send } from "node:https";
import * as task from "./task.mjs";

const client = await task.library("openid-client");
const [ca, cert, key] = ["NODE_EXTRA_CA_CERTS", "PMSGATE_CLIENT_CERTIFICATE_FILE", "PMSGATE_CLIENT_KEY_FILE"].map((name) =>
  readFileSync(task.setting(name)),
);

// What `fetch` cannot do without another library: requests over connections that show the certificate.
function certified(url, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const options = { method, headers: Object.fromEntries(new Headers(headers)), ca, cert, key };
    const request = send(url, options, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => {
        const fields = Object.entries(answer.headers).map(([name, value]) => [name, [value].flat().join(", ")]);
        resolve(new Response(Buffer.concat(pieces), { status: answer.statusCode, headers: fields }));
      });
    });
    request.on("error", reject);
    request.end(body?.toString());
  });
}

const report = new task.Report("openid-client");
const servers = [
  { issuer: task.BASE_URL, algorithm: "oauth2" },
  { issuer: `${task.BASE_URL}/${task.TENANT}/v2.0`, algorithm: "oidc" },
];
for (const { issuer, algorithm } of servers) {
  const options = { algorithm, [client.customFetch]: certified };
  const configuration = await client.discovery(new URL(issuer), task.CLIENT_ID, undefined, client.TlsClientAuth(), options);
  const server = configuration.serverMetadata();
  if (!server.token_endpoint_auth_methods_supported.includes("self_signed_tls_client_auth"))
    throw new Error(`openid-client: ${server.token_endpoint_auth_methods_supported}`);
  if (!server.tls_client_certificate_bound_access_tokens) throw new Error("openid-client: tokens are bound, nothing says so");
  const token = await client.clientCredentialsGrant(configuration, { scope: task.SCOPE });
  const headers = new Headers({ accept: task.FHIR_JSON });
  const url = new URL(task.READ_URL);
  await report.add(token, await client.fetchProtectedResource(configuration, token.access_token, url, "GET", null, headers));
  const stolen = await fetch(url, { headers: { authorization: `Bearer ${token.access_token}` } });
  if (stolen.status !== 401) throw new Error(`openid-client: a bound token was taken without its certificate: ${stolen.status}`);
}
report.print();
