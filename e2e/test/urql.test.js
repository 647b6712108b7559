import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import { pipe, subscribe } from "wonka";
import WebSocket from "ws";
import { rename, start, within } from "../server.js";

const { url } = await start();
const clientOf = (options = {}) => new Client({ url, exchanges: [cacheExchange, fetchExchange], preferGetMethod: false, ...options });

test("urql runs queries and mutations", async () => {
  const client = clientOf();
  const { data, error } = await client.query(gql`query ($id: ID!) { user(id: $id) { id name } }`, { id: "User:42" }).toPromise();
  assert.equal(error, undefined);
  assert.equal(data.user.name, "Kwame Weber");
  const changed = await client.mutation(gql`mutation { updateUser(input: {id: "User:200", name: "By urql"}) { user { id name } } }`, {}).toPromise();
  assert.equal(changed.data.updateUser.user.name, "By urql");
});

test("urql queries by GET", async () => {
  const { data } = await clientOf({ preferGetMethod: "force" }).query(gql`query ($id: ID!) { user(id: $id) { name } }`, { id: "User:42" }).toPromise();
  assert.equal(data.user.name, "Kwame Weber");
});

test("urql sees errors", async () => {
  const client = clientOf();
  const wrong = await client.query("{ nobody }", {}).toPromise();
  assert.equal(wrong.error.graphQLErrors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  assert.equal(wrong.error.networkError, undefined);
  const partial = await client.query('{ a: user(id: "x") { id } b: user(id: "User:42") { id } }', {}).toPromise();
  assert.equal(partial.error.graphQLErrors[0].extensions.code, "BAD_USER_INPUT");
  assert.equal(partial.data.b.id, "User:42");
});

test("urql is told which version there is, and changes that one", async () => {
  const client = clientOf();
  const query = gql`query ($id: ID!) { user(id: $id) { id title version } }`;
  const update = gql`mutation ($input: UpdateUserInput!) { updateUser(input: $input) { user { id title version } } }`;
  const { user } = (await client.query(query, { id: "User:201" }).toPromise()).data;
  await rename(url, "User:201", "Changed Meanwhile");
  const input = { id: user.id, expectedVersion: user.version, title: "Chief of Staff" };
  const conflict = await client.mutation(update, { input }).toPromise();
  assert.equal(conflict.data, null);
  const { code, field, currentVersion } = conflict.error.graphQLErrors[0].extensions;
  assert.deepEqual([code, field, currentVersion], ["CONFLICT", "input.expectedVersion", user.version + 1]);
  const again = await client.mutation(update, { input: { ...input, expectedVersion: currentVersion } }).toPromise();
  assert.deepEqual(again.data.updateUser.user, { __typename: "User", id: user.id, title: "Chief of Staff", version: currentVersion + 1 });
});

test("urql gets what is deferred in parts", async () => {
  const states = [];
  await within(
    "the last part",
    new Promise((resolve) => {
      pipe(
        clientOf().query('{ user(id: "User:42") { id name ... @defer { manager { id name } } } }', {}, { requestPolicy: "network-only" }),
        subscribe((result) => {
          states.push(structuredClone(result.data));
          if (!result.hasNext) resolve();
        }),
      );
    }),
  );
  assert.ok(states.length > 1, "one part");
  assert.equal(states[0].user.manager, undefined);
  assert.equal(states.at(-1).user.manager.name, "Fatima Haddad");
});

/** firstEvent is the first event of a subscription, while a user is renamed again and again. */
async function firstEvent(client, id) {
  const query = gql`subscription ($ids: [ID!]) { userChanged(ids: $ids) { kind userId user { id name } } }`;
  let event;
  // It is left open: urql's way to end one that fetch has opened is an AbortError that nobody catches.
  const got = new Promise((resolve) => pipe(client.subscription(query, { ids: [id] }), subscribe(resolve)));
  got.then((result) => (event = result));
  for (let i = 0; !event && i < 200; i++) {
    await rename(url, id, `Name ${i}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { data, error } = await within("an event", got);
  assert.equal(error, undefined);
  return data.userChanged;
}

test("urql subscribes by fetch", async () => {
  const event = await firstEvent(clientOf({ fetchSubscriptions: true }), "User:401");
  assert.equal(event.userId, "User:401");
});

test("urql subscribes over a WebSocket", async () => {
  const socket = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket });
  const exchange = subscriptionExchange({
    forwardSubscription: (request) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink) }),
    }),
  });
  const event = await firstEvent(clientOf({ exchanges: [cacheExchange, fetchExchange, exchange] }), "User:402");
  assert.equal(event.userId, "User:402");
  await socket.dispose();
});
