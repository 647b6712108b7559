// Copies of the directory that are kept by following its changes, while what keeps them and what they follow is killed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { post, start, within } from "../server.js";

const server = await start();
const { url } = server;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const random = (below) => Math.floor(Math.random() * below);

/** send returns an answer's data. */
async function send(query, variables = {}, to = url) {
  const { data, errors } = await (await post(to, { query, variables })).json();
  if (errors) throw Object.assign(new Error(errors[0].message), errors[0].extensions);
  return data;
}

/** listed returns all users, by their ids, as README's copy has them. */
async function listed() {
  const users = {};
  for (let after = null, more = true; more; ) {
    const query = `query ($after: String) { users(first: 100, after: $after) {
      nodes { id version name email title manager { id } } pageInfo { hasNextPage endCursor } } }`;
    const page = (await send(query, { after })).users;
    for (const user of page.nodes) users[user.id] = user;
    ({ hasNextPage: more, endCursor: after } = page.pageInfo);
  }
  return users;
}

let changes = 0;
const own = []; // users that were created here
/** change sends a random mutation. A removal whose answer was lost may have been stored. */
async function change() {
  const id = own[random(own.length)];
  await changeOf(id).catch((error) => {
    if (error.code !== "NOT_FOUND") throw error;
    own.splice(own.indexOf(id), 1);
  });
}

async function changeOf(id) {
  const mark = `${++changes}`;
  switch (own.length < 3 ? 0 : random(5)) {
    case 0: {
      const { createUser } = await send(
        "mutation ($name: String!, $email: String!, $manager: ID!) { createUser(input: {name: $name, email: $email, managerId: $manager}) { user { id } } }",
        { name: `New ${mark}`, email: `new.${mark}@example.com`, manager: `User:${1 + random(100)}` },
      );
      return own.push(createUser.user.id);
    }
    case 1:
      await send("mutation ($id: ID!) { deleteUser(input: {id: $id}) { deletedUserId } }", { id });
      return own.splice(own.indexOf(id), 1);
    case 2:
      return send("mutation ($users: [UpdateUserInput!]!) { updateUsers(input: {users: $users}) { results { user { id } } } }", {
        users: Array.from({ length: 50 }, (_, i) => ({ id: `User:${200 + i}`, title: `Title ${mark}` })),
      });
    default:
      return send("mutation ($id: ID!, $title: String, $manager: ID) { updateUser(input: {id: $id, title: $title, managerId: $manager}) { user { id } } }", {
        id, title: random(2) ? `Title ${mark}` : null, manager: random(2) ? `User:${1 + random(100)}` : null,
      });
  }
}

/** until waits until something is so. */
const until = (what, is) => within(what, (async () => {
  while (!(await is())) await pause(20);
})());

const folder = await mkdtemp(join(tmpdir(), "rollcall-copy-"));
after(() => rm(folder, { recursive: true }));
const file = join(folder, "users.json");
const copied = async () => JSON.parse(await readFile(file, "utf8"));
const text = await readFile(join(import.meta.dirname, "..", "..", "README.md"), "utf8");
const [, code] = /^```js\n(\/\/ users\.mjs .*?)^```$/ms.exec(text);
await writeFile(join(folder, "users.mjs"), code.replaceAll("http://127.0.0.1:8080/query", url));

let service;
/** serviceStart starts README's service, and serviceKill kills it as a power failure would. */
function serviceStart() {
  service = spawn(process.execPath, ["users.mjs"], { cwd: folder, stdio: "inherit" });
}
async function serviceKill() {
  const ended = once(service, "exit");
  service.kill("SIGKILL");
  await within("the service's end", ended);
}
process.on("exit", () => service?.kill("SIGKILL"));

/** same waits until the copy is what the database has. */
async function same() {
  const users = await listed();
  const equal = async () => {
    try {
      assert.deepEqual((await copied()).users, users);
      return true;
    } catch {
      return false;
    }
  };
  await until("the copy has caught up", equal).catch(async () => assert.deepEqual((await copied()).users, users));
}

test("README's service has at most 40 lines", () => assert.ok(code.trimEnd().split("\n").length <= 40));

test("README's service, killed at random points, as is the server, ends with what the database has", async () => {
  serviceStart();
  await until("the first copy", () => existsSync(file));
  for (let round = 0; round < 12; round++) {
    for (let i = random(20); i >= 0; i--) await change();
    switch (round % 3) {
      case 0: // while it starts, or follows, or stores what is new
        await serviceKill();
        for (let i = random(5); i >= 0; i--) await change();
        serviceStart();
        await pause(random(400));
        break;
      case 1:
        await server.kill();
        await server.restart();
        break;
      default:
        change().catch(() => {}); // is stored, or is not
        await pause(random(10));
        await Promise.all([serviceKill(), server.kill()]);
        serviceStart();
        await server.restart();
    }
  }
  await same();
});

test("README's service lists the users again once its cursor has expired", async () => {
  await serviceKill();
  const copy = await copied();
  const cursor = Buffer.from(copy.cursor, "base64url");
  cursor[1] ^= 1; // as of another database
  copy.users["User:0"] = { id: "User:0", version: 1, name: "Nobody" };
  await writeFile(file, JSON.stringify({ ...copy, cursor: cursor.toString("base64url") }));
  serviceStart();
  await same();
  await change();
  await same();
  await serviceKill();
});
