// The Playground in a browser that can reach nothing but the server.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { chromium } from "playwright-core";
import { rename, start, within } from "../server.js";

const { page: address, url } = await start();
const browser = await chromium.launch({
  executablePath: process.env.ROLLCALL_E2E_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
after(() => browser.close());

/** open loads the Playground and keeps whatever went wrong. */
async function open() {
  const page = await browser.newPage();
  const wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`page: ${error}`));
  page.on("requestfailed", (request) => wrong.push(`failed: ${request.url()}`));
  page.on("response", (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()}: ${response.url()}`);
  });
  await page.route("**/*", (route) => {
    if (route.request().url().startsWith(address)) return route.continue();
    wrong.push(`outside: ${route.request().url()}`);
    return route.abort();
  });
  page.on("websocket", (socket) => {
    if (socket.url() !== url.replace(/^http/, "ws")) wrong.push(`outside: ${socket.url()}`);
  });
  await page.goto(address);
  await page.waitForSelector(".CodeMirror");
  return { page, wrong };
}

/** execute writes a document into the editor and runs it. */
async function execute(page, document) {
  await page.evaluate((text) => window.document.querySelector(".CodeMirror").CodeMirror.setValue(text), document);
  await page.click('[title="Execute Query (Ctrl-Enter)"]');
}

const answerHas = (page, text) =>
  page.waitForFunction((wanted) => window.document.body.innerText.includes(wanted), text, { timeout: 20_000 });

test("the Playground loads with nothing from elsewhere, and runs a query", async () => {
  const { page, wrong } = await open();
  await execute(page, '{ user(id: "User:42") { name manager { name } } }');
  await answerHas(page, "Kwame Weber");
  assert.deepEqual(wrong, []);
  await page.close();
});

test("the Playground shows the event of a subscription", async () => {
  const { page, wrong } = await open();
  let sockets = 0;
  const received = new Set();
  page.on("websocket", (socket) => {
    sockets++;
    socket.on("framereceived", ({ payload }) => received.add(JSON.parse(payload).type));
  });
  await execute(page, 'subscription { userChanged(ids: ["User:50"]) { kind user { name } } }');
  let seen = false;
  const event = answerHas(page, "Seen in the Playground").then(() => (seen = true));
  for (let i = 0; !seen && i < 100; i++) {
    await rename(url, "User:50", `Seen in the Playground ${i}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await within("the event", event);
  assert.equal(sockets, 1);
  assert.ok(received.has("data"), `this is not the old protocol: ${[...received]}`); // the new one has "next"
  assert.deepEqual(wrong, []);
  await page.close();
});
