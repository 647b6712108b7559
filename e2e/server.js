// Starts Rollcall for a test, as a user would.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import mysql from "mysql2/promise";

process.once("SIGTERM", () => process.exit(1)); // the runner's, for tests that take too long

const binary = process.env.ROLLCALL_E2E_BINARY;
if (!binary) throw new Error("ROLLCALL_E2E_BINARY is not set: run `make e2e`");

/** database makes a new database: in SQLite, or on the server that ROLLCALL_E2E_MYSQL names, in the form of ROLLCALL_TEST_MARIADB. */
async function database(folder) {
  if (!process.env.ROLLCALL_E2E_MYSQL) return { address: `sqlite:${join(folder, "directory.db")}`, drop: async () => {} };
  const address = new URL(process.env.ROLLCALL_E2E_MYSQL);
  const name = `rollcall_e2e_${randomBytes(8).toString("hex")}`;
  const execute = async (statement) => {
    const connection = await mysql.createConnection({
      host: address.hostname,
      port: Number(address.port || 3306),
      user: decodeURIComponent(address.username),
      password: decodeURIComponent(address.password),
    });
    await connection.query(statement);
    await connection.end();
  };
  await execute(`CREATE DATABASE ${name}`);
  address.pathname = `/${name}`;
  return { address: address.href, drop: () => execute(`DROP DATABASE ${name}`) };
}

const children = new Set();
process.on("exit", () => { // were the tests to end early, they would be left
  for (const child of children) child.kill("SIGKILL");
});

/**
 * serve starts a server and waits until it serves.
 * @param {string[]} flags
 */
async function serve(flags) {
  const child = spawn(binary, flags, { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const ended = new Promise((resolve) => {
    child.on("error", resolve);
    child.on("exit", (code, signal) => resolve(signal ?? code));
  });
  const served = new Promise((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      const found = /Playground\s+(\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
    ended.then((status) => reject(new Error(`the server ended with ${status}: ${log}`)));
  });
  const end = async (signal) => {
    child.kill(signal);
    try {
      return await within("the server's end", ended);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  };
  try {
    return { page: await within("the server's start", served), log: () => log, end };
  } catch (error) {
    await end("SIGKILL");
    throw error;
  }
}

/**
 * start serves a demo directory, in a database of its own, until the end of the tests of a file. The server has to end in
 * good order then.
 * @param {string[]} flags
 * @returns {Promise<{url: string, page: string, log: () => string, stop: () => Promise<void>, kill: () => Promise<void>,
 *   restart: () => Promise<void>, beside: () => Promise<{url: string, kill: () => Promise<void>}>}>}
 *   kill ends the server as a power failure would, and restart starts it again, at its address; beside starts another one at the same database.
 */
export async function start(...flags) {
  const folder = await mkdtemp(join(tmpdir(), "rollcall-e2e-"));
  const { address, drop } = await database(folder);
  const running = new Set();
  const run = async (listen) => {
    const server = await serve([`--listen=${listen}`, "--demo", "--migrate", `--database=${address}`, ...flags]);
    running.add(server);
    return server;
  };
  const kill = async (server) => {
    running.delete(server);
    await server.end("SIGKILL");
  };
  let stopped;
  const stop = () => {
    stopped ??= (async () => {
      try {
        for (const { end, log } of running) {
          const status = await end("SIGTERM");
          if (status !== 0) throw new Error(`the server ended with ${status}: ${log()}`);
        }
      } finally {
        for (const { end } of running) await end("SIGKILL");
        await drop();
        await rm(folder, { recursive: true });
      }
    })();
    return stopped;
  };
  after(stop);
  let server;
  try {
    server = await run("127.0.0.1:0");
  } catch (error) { // no test will run, so nothing after them either
    await stop().catch(() => {});
    throw error;
  }
  const { page } = server;
  return {
    page,
    url: `${page}query`,
    log: () => server.log(),
    stop,
    kill: () => kill(server),
    restart: async () => {
      server = await run(new URL(page).host);
    },
    beside: async () => {
      const other = await run("127.0.0.1:0");
      return { url: `${other.page}query`, kill: () => kill(other) };
    },
  };
}

/**
 * post sends one GraphQL request by fetch.
 * @param {string} url
 * @param {unknown} body
 * @param {Record<string, string>} headers
 */
export async function post(url, body, headers = {}) {
  return fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

/** rename changes a user's name, so that an event is sent. */
export async function rename(url, id, name, headers) {
  const response = await post(url, {
    query: "mutation($id: ID!, $name: String!) { updateUser(input: {id: $id, name: $name}) { user { name } } }",
    variables: { id, name },
  }, headers);
  const { data, errors } = await response.json();
  if (errors || data.updateUser.user.name !== name) throw new Error(JSON.stringify(errors ?? data));
}

/** within fails if a promise takes longer than a generous time, which only a hang exceeds. */
export async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took more than 20 s: ${what}`)), 20_000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
