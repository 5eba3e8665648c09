// openid-client with DPoP: the token is bound to a key that the library makes, and each call carries a proof.
import * as task from "./task.mjs";

const client = await task.library("openid-client");
const report = new task.Report("openid-client");
const servers = [
  { issuer: task.BASE_URL, algorithm: "oauth2" },
  { issuer: `${task.BASE_URL}/${task.TENANT}/v2.0`, algorithm: "oidc" },
];
for (const { issuer, algorithm } of servers) {
  const method = client.ClientSecretPost(task.CLIENT_SECRET);
  const configuration = await client.discovery(new URL(issuer), task.CLIENT_ID, undefined, method, { algorithm });
  const DPoP = client.getDPoPHandle(configuration, await client.randomDPoPKeyPair("ES256"));
  const token = await client.clientCredentialsGrant(configuration, { scope: task.SCOPE }, { DPoP });
  const url = new URL(task.READ_URL);
  const headers = new Headers({ accept: task.FHIR_JSON });
  const response = await client.fetchProtectedResource(
    configuration, token.access_token, url, "GET", null, headers, { DPoP },
  );
  await report.add(token, response);
  const stolen = await fetch(url, { headers: { authorization: `Bearer ${token.access_token}` } });
  if (stolen.status !== 401) throw new Error(`openid-client: a bound token was taken as Bearer: ${stolen.status}`);
}
report.print();
