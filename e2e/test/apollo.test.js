import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { Defer20220824Handler } from "@apollo/client/incremental";
import { BatchHttpLink } from "@apollo/client/link/batch-http";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { RetryLink } from "@apollo/client/link/retry";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { rename, start, within } from "../server.js";

const { url, log } = await start("--echo");

/** recording is fetch that keeps what was sent. */
function recording() {
  const requests = [];
  const send = async (uri, options) => {
    const response = await fetch(uri, options);
    requests.push({ uri: String(uri), method: options.method, body: options.body, status: response.status });
    return response;
  };
  return { requests, send };
}

const clientOf = (link, options = {}) =>
  new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: "no-cache" } }, ...options });

const user = gql`query User($id: ID!) { user(id: $id) { id name manager { id name } } }`;

test("Apollo's HttpLink runs queries and mutations", async () => {
  const client = clientOf(new HttpLink({ uri: url }));
  const { data } = await client.query({ query: user, variables: { id: "User:42" } });
  assert.equal(data.user.name, "Kwame Weber");
  const changed = await client.mutate({
    mutation: gql`mutation { updateUser(input: {id: "User:200", name: "By Apollo"}) { user { id name } } }`,
  });
  assert.equal(changed.data.updateUser.user.name, "By Apollo");
});

test("Apollo sees an error's code, and the data beside it with errorPolicy all", async () => {
  const client = clientOf(new HttpLink({ uri: url }));
  const query = gql`{ a: user(id: "x") { id } b: user(id: "User:42") { id } }`;
  await assert.rejects(client.query({ query }), (error) => error.errors[0].extensions.code === "BAD_USER_INPUT");
  const { data, error } = await client.query({ query, errorPolicy: "all" });
  assert.equal(data.b.id, "User:42");
  assert.equal(error.errors[0].extensions.code, "BAD_USER_INPUT");
  await assert.rejects(client.query({ query: gql`{ nobody }` }), (wrong) => wrong.errors[0].extensions.code === "GRAPHQL_VALIDATION_FAILED");
});

test("Apollo creates in a bulk what can be created, and reads the errors of the others as data", async () => {
  const client = clientOf(new HttpLink({ uri: url }));
  const createUsers = gql`mutation ($input: CreateUsersInput!) {
    createUsers(input: $input) { results { user { id name manager { id } } error { code field message } } }
  }`;
  const users = [
    { name: "Barbara Liskov", email: "barbara@example.com", managerId: "User:42" },
    { name: "Anita Borg", email: "anita@example.com", managerRef: 0 },
    { name: "", email: "ada.moreau.1@example.com" },
  ];
  await assert.rejects(client.mutate({ mutation: createUsers, variables: { input: { users } } }), ({ errors }) => {
    assert.deepEqual(errors.map(({ extensions }) => [extensions.code, extensions.field]), [
      ["BAD_USER_INPUT", "input.users.2.name"],
      ["CONFLICT", "input.users.2.email"],
    ]);
    return true;
  });
  const { data } = await client.mutate({ mutation: createUsers, variables: { input: { mode: "EACH", users } } });
  const [barbara, anita, nobody] = data.createUsers.results;
  assert.equal(barbara.user.manager.id, "User:42");
  assert.equal(anita.user.manager.id, barbara.user.id);
  assert.equal(nobody.user, null);
  assert.deepEqual([nobody.error.code, nobody.error.field], ["BAD_USER_INPUT", "input.users.2.name"]);
  assert.equal(client.cache.extract()[`User:${anita.user.id}`].name, "Anita Borg");
});

test("Apollo's RetryLink sends a bulk again whose answer was lost, and nobody is there twice", async () => {
  let sent = 0;
  const losing = async (uri, options) => {
    const response = await fetch(uri, options); // it is stored by now
    if (sent++ === 0) throw new TypeError("the connection is lost");
    return response;
  };
  const client = clientOf(ApolloLink.from([new RetryLink({ delay: { initial: 1 } }), new HttpLink({ uri: url, fetch: losing })]));
  const { data } = await client.mutate({
    mutation: gql`mutation ($users: [CreateUserInput!]!) { upsertUsers(input: {by: EMAIL, users: $users}) { results { created user { id email } } } }`,
    variables: { users: [{ name: "Frances Allen", email: "frances@example.com" }, { name: "Jean Sammet", email: "jean@example.com" }] },
  });
  assert.equal(sent, 2);
  assert.deepEqual(data.upsertUsers.results.map(({ created, user }) => [created, user.email]), [[false, "frances@example.com"], [false, "jean@example.com"]]);
});

