// Access tokens of a provider that is somebody else's program, and of those who would like to have some.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { hostileTokens, jws, privateKey } from "../hostile.js";
import { newKey, provider } from "../provider.js";
import { post, rename, start, within } from "../server.js";

const audience = "https://rollcall.example";
const rsa = await newKey("RS256", "first");
const ec = await newKey("ES256", "second");
const op = await provider({ keys: [rsa, ec] });
const stranger = await provider({ keys: [await newKey("RS256", "first")] });
const flags = [`--oidc-issuer=${op.issuer}`, `--oidc-audience=${audience}`, "--oidc-roles-claim=realm.roles", "--role-name=ADMIN=directory-admins"];
const server = await start(...flags);
const leeway = 30; // s for which the server accepts a token that has expired

const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const ask = (token, url = server.url) => post(url, { query: '{ user(id: "User:42") { name } }' }, bearer(token));

/** accepted fails unless a token lets a query be answered. */
async function accepted(token, url) {
  const response = await ask(token, url);
  assert.deepEqual([response.status, await response.json()], [200, { data: { user: { name: "Kwame Weber" } } }]);
}

/** refused fails unless a token is refused for a reason, as RFC 6750 has it, and nothing is answered. */
async function refused(token, reason) {
  const response = await ask(token);
  const body = await response.text();
  assert.equal(response.status, 401, body);
  assert.equal(response.headers.get("WWW-Authenticate"), `Bearer realm="rollcall", error="invalid_token", error_description="${reason}"`);
  const { data, errors } = JSON.parse(body);
  assert.deepEqual([data ?? null, errors.map(({ message, extensions }) => [message, extensions.code])], [null, [[reason, "UNAUTHENTICATED"]]]);
}

