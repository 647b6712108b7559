// What the Playground does with answers, without a browser: from a server that sends what the test wants.
import assert from "node:assert/strict";
import http from "node:http";
import { after, test } from "node:test";
import { createFetcher } from "../../playground/app/src/fetcher.js";
import { createReports } from "../../playground/app/src/reports.js";
import { within } from "../server.js";

let answer;
const requests = [];
const server = http.createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  requests.push({ headers: request.headers, body: JSON.parse(body) });
  await answer(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
after(() => {
  server.close();
  server.closeAllConnections();
});

/** login is one at which whatever the test wants is known, and which notes what it is told. */
const login = { tokens: [], told: [] };
login.token = async () => login.tokens[0];
login.renew = async (used) => {
  assert.equal(used, login.tokens.shift());
  return login.tokens.length > 0;
};
login.refused = (why, byHand) => login.told.push([why, byHand]);
login.accepted = () => login.told.push("accepted");
const reports = createReports();
const fetcher = createFetcher(new URL(`http://127.0.0.1:${server.address().port}/query`), login, reports);

test("once a report is wanted, operations ask for it, and it is not among what they show", async () => {
  const { port } = server.address();
  const own = createReports();
  const run = createFetcher(new URL(`http://127.0.0.1:${port}/query`), login, own);
  const shown = () => new Promise((resolve, error) => run({ query: "{ a }", extensions: { cost: true } }, { documentAST: {} }).subscribe({ next: resolve, error, complete() {} }));
  answer = (response) => response.setHeader("Content-Type", "application/json").end('{"data":{"a":1},"extensions":{"report":{"id":"1"},"cost":2}}');
  await within("the result", shown());
  assert.deepEqual(requests.at(-1).body.extensions, { cost: true });
  own.want();
  assert.deepEqual(await within("the result", shown()), { data: { a: 1 }, extensions: { cost: 2 } });
  assert.deepEqual(requests.at(-1).body.extensions, { cost: true, report: true });
  assert.deepEqual(own.latest(), { id: "1" });
});

/** all runs an operation and returns what was shown, as text, and how it ended. */
const all = (params = { query: "{ a }" }, options = { documentAST: {} }) =>
  within("the end of the operation", new Promise((resolve) => {
    const shown = [];
    fetcher(params, options).subscribe({
      next: (result) => shown.push(JSON.stringify(result)),
      error: ({ message }) => resolve({ shown, end: message }),
      complete: () => resolve({ shown, end: "complete" }),
    });
  }));

/** events answers with server-sent events, whose bytes arrive in pieces of a size. */
const events = (size, ...parts) => async (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  const bytes = Buffer.from(`:\n\n${parts.map((part) => (part === "complete" ? "event: complete\ndata:\n\n" : `event: next\ndata: ${JSON.stringify(part)}\n\n:\n\n`)).join("")}`);
  for (let i = 0; i < bytes.length; i += size) {
    response.write(bytes.subarray(i, i + size));
    if (size < 100) await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
};

test("deferred fragments are put where they belong, however they are cut into pieces", async () => {
  const parts = [
    { data: { users: [{ id: "1", manager: { id: "2" } }, { id: "3", manager: null }], gone: null }, hasNext: true },
    { incremental: [{ path: ["users", 0], data: { name: "Łucja 🙂", manager: { name: "Søren" } } }], hasNext: true },
    { incremental: [{ path: ["users", 1], data: { teams: [{ id: "4" }], manager: null } }, { path: [], data: { users: [{}, { more: [1, 2] }] } }], hasNext: true },
    { incremental: [{ path: ["users", 1], data: { teams: [{ name: "Ł" }] } }], extensions: { cost: 1 }, hasNext: true },
    { incremental: [{ path: ["gone", "away"], data: { lost: true } }, { path: ["users", 0], errors: [{ message: "no" }] }], hasNext: false },
    "complete",
  ];
  for (const size of [1, 7, 100_000]) {
    answer = events(size, ...parts);
    const { shown, end } = await all();
    assert.equal(end, "complete");
    assert.deepEqual(shown.map(JSON.parse), [
      { data: { users: [{ id: "1", manager: { id: "2" } }, { id: "3", manager: null }], gone: null } },
      { data: { users: [{ id: "1", manager: { id: "2", name: "Søren" }, name: "Łucja 🙂" }, { id: "3", manager: null }], gone: null } },
      { data: { users: [{ id: "1", manager: { id: "2", name: "Søren" }, name: "Łucja 🙂" }, { id: "3", manager: null, teams: [{ id: "4" }], more: [1, 2] }], gone: null } },
      { data: { users: [{ id: "1", manager: { id: "2", name: "Søren" }, name: "Łucja 🙂" }, { id: "3", manager: null, teams: [{ id: "4", name: "Ł" }], more: [1, 2] }], gone: null }, extensions: { cost: 1 } },
      { data: { users: [{ id: "1", manager: { id: "2", name: "Søren" }, name: "Łucja 🙂" }, { id: "3", manager: null, teams: [{ id: "4", name: "Ł" }], more: [1, 2] }], gone: null }, extensions: { cost: 1 }, errors: [{ message: "no" }] },
    ]);
  }
});

test("each event of a subscription is shown by itself", async () => {
  answer = events(3, { data: { a: 1 }, errors: [{ message: "of the first" }] }, { data: { a: 2 } }, "complete");
  assert.deepEqual(await all(), { shown: ['{"data":{"a":1},"errors":[{"message":"of the first"}]}', '{"data":{"a":2}}'], end: "complete" });
});

test("a stream that ends too early is an error, after what it had", async () => {
  answer = events(100_000, { data: { a: 1 } });
  const { shown, end } = await all();
  assert.deepEqual(shown, ['{"data":{"a":1}}']);
  assert.match(end, /no connection, or it was lost: the operation is not complete/);
});

test("an operation is sent as it stands, with the user's headers in place of those that it has", async () => {
  answer = async (response) => response.writeHead(200, { "Content-Type": "application/json" }).end('{"data":{"a":1}}');
  requests.length = 0;
  const params = { query: "# first\n query  A { a }", operationName: "A", variables: { b: [null, "ł"] } };
  assert.deepEqual(await all(params, { documentAST: {}, headers: { accept: "application/json", "X-One": "1" } }), { shown: ['{"data":{"a":1}}'], end: "complete" });
  await all(params);
  assert.deepEqual(requests.map(({ body }) => body), [params, params]);
  assert.deepEqual(requests.map(({ headers }) => headers.accept), ["application/json", "text/event-stream, application/json"]);
  assert.equal(requests[0].headers["x-one"], "1");
  assert.match((await all(params, { documentAST: {}, headers: { "not a name": "1" } })).end, /header name/);
});

/** wanting answers only who has a token, and the others with 401. */
const wanting = (token) => async (response) => {
  const { authorization } = requests.at(-1).headers;
  if (authorization === `Bearer ${token}`) response.end('{"data":{"a":1}}');
  else response.writeHead(401).end('{"errors":[{"message":"no","extensions":{"code":"UNAUTHENTICATED"}}]}');
};

test("what the token of a login is refused for is sent again with a renewed one, once", async () => {
  for (const { tokens, sent, told } of [
    { tokens: ["good"], sent: ["good"], told: ["accepted"] },
    { tokens: ["old", "good"], sent: ["old", "good"], told: ["accepted"] },
    { tokens: ["old", "bad", "good"], sent: ["old", "bad"], told: [["no", false]] },
    { tokens: ["old"], sent: ["old"], told: [["no", false]] },
    { tokens: [], sent: [undefined], told: [["no", false]] },
  ]) {
    Object.assign(login, { tokens: [...tokens], told: [] });
    requests.length = 0;
    answer = wanting("good");
    await all();
    assert.deepEqual(requests.map(({ headers }) => headers.authorization?.slice("Bearer ".length)), sent);
    assert.deepEqual(login.told, told);
  }
});

test("an Authorization that the user has written is sent in place of the login's, for the schema too, and is not renewed", async () => {
  for (const [written, told] of [["Bearer good", "accepted"], ["Bearer bad", ["no", true]]]) {
    Object.assign(login, { tokens: ["of the login", "renewed"], told: [] });
    requests.length = 0;
    answer = wanting("good");
    await all(undefined, { documentAST: {}, headers: { authorization: written } });
    await fetcher({ query: "{ __schema }" }, { headers: { authorization: written } });
    assert.deepEqual(requests.map(({ headers }) => headers.authorization), [written, written]);
    assert.deepEqual(login.told, [told, told]);
  }
  login.tokens = [];
});

test("a stream whose token ends goes on after its last event with a renewed one, as long as there is one", async () => {
  Object.assign(login, { tokens: ["first", "second", "third"], told: [] });
  requests.length = 0;
  answer = async (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const ended = JSON.stringify({ errors: [{ message: "ended", extensions: { code: "UNAUTHENTICATED" } }] });
    response.end(`event: next\nid: ${requests.length}\ndata: {"data":{"a":${requests.length}}}\n\nevent: next\ndata: ${ended}\n\nevent: complete\ndata:\n\n`);
  };
  const { shown, end } = await all();
  assert.deepEqual(shown.slice(0, 3), [1, 2, 3].map((a) => `{"data":{"a":${a}}}`));
  assert.match(shown[3], /ended/);
  assert.deepEqual([shown.length, end], [4, "complete"]);
  assert.deepEqual(requests.map(({ headers }) => [headers.authorization, headers["last-event-id"]]), [
    ["Bearer first", undefined], ["Bearer second", "1"], ["Bearer third", "2"],
  ]);
  assert.deepEqual(login.told, ["accepted", "accepted", "accepted", ["ended", false]]);
});

test("the schema comes as a result, and its absence as a text that says why", async () => {
  const schema = { data: { __schema: {} } };
  answer = async (response) => response.end(JSON.stringify(schema));
  assert.deepEqual(await fetcher({ query: "{ __schema }" }, {}), schema);
  answer = async (response) => response.end('{"errors":[{"message":"not here"}]}');
  assert.equal(await fetcher({ query: "{ __schema }" }, {}), "// This server does not show its schema: not here.\n// Operations need no schema to be run.");
});

test("a server that does not answer is an error that says so", async () => {
  answer = async (response) => response.destroy();
  assert.match((await all()).end, /no connection, or it was lost/);
});
