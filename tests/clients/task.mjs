// What every JavaScript client of this folder is asked to do: its settings, and the proof that a token works.
import { createRequire } from "node:module";
import { webcrypto } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Debian 12 ships Node 18, where the standard `crypto` is not yet global.
globalThis.crypto ??= webcrypto;

export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const BASE_URL = setting("PMSGATE_BASE_URL");
export const TENANT = setting("PMSGATE_TENANT");
export const CLIENT_ID = setting("PMSGATE_CLIENT_ID");
export const CLIENT_SECRET = process.env.PMSGATE_CLIENT_SECRET; // none where a client has a key
export const SCOPE = setting("PMSGATE_SCOPE");
export const READ_URL = setting("PMSGATE_READ_URL");
export const FHIR_JSON = "application/fhir+json";
setting("NODE_EXTRA_CA_CERTS");

// Loads a library from the folder where the set-up installed it: this folder has no node_modules of its own.
export function library(name) {
  const installed = createRequire(join(setting("PMSGATE_TEST_NODE_MODULES"), "/"));
  return import(pathToFileURL(installed.resolve(name)).href);
}

// Collects what each token was good for and prints the last answer as one line of JSON.
export class Report {
  constructor(client) {
    this.client = client;
    this.last = null;
    this.tokens = 0;
  }

  async add(token, response) {
    const text = await response.text();
    if (response.status !== 200) {
      throw new Error(`${this.client}: read answered ${response.status}: ${text.slice(0, 500)}`);
    }
    if (!response.headers.get("content-type")?.startsWith(FHIR_JSON)) {
      throw new Error(`${this.client}: not FHIR: ${response.headers.get("content-type")}`);
    }
    const body = JSON.parse(text);
    this.tokens += 1;
    this.last = {
      client: this.client,
      token_type: token.token_type,
      status: response.status,
      resourceType: body.resourceType,
      id: body.id,
    };
  }

  print() {
    console.log(JSON.stringify({ ...this.last, tokens: this.tokens }));
  }
}
