import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { post, rename, start, within } from "../server.js";

const { url } = await start();
const address = url.replace(/^http/, "ws");
const silent = closing("graphql-transport-ws"); // takes 10 s, while other tests run
silent.catch(() => {});
const connect = (options = {}) => createClient({ url: address, webSocketImpl: WebSocket, retryAttempts: 0, ...options });

/** first is the first result of an operation. */
async function first(client, request) {
  const results = client.iterate(request);
  const { value } = await within("a result", results.next());
  await results.return();
  return value;
}

for (const lazy of [true, false]) {
  test(`graphql-ws runs a query and a mutation, ${lazy ? "lazy" : "eager"}`, async () => {
    const client = connect({ lazy, onNonLazyError: (error) => assert.fail(error) });
    assert.deepEqual(await first(client, { query: '{ user(id: "User:42") { name } }' }), {
      data: { user: { name: "Kwame Weber" } },
    });
    const renamed = await first(client, {
      query: "mutation($name: String!) { updateUser(input: {id: \"User:106\", name: $name}) { user { name } } }",
      variables: { name: `lazy ${lazy}` },
    });
    assert.deepEqual(renamed, { data: { updateUser: { user: { name: `lazy ${lazy}` } } } });
    await client.dispose();
  });
}

test("graphql-ws connects at once unless it is lazy", async () => {
  let client;
  await within("the acknowledgement", new Promise((resolve, reject) => {
    client = connect({ lazy: false, onNonLazyError: reject, on: { connected: resolve } });
  }));
  await client.dispose();
});

test("graphql-ws shows the errors of a document that is not valid", async () => {
  const client = connect();
  await assert.rejects(first(client, { query: "{ nobody }" }), (errors) => {
    assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
    return true;
  });
  // The socket goes on.
  assert.deepEqual(await first(client, { query: "{ __typename }" }), { data: { __typename: "Query" } });
  await client.dispose();
});

test("graphql-ws shows errors beside data", async () => {
  const client = connect();
  const result = await first(client, { query: '{ a: user(id: "x") { name } b: user(id: "User:42") { name } }' });
  assert.equal(result.errors[0].extensions.code, "BAD_USER_INPUT");
  assert.deepEqual(result.data, { a: null, b: { name: "Kwame Weber" } });
  await client.dispose();
});

test("graphql-ws gets the events of many subscriptions on one socket", async () => {
  let sockets = 0;
  const client = connect({ on: { opened: () => sockets++ } });
  const watch = (id) => client.iterate({ query: `subscription { userChanged(ids: ["${id}"]) { userId user { name } } }` });
  const ids = ["User:11", "User:12", "User:13"];
  const streams = ids.map(watch);
  const firsts = streams.map((stream) => stream.next());
  // When a query on the socket is answered, the server has the subscriptions that were sent before it.
  await first(client, { query: "{ __typename }" });
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (const id of ids) await rename(url, id, `Now ${id}`);
  for (const [i, id] of ids.entries()) {
    const { value } = await within("an event", firsts[i]);
    assert.deepEqual(value, { data: { userChanged: { userId: id, user: { name: `Now ${id}` } } } });
    await streams[i].return();
  }
  assert.equal(sockets, 1);
  await client.dispose();
});

test("graphql-ws gets what is deferred in parts", async () => {
  const client = connect();
  const results = [];
  for await (const result of client.iterate({ query: '{ user(id: "User:42") { name ... @defer { manager { name } } } }' })) {
    results.push(result);
  }
  assert.ok(results.length > 1);
  assert.deepEqual(results[0].data, { user: { name: "Kwame Weber" } });
  assert.ok(JSON.stringify(results).includes("Fatima Haddad"));
  await client.dispose();
});

/** closing speaks raw frames and returns the code and reason with which the server closes. */
async function closing(protocol, ...messages) {
  const socket = new WebSocket(address, protocol);
  const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve([code, String(reason)])));
  await within("the socket to open", new Promise((resolve) => socket.on("open", resolve)));
  for (const [i, message] of messages.entries()) {
    socket.send(typeof message === "string" ? message : JSON.stringify(message));
    if (message === init && messages[i + 1] === subscribe) { // which comes after connection_ack
      await within("connection_ack", new Promise((resolve) => socket.once("message", resolve)));
    }
  }
  const result = await within("the socket to close", closed);
  return result;
}

const init = { type: "connection_init" };
const subscribe = { id: "1", type: "subscribe", payload: { query: "subscription { userChanged { userId } }" } };
for (const [code, what, messages] of [
  [4400, "no JSON", ["{"]],
  [4400, "an unknown type", [{ type: "nonsense" }]],
  [4401, "an operation before connection_init", [subscribe]],
  [4409, "two operations with one id", [init, subscribe, subscribe]],
  [4429, "two connection_init", [init, init]],
]) {
  test(`a socket is closed with ${code} for ${what}`, async () => {
    const [got, reason] = await closing("graphql-transport-ws", ...messages);
    assert.equal(got, code, reason);
  });
}

test("a socket is closed with 4408 for silence", async () => {
  const [code, reason] = await silent;
  assert.equal(code, 4408, reason);
});

test("a socket without a known subprotocol is closed with 4406", async () => {
  const [code] = await closing([]);
  assert.equal(code, 4406);
});

test("A graphql-ws client that subscribes anew with the last cursor misses nothing and gets nothing twice", async () => {
  const mutate = async (n) => {
    const query = `mutation { updateUser(input: {id: "User:3", name: "Name ${n}"}) { user { id } } }`;
    assert.equal((await (await post(url, { query })).json()).errors, undefined);
  };
  const seen = [];
  let cursor;
  const follow = async (until) => {
    const client = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, retryAttempts: 0, lazy: false });
    const query = `subscription ($after: String) { userChanged(ids: ["User:3"], after: $after) { cursor user { name } version } }`;
    for await (const { data } of client.iterate({ query, variables: { after: cursor } })) {
      seen.push(data.userChanged.version);
      cursor = data.userChanged.cursor;
      if (seen.length === until) break;
    }
    client.terminate(); // as a network does that is gone
  };
  cursor = (await (await post(url, { query: "{ asOf }" })).json()).data.asOf;
  await mutate(1);
  await within("the first event", follow(1));
  await mutate(2);
  await mutate(3);
  await within("what was missed", follow(3));
  assert.deepEqual(seen.map((version) => version - seen[0]), [0, 1, 2]);
});
