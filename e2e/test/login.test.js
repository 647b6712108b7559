// What real clients do when their token expires.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { provider } from "../provider.js";
import { post, start, within } from "../server.js";

const issuer = await provider();
const { url, log } = await start(`--oidc-issuer=${issuer.url}`, "--oidc-audience=rollcall", "--oidc-roles-claim=roles");
await within("the provider's keys", (async () => {
  while (!log().includes("told its keys")) await new Promise((resolve) => setTimeout(resolve, 20));
})());

const admin = { Authorization: `Bearer ${issuer.token({ sub: "admin", roles: ["ADMIN"] })}` };
const leeway = 30; // seconds for which an expired token is accepted

test("a request without a token is refused", async () => {
  const response = await post(url, { query: "{ users { totalCount } }" });
  assert.equal(response.status, 401);
  assert.match(response.headers.get("WWW-Authenticate"), /^Bearer realm="rollcall"/);
  assert.equal((await post(url, { query: "{ users { totalCount } }" }, admin)).status, 200);
});

for (const lazy of [true, false]) {
  test(`graphql-ws goes on with a new token when the old one has expired, ${lazy ? "lazy" : "eager"}`, async () => {
    let asked = 0;
    const closed = [];
    let acknowledged;
    const again = new Promise((resolve) => (acknowledged = resolve));
    const client = createClient({
      url: url.replace(/^http/, "ws"),
      webSocketImpl: WebSocket,
      lazy,
      onNonLazyError: (error) => assert.fail(error),
      connectionParams: () => {
        asked++;
        const exp = Math.floor(Date.now() / 1000) + (asked === 1 ? 3 - leeway : 3600);
        return { token: issuer.token({ exp }) };
      },
      on: {
        closed: (event) => closed.push(event.code),
        connected: () => asked === 2 && acknowledged(),
      },
    });
    const events = client.iterate({ query: "subscription { userChanged { user { name } } }" });
    const next = events.next();
    await within("the second connection", again);
    assert.deepEqual([closed[0], asked], [4403, 2]);
    let told = false;
    const first = next.then((event) => ((told = true), event));
    await within("an event of the subscription that goes on", (async () => {
      for (let i = 0; !told; i++) { // until the subscription is there again
        await post(url, { query: `mutation { updateUser(input: {id: "User:42", name: "${lazy} ${i}"}) { user { id } } }` }, admin);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })());
    assert.match((await first).value.data.userChanged.user.name, new RegExp(`^${lazy} `));
    await events.return();
    await client.dispose();
  });
}
