// simple-oauth2: Basic in both encodings it knows, and form body, at both token URLs.
import * as task from "./task.mjs";

const { ClientCredentials } = (await task.library("simple-oauth2")).default;
const report = new task.Report("simple-oauth2");
const ways = [
  { authorizationMethod: "header", credentialsEncodingMode: "strict" },
  { authorizationMethod: "header", credentialsEncodingMode: "loose" },
  { authorizationMethod: "body" },
];
for (const tokenPath of ["/oauth2/token", `/${task.TENANT}/oauth2/v2.0/token`]) {
  for (const options of ways) {
    const client = new ClientCredentials({
      client: { id: task.CLIENT_ID, secret: task.CLIENT_SECRET },
      auth: { tokenHost: task.BASE_URL, tokenPath },
      options,
    });
    const { token } = await client.getToken({ scope: task.SCOPE });
    const authorization = `Bearer ${token.access_token}`;
    await report.add(
      token,
      await fetch(task.READ_URL, { headers: { authorization, accept: task.FHIR_JSON } }),
    );
  }
}
report.print();