/** eventually repeats something that fails until it does not. */
async function eventually(run) {
  for (const end = Date.now() + 20_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    try {
      return await run();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

test("the provider's tokens for this server are accepted", async () => {
  const token = await op.token(audience, { sub: "ada" });
  await eventually(() => accepted(token)); // the server may still be asking for keys
  await accepted(await op.token(audience, { sub: "ada", aud: ["https://other.example", audience] }));
});

test("who has no token is asked for one", async () => {
  const response = await post(server.url, { query: "{ __typename }" });
  assert.deepEqual([response.status, response.headers.get("WWW-Authenticate")], [401, 'Bearer realm="rollcall"']);
});

test("the provider's tokens for others are refused, and another provider's for this server", async () => {
  await refused(await op.token("https://other.example"), "the token is for another audience");
  await refused(await stranger.token(audience), "the token is of an issuer that is not trusted here");
  await refused(await stranger.token(audience, { iss: op.issuer }), "the token's signature is wrong"); // by a key with the same kid
});

const hostile = await hostileTokens({ issuer: op.issuer, audience, rsa, ec, elsewhere: stranger.issuer });
const askedBefore = stranger.asked.length;
const names = [];
for (const [reason, tokens] of Object.entries(hostile)) {
  for (const [name, token] of Object.entries(tokens)) {
    names.push([name, token]);
    test(`refused: ${name}`, () => refused(token, reason));
  }
}

test("what hostile tokens are made of is accepted, nobody whom they name was asked, and none is in the log", async () => {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: op.issuer, sub: "ada", aud: audience, iat: now, exp: now + 600, scope: "directory", client_id: "machine" };
  await accepted(jws({ alg: "RS256", typ: "at+jwt", kid: "first" }, claims, privateKey(rsa)));
  await accepted(jws({ alg: "PS256", typ: "at+jwt", kid: "first" }, claims, privateKey(rsa)));
  await accepted(jws({ alg: "ES256", typ: "at+jwt", kid: "second" }, claims, privateKey(ec)));
  assert.ok(names.length >= 80, `there are ${names.length}`);
  assert.deepEqual(stranger.asked.slice(askedBefore).filter((path) => path !== "/token"), []);
  for (const [name, token] of names) {
    for (const part of token.split(".")) assert.ok(part.length < 8 || !server.log().includes(part), `${name}: ${part}`);
  }
});

test("hostile tokens open no WebSocket, and a good one does", async () => {
  const code = (token) => within("the end of the socket", new Promise((resolve) => {
    const socket = new WebSocket(server.url.replace(/^http/, "ws"), "graphql-transport-ws");
    socket.on("open", () => socket.send(JSON.stringify({ type: "connection_init", payload: bearer(token) })));
    socket.on("message", () => socket.close(4999)); // the acknowledgement
    socket.on("close", resolve);
  }));
  assert.equal(await code(await op.token(audience)), 4999);
  for (const [name, token] of names) assert.equal(await code(token), 4403, name);
});

test("roles come from the claim that the flags name, by the names that they give", async () => {
  const statuses = async (claims) => {
    const headers = bearer(await op.token(audience, claims));
    return Promise.all(["scim/v2/Users?count=1", "metrics"].map(async (path) => (await fetch(server.page + path, { headers })).status));
  };
  for (const [claims, ...expected] of [ // EDITOR may use SCIM, ADMIN may see the metrics
    [{}, 403, 403],
    [{ realm: { roles: ["nobody", "VIEWER"] } }, 403, 403],
    [{ realm: { roles: ["VIEWER", "EDITOR"] } }, 200, 403],
    [{ realm: { roles: "directory-admins" } }, 200, 200],
    [{ realm: { roles: ["ADMIN"] } }, 403, 403], // which has another name at this provider
    [{ roles: ["directory-admins"], realm: [{ roles: ["directory-admins"] }] }, 403, 403],
  ]) {
    assert.deepEqual(await statuses(claims), expected, JSON.stringify(claims));
  }
});

/** ending is a token that the server accepts for a few seconds more. */
const ending = () => op.token(audience, { exp: Math.floor(Date.now() / 1000) - leeway + 3 });

for (const lazy of [true, false]) {
  test(`a WebSocket is closed with 4403 when its token ends, and graphql-ws goes on with another, ${lazy ? "lazy" : "eager"}`, async () => {
    const tokens = [];
    const closed = [];
    const client = createClient({
      url: server.url.replace(/^http/, "ws"),
      webSocketImpl: WebSocket,
      lazy,
      onNonLazyError: (error) => assert.fail(error),
      retryWait: async () => {},
      connectionParams: async () => {
        tokens.push(await (tokens.length === 0 ? ending() : op.token(audience)));
        return lazy ? bearer(tokens.at(-1)) : { token: tokens.at(-1) };
      },
      on: { closed: ({ code, reason }) => closed.push([code, reason]) },
    });
    const editor = bearer(await op.token(audience, { realm: { roles: ["EDITOR"] } }));
    const events = client.iterate({ query: 'subscription { userChanged(ids: ["User:60"]) { user { name } } }' });
    const first = events.next();
    await eventually(async () => assert.deepEqual(closed, [[4403, "the token has expired"]]));
    let renamed = 0;
    const renaming = setInterval(() => rename(server.url, "User:60", `${lazy} ${renamed++}`, editor), 100); // until the subscription is there again
    const { value } = await within("an event after that", first).finally(() => clearInterval(renaming));
    assert.match(value.data.userChanged.user.name, new RegExp(`^${lazy} `));
    assert.equal(tokens.length, 2);
    await client.dispose();
  });
}

test("a stream of server-sent events ends with an error when its token ends", async () => {
  const response = await fetch(server.url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream", ...bearer(await ending()) },
    body: JSON.stringify({ query: "subscription { userChanged { userId } }" }),
  });
  assert.equal(response.status, 200);
  const text = await within("the stream's end", response.text());
  const events = text.split("\n\n").map((event) => /^event: (\w+)\n(?:id: .*\n)?data: ?(.*)$/s.exec(event)).filter(Boolean);
  const [[, , error], [, last]] = events.slice(-2);
  assert.equal(last, "complete");
  assert.deepEqual(JSON.parse(error).errors.map(({ message, extensions }) => [message, extensions.code]), [["the token has expired", "UNAUTHENTICATED"]]);
});

test("a key that the provider signs with from now on is accepted, and one that it has withdrawn is not", async () => {
  const old = await op.token(audience);
  await accepted(old);
  const third = await newKey("RS256", "third");
  op.rotate(third, rsa, ec);
  await eventually(async () => accepted(await op.token(audience))); // the server asks for keys every 5 s at most
  await accepted(old);
  op.rotate(await newKey("RS256", "fourth"));
  await eventually(async () => accepted(await op.token(audience)));
  await refused(old, "the token is signed with a key that its issuer does not publish");
});

test("while the provider does not answer, tokens by known keys are accepted", async () => {
  const [before, after] = [await op.token(audience), await op.token(audience)];
  await accepted(before);
  await op.stop();
  await accepted(before);
  await accepted(after); // which the server sees now for the first time
  await refused(names[0][1], Object.keys(hostile)[0]);
  await op.start();
});

test("a server that starts while the provider does not answer says so until it does", async () => {
  const token = await op.token(audience);
  await op.stop();
  const early = await start(...flags);
  const response = await ask(token, early.url);
  assert.deepEqual([response.status, response.headers.get("Retry-After")], [503, "1"]);
  assert.equal((await response.json()).errors[0].extensions.code, "ISSUER_UNAVAILABLE");
  await op.start();
  await eventually(() => accepted(token, early.url));
});
