// Lists that the normal clients keep in sync by a subscription, which goes on when the server has been killed and when they go to another one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { EventSource } from "eventsource";
import { createClient as createSSE } from "graphql-sse";
import { createClient as createSocket } from "graphql-ws";
import { pipe, subscribe } from "wonka";
import WebSocket from "ws";
import { post, start, within } from "../server.js";

globalThis.WebSocket = WebSocket; // as in a browser
const server = await start();
const { url } = server;
const socketOf = (address) => address.replace(/^http/, "ws");
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** send returns an answer's data. */
async function send(query, variables = {}) {
  const { data, errors } = await (await post(url, { query, variables })).json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

const list = gql`query List($department: String!) {
  users(first: 100, filter: {department: {eq: $department}}) { asOf nodes { id version name department } }
}`;
const changes = gql`subscription Changes($after: String) {
  changes(after: $after, types: [USER]) { cursor change { objectId object { ... on User { id version name department } } } }
}`;

let number = 0;
const create = async (department) => {
  const name = `New ${++number}`;
  const query = "mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id } } }";
  return (await send(query, { input: { name, department, email: `new.${number}@example.com` } })).createUser.user.id;
};
const update = (input) => send("mutation ($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }", { input });
const remove = (id) => send("mutation ($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }", { id });

/**
 * keeps sends mutations while a client is connected and while it cannot be, and checks that its list is the server's in the end.
 * @param {string} department the list's
 * @param {() => {id: string, name: string}[]} shown
 * @param {() => Promise<void>} [gone] ends what the client is connected to
 * @param {() => Promise<void>} [back] what it can go on with
 */
async function keeps(department, shown, gone = () => server.kill(), back = () => server.restart()) {
  const same = async (what) => {
    const { nodes } = (await send(list.loc.source.body, { department })).users;
    const names = (users) => users.map(({ id, name }) => `${id} ${name}`).sort();
    const wanted = names(nodes);
    await within(what, (async () => {
      while (names(shown()).join() !== wanted.join()) await pause(20);
    })()).catch(() => assert.deepEqual(names(shown()), wanted, what));
  };
  await same("the list");
  const [stays, leaves, goes, moves] = [await create(department), await create(department), await create(department), await create("Elsewhere")];
  await same("what was added");
  for (let i = 0; i < 3; i++) {
    const missed = [];
    missed.push(update({ id: stays, name: `Just before ${i}` }));
    await Promise.allSettled(missed);
    await gone();
    await back();
    await update({ id: stays, name: `At once afterwards ${i}` });
    await create(department);
    await pause(i * 100);
  }
  await remove(goes);
  await update({ id: leaves, department: "Elsewhere" });
  await gone();
  await back();
  await update({ id: moves, department });
  await same("what was changed");
}

/** apollo keeps a list in the normalized cache of an Apollo client, and returns what the list shows. */
async function apollo(department, link) {
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const query = { query: list, variables: { department } };
  const { data } = await client.query(query);
  let shown;
  client.watchQuery({ ...query, fetchPolicy: "cache-only" }).subscribe({ next: ({ data }) => (shown = data.users.nodes) });
  const apply = ({ objectId, object }) => { // the objects in the list change by themselves
    client.cache.updateQuery(query, ({ users }) => {
      const others = users.nodes.filter(({ id }) => id !== objectId);
      return { users: { ...users, nodes: object?.department === department ? [...others, object] : others } };
    });
    if (!object) client.cache.evict({ id: client.cache.identify({ __typename: "User", id: objectId }) });
  };
  const follow = (after) => {
    const again = () => setTimeout(follow, 50, after).unref();
    client.subscribe({ query: changes, variables: { after }, fetchPolicy: "no-cache" }).subscribe({
      next({ data, error }) {
        if (error) return;
        if (data.changes.change) apply(data.changes.change);
        after = data.changes.cursor;
      },
      error: again,
      complete: again,
    });
  };
  follow(data.users.asOf);
  return () => shown;
}

/** overSocket is Apollo's usual link for subscriptions. Its socket does not connect again by itself, since it would begin where it began. */
const overSocket = (at) =>
  ApolloLink.split(
    ({ operationType }) => operationType === "subscription",
    new GraphQLWsLink(createSocket({ url: () => socketOf(at()), retryAttempts: 0 })),
    new HttpLink({ uri: url }),
  );

test("Apollo's list stays in sync over a WebSocket when the server is killed", async () => {
  await keeps("Apollo's WebSocket", await apollo("Apollo's WebSocket", overSocket(() => url)));
});

test("Apollo's list stays in sync over multipart HTTP when the server is killed", async () => {
  await keeps("Apollo's HTTP", await apollo("Apollo's HTTP", new HttpLink({ uri: url })));
});

test("Apollo's list stays in sync when the other server that it follows is killed, and goes on at the one that has made the changes", async () => {
  let other = await server.beside();
  let at = other.url;
  const gone = async () => {
    at = url;
    await other.kill();
  };
  const back = async () => {
    other = await server.beside();
    at = other.url; // for those that have not connected yet
  };
  await keeps("Two servers", await apollo("Two servers", overSocket(() => at)), gone, back);
  await other.kill();
});

test("urql's list stays in sync when the server is killed", async () => {
  const socket = createSocket({ url: socketOf(url), retryAttempts: 0 });
  const client = new Client({
    url,
    preferGetMethod: false,
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({ forwardSubscription: (request) => ({ subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }) }) }),
    ],
  });
  const query = [list, { department: "urql's" }];
  let shown;
  const first = new Promise((resolve) =>
    pipe(client.query(...query), subscribe(({ data }) => {
      if (data) resolve((shown = data.users));
    })),
  );
  // urql's cache is one of documents: it reads the list again.
  const read = () => client.query(...query, { requestPolicy: "network-only" }).toPromise().then(({ error }) => error && setTimeout(read, 50));
  const follow = (after) => {
    let ended = false;
    const again = () => {
      if (!ended) setTimeout(follow, 50, after).unref();
      ended = true;
    };
    const { unsubscribe } = pipe(client.subscription(changes, { after }), subscribe(({ data, error }) => {
      if (error) return setTimeout(() => (unsubscribe(), again()));
      if (data.changes.change) read();
      after = data.changes.cursor;
    }));
  };
  follow((await within("the list", first)).asOf);
  await keeps("urql's", () => shown.nodes);
});

