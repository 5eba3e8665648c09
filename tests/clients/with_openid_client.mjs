// openid-client: discovery (RFC 8414 at the root, OpenID at the tenant), Basic (everything percent-encoded) and form body.
import * as task from "./task.mjs";

const client = await task.library("openid-client");
const report = new task.Report("openid-client");
const servers = [
  { issuer: task.BASE_URL, algorithm: "oauth2" },
  { issuer: `${task.BASE_URL}/${task.TENANT}/v2.0`, algorithm: "oidc" },
];
for (const { issuer, algorithm } of servers) {
  for (const method of [client.ClientSecretBasic, client.ClientSecretPost]) {
    const configuration = await client.discovery(
      new URL(issuer),
      task.CLIENT_ID,
      undefined,
      method(task.CLIENT_SECRET),
      { algorithm },
    );
    const token = await client.clientCredentialsGrant(configuration, { scope: task.SCOPE });
    const headers = new Headers({ accept: task.FHIR_JSON });
    const response = await client.fetchProtectedResource(
      configuration,
      token.access_token,
      new URL(task.READ_URL),
      "GET",
      null,
      headers,
    );
    await report.add(token, response);
  }
}
report.print();
