// The cache of a browser, which phones' are like: it keeps answers, and asks by their ETags.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { chromium } from "playwright-core";
import { rename, start, within } from "../server.js";

const folder = await mkdtemp(join(tmpdir(), "rollcall-documents-"));
after(() => rm(folder, { recursive: true }));
const body = 'query { user(id: "User:42") { name } }';
await writeFile(
  join(folder, "documents.json"),
  JSON.stringify({ asked: body, kept: { body, cacheControl: "private, max-age=3600" }, never: { body, cacheControl: "no-store" } }),
);
const { page: address, url, log } = await start(`--documents=${join(folder, "documents.json")}`, "--echo");
const browser = await chromium.launch({ executablePath: process.env.ROLLCALL_E2E_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
after(() => browser.close());

/** etag waits until the server knows the state of the directory, which a change has left it. */
async function etag() {
  for (;;) {
    const found = (await fetch(`${url}?documentId=asked`)).headers.get("ETag");
    if (found) return found;
  }
}

/** counted returns what do returns and how many statements that took. */
async function counted(run) {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 200)); // the log comes by a pipe
  await pause();
  const before = log().split("msg=statement").length;
  const result = await run();
  await pause();
  return [result, log().split("msg=statement").length - before];
}

test("a browser reads an answer again only after a change, or when it may not be kept any longer", async () => {
  const page = await browser.newPage();
  await page.goto(address);
  const ask = (id) =>
    counted(() => page.evaluate(async (id) => (await (await fetch(`/query?documentId=${id}`)).json()).data.user.name, id));
  await rename(url, "User:42", "First Name");
  const first = await within("an ETag", etag());
  assert.deepEqual(await ask("asked"), ["First Name", 2]);
  assert.deepEqual(await ask("asked"), ["First Name", 1]); // 304, which the browser answers the page from its cache
  assert.deepEqual(await ask("kept"), ["First Name", 2]);
  assert.deepEqual(await ask("kept"), ["First Name", 0]);
  assert.deepEqual(await ask("never"), ["First Name", 1]);
  assert.deepEqual(await ask("never"), ["First Name", 1]);
  await rename(url, "User:42", "Second Name");
  assert.notEqual(await within("another ETag", etag()), first);
  assert.deepEqual(await ask("asked"), ["Second Name", 2]);
  assert.deepEqual(await ask("asked"), ["Second Name", 1]);
  assert.deepEqual(await ask("kept"), ["First Name", 0]); // as long as its list allows
});
