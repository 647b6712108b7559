import assert from "node:assert/strict";
import { test } from "node:test";
import { EventSource } from "eventsource";
import { createClient } from "graphql-sse";
import { proxy } from "../proxy.js";
import { rename, start, within } from "../server.js";

const { url } = await start();

/** all collects what a client gets of one operation. */
function all(client, request, onNext = () => {}) {
  return new Promise((resolve, reject) => {
    const results = [];
    client.subscribe(request, {
      next: (result) => {
        results.push(result);
        onNext(results);
      },
      error: reject,
      complete: () => resolve(results),
    });
  });
}

test("graphql-sse runs a query", async () => {
  const client = createClient({ url });
  const results = await within("a query", all(client, { query: '{ user(id: "User:42") { name } }' }));
  assert.deepEqual(results, [{ data: { user: { name: "Kwame Weber" } } }]);
  client.dispose();
});

test("graphql-sse shows the errors of a document that is not valid", async () => {
  const client = createClient({ url });
  const [result, ...more] = await within("an error", all(client, { query: "{ nobody }" }));
  assert.equal(result.errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  assert.ok(!("data" in result));
  assert.deepEqual(more, []);
  client.dispose();
});

test("graphql-sse gets the events of a subscription in order, until it has enough", async () => {
  const client = createClient({ url, retryAttempts: 0 });
  const events = client.iterate({
    query: 'subscription { userChanged(ids: ["User:7"]) { kind userId user { name } } }',
  });
  // The client does not tell when it has subscribed, so changes go on until one is seen.
  const first = events.next();
  let event;
  first.then((result) => (event = result));
  for (let i = 0; !event && i < 200; i++) {
    await rename(url, "User:7", `Name ${i}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  event = await within("the first event", first);
  assert.equal(event.value.data.userChanged.kind, "UPDATED");
  assert.equal(event.value.data.userChanged.userId, "User:7");
  await rename(url, "User:8", "of no interest");
  await rename(url, "User:7", "The last");
  for (;;) {
    const { value } = await within("the last event", events.next());
    assert.equal(value.data.userChanged.userId, "User:7");
    if (value.data.userChanged.user.name === "The last") break;
  }
  await events.return();
  client.dispose();
});

test("graphql-sse gets what is deferred in parts", async () => {
  const client = createClient({ url });
  const query = '{ user(id: "User:42") { name ... @defer { teams { totalCount } } } }'; // teams is never null
  const results = await within("the parts", all(client, { query }));
  assert.ok(results.length > 1);
  assert.deepEqual(results[0].data, { user: { name: "Kwame Weber" } });
  assert.deepEqual(results.at(-1).incremental[0].data, { teams: { totalCount: 3 } });
  client.dispose();
});

/** source opens an EventSource until the end of a test. It would connect again and again. */
function source(t, query, at = url) {
  const opened = new EventSource(`${at}?query=${encodeURIComponent(query)}`);
  t.after(() => opened.close());
  return opened;
}

test("EventSource gets events, and the end of what ends", async (t) => {
  const events = source(t, '{ user(id: "User:42") { name } }');
  const results = [];
  events.addEventListener("next", (event) => results.push(JSON.parse(event.data)));
  await within("complete", new Promise((resolve) => events.addEventListener("complete", resolve)));
  assert.deepEqual(results, [{ data: { user: { name: "Kwame Weber" } } }]);
});

test("EventSource subscribes", async (t) => {
  const events = source(t, "subscription { userChanged { cursor kind userId user { name } } }");
  const event = new Promise((resolve) => events.addEventListener("next", resolve));
  await within("the stream to open", new Promise((resolve) => (events.onopen = resolve)));
  await rename(url, "User:9", "Renamed");
  const { data, lastEventId } = await within("the event", event);
  assert.deepEqual(JSON.parse(data).data.userChanged, {
    cursor: lastEventId,
    kind: "UPDATED",
    userId: "User:9",
    user: { name: "Renamed" },
  });
});

test("EventSource misses nothing when its connection is cut again and again", async (t) => {
  const between = await proxy(url.replace(/query$/, ""), "/");
  const events = source(t, 'subscription { userChanged(ids: ["User:10"]) { userId user { name } version } }', `${between.page}query`);
  const versions = [];
  events.addEventListener("next", (event) => versions.push(JSON.parse(event.data).data.userChanged.version));
  const until = async (done) => {
    while (!done() && !t.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await within("the stream to open", new Promise((resolve) => (events.onopen = resolve)));
  await rename(url, "User:10", "Seen"); // before its first event this client does not heed the id that the stream begins with
  await within("the first event", until(() => versions.length === 1));
  const cuts = 3;
  for (let i = 0; i < cuts; i++) {
    await rename(url, "User:10", `Seen or not ${i}`);
    between.cut();
    await rename(url, "User:10", `Missed ${i}`);
    await within("the next stream", until(() => between.open() === 1));
  }
  await within("all events", until(() => versions.length >= 1 + 2 * cuts));
  assert.deepEqual(versions, Array.from({ length: 1 + 2 * cuts }, (_, i) => versions[0] + i));
});
