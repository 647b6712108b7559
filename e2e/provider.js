// An OpenID provider for tests.
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { after } from "node:test";

/**
 * provider serves an OpenID provider's keys until the end of the tests of a file.
 * @returns {Promise<{url: string, token: (claims: Record<string, unknown>) => string}>} token makes an access token, for the audience "rollcall".
 */
export async function provider() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const server = createServer((request, response) => {
    const documents = {
      "/.well-known/openid-configuration": { issuer: url, jwks_uri: `${url}/keys` },
      "/keys": { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "ES256" }] },
    };
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(documents[request.url] ?? {}));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}`;
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = (claims) => {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: url, sub: "ann", aud: "rollcall", iat: now, exp: now + 3600, scope: "openid", ...claims };
    const text = `${encode({ alg: "ES256", kid: "one", typ: "at+jwt" })}.${encode(all)}`;
    return `${text}.${sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  return { url, token };
}