/** events is a list that follows events of any transport. */
async function events(department) {
  const { asOf, nodes } = (await send(list.loc.source.body, { department })).users;
  const users = new Map(nodes.map((user) => [user.id, user]));
  const copy = {
    cursor: asOf,
    shown: () => [...users.values()].filter((user) => user.department === department),
    seen: [],
    apply({ data, errors }) {
      if (errors) throw new Error(JSON.stringify(errors));
      const { cursor, change } = data.changes;
      copy.cursor = cursor;
      if (!change) return;
      copy.seen.push(cursor);
      if (change.object) users.set(change.objectId, change.object);
      else users.delete(change.objectId);
    },
  };
  return copy;
}
const distinct = (all) => assert.equal(new Set(all).size, all.length, "a change came twice");

test("graphql-sse, told the last cursor when it connects again, misses and doubles nothing when the server is killed", async () => {
  const copy = await events("graphql-sse's");
  const client = createSSE({
    url,
    retryAttempts: 100,
    retry: () => pause(50),
    headers: () => ({ "Last-Event-ID": copy.cursor }),
  });
  client.subscribe({ query: changes.loc.source.body }, { next: copy.apply, error: (error) => assert.fail(error), complete() {} });
  await keeps("graphql-sse's", copy.shown);
  distinct(copy.seen);
  client.dispose();
});

test("EventSource misses and doubles nothing when the server is killed", async () => {
  const copy = await events("EventSource's");
  const variables = JSON.stringify({ after: copy.cursor });
  const source = new EventSource(`${url}?query=${encodeURIComponent(changes.loc.source.body)}&variables=${encodeURIComponent(variables)}`);
  source.addEventListener("next", ({ data }) => copy.apply(JSON.parse(data)));
  await keeps("EventSource's", copy.shown);
  distinct(copy.seen);
  source.close();
});