test("Apollo's BatchHttpLink gets many answers by one request and few statements, each its own", async () => {
  const { requests, send } = recording();
  const client = clientOf(new BatchHttpLink({ uri: url, fetch: send, batchMax: 50, batchInterval: 20 }));
  const before = log().split("msg=statement").length;
  const queries = Array.from({ length: 20 }, (_, i) =>
    client.query({ query: user, variables: { id: i === 7 ? "nobody" : `User:${i + 20}` }, errorPolicy: "all" }),
  );
  const answers = await within("the batch", Promise.all(queries));
  assert.equal(requests.length, 1);
  answers.forEach(({ data, error }, i) => {
    if (i === 7) assert.equal(error.errors[0].extensions.code, "BAD_USER_INPUT");
    else assert.equal(data.user.id, `User:${i + 20}`);
  });
  await new Promise((resolve) => setTimeout(resolve, 200)); // the log comes by a pipe
  assert.equal(log().split("msg=statement").length - before, 2);
});

for (const useGETForHashedQueries of [false, true]) {
  test(`Apollo's automatic persisted queries are sent once, then by hash${useGETForHashedQueries ? " with GET" : ""}`, async () => {
    const { requests, send } = recording();
    const sha256 = (text) => createHash("sha256").update(text).digest("hex");
    const client = clientOf(new PersistedQueryLink({ sha256, useGETForHashedQueries }).concat(new HttpLink({ uri: url, fetch: send })));
    const query = useGETForHashedQueries ? gql`query ByGet { team(id: "Team:1") { name } }` : gql`query ByPost { team(id: "Team:1") { name } }`;
    for (let i = 0; i < 3; i++) {
      const { data } = await client.query({ query });
      assert.ok(data.team.name);
    }
    assert.equal(requests.length, 4); // the first hash is not known; then the text is sent
    const method = useGETForHashedQueries ? "GET" : "POST";
    assert.deepEqual(requests.map((r) => r.method), [method, "POST", method, method]);
    assert.ok(requests[1].body.includes('"query"'));
    assert.ok(!`${requests[3].uri}${requests[3].body}`.includes("team("));
  });
}

test("Apollo gets what is deferred in parts", async () => {
  const { requests, send } = recording();
  const client = clientOf(new HttpLink({ uri: url, fetch: send }), { incrementalHandler: new Defer20220824Handler() });
  const query = gql`query { user(id: "User:42") { id name ... @defer { manager { id name } } } }`;
  const states = [];
  await within(
    "the last part",
    new Promise((resolve, reject) => {
      client.watchQuery({ query, fetchPolicy: "network-only" }).subscribe({
        next: (result) => {
          states.push(result);
          if (result.data?.user?.manager?.name) resolve();
        },
        error: reject,
      });
    }),
  );
  assert.equal(requests.length, 1);
  const partial = states.find(({ dataState }) => dataState === "streaming");
  assert.equal(partial?.data.user.name, "Kwame Weber");
  assert.equal(partial.data.user.manager, undefined);
  assert.equal(states.at(-1).dataState, "complete");
  assert.equal(states.at(-1).data.user.manager.name, "Fatima Haddad");
});

/** firstEvent is the first event of a subscription, while a user is renamed again and again. */
async function firstEvent(client, id) {
  const query = gql`subscription Watch($ids: [ID!]) { userChanged(ids: $ids) { kind userId user { id name } } }`;
  let subscription;
  let event;
  const got = new Promise((resolve, reject) => {
    subscription = client.subscribe({ query, variables: { ids: [id] } }).subscribe({ next: resolve, error: reject });
  });
  got.then((result) => (event = result));
  for (let i = 0; !event && i < 200; i++) {
    await rename(url, id, `Name ${i}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { data } = await within("an event", got);
  subscription.unsubscribe();
  return data.userChanged;
}

test("Apollo subscribes over multipart HTTP", async () => {
  const event = await firstEvent(clientOf(new HttpLink({ uri: url })), "User:301");
  assert.equal(event.userId, "User:301");
  assert.match(event.user.name, /^Name \d+$/);
});

test("Apollo subscribes over a WebSocket", async () => {
  const socket = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket });
  const link = ApolloLink.split(({ operationType }) => operationType === "subscription", new GraphQLWsLink(socket), new HttpLink({ uri: url }));
  const event = await firstEvent(clientOf(link), "User:302");
  assert.equal(event.userId, "User:302");
  await socket.dispose();
});
