// The Playground in a browser that can reach nothing but the server.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { until, visit } from "../browser.js";
import { proxy } from "../proxy.js";
import { post, rename, start } from "../server.js";

const demo = await start();
const proxied = await proxy(demo.page, "/api/");

/**
 * feature is a test of the page, which a new visitor has opened. Whatever goes wrong fails it: a request that fails or goes elsewhere,
 * a message on the console, an exception, something that the page's policy forbids.
 * @param {string} name
 * @param {(visitor: Awaited<ReturnType<typeof visit>>) => Promise<void>} run
 * @param {string} address
 * @param {import("playwright-core").BrowserContextOptions} options
 */
function feature(name, run, address = demo.page, options = {}) {
  test(name, async () => {
    const visitor = await visit(address, options);
    try {
      await run(visitor);
      assert.deepEqual(visitor.wrong, []);
      assert.deepEqual(visitor.stopped, []);
    } catch (error) {
      error.message += `\nThe page's faults: ${JSON.stringify(visitor.wrong)}. The result: ${await visitor.result().catch(String)}`;
      throw error;
    } finally {
      await visitor.page.context().close();
    }
  });
}

feature("the page opens with an example that shows something", async ({ page, execute, shows, tab }) => {
  assert.equal(await page.title(), "Rollcall");
  await tab("UsersWithTeams");
  await execute();
  await shows('"name": "Grace Hopper"', '"hasNextPage": true');
  await page.locator(".result-window").getByText('"Grace Hopper"').first().waitFor(); // it is seen, too
});

feature("the schema's documentation is read and searched", async ({ page, button }) => {
  await button("Show Documentation Explorer").click();
  const docs = page.locator(".graphiql-doc-explorer");
  await docs.getByRole("combobox").fill("managerId");
  await page.getByRole("option", { name: "CreateUserInput.managerId" }).click();
  await docs.getByText("The global id of the user's manager; none where it is omitted or null.").waitFor();
  await docs.getByRole("link", { name: /Go back/ }).click();
  await docs.getByRole("link", { name: "Query", exact: true }).click();
  await docs.getByText("What can be read.").waitFor();
  await docs.getByRole("link", { name: "userByEmail" }).click();
  await docs.getByText("The user with this email address, or null if there is none.").waitFor();
});

feature("a pane shows what an operation has done", async ({ page, button, execute, shows, tab, result }) => {
  await tab("UsersWithTeams");
  await execute();
  await shows('"hasNextPage": true');
  await button("Show Report").click();
  const pane = page.getByRole("region", { name: "Report" });
  await pane.getByText("Run an operation: this pane shows what it does.").waitFor();
  await execute();
  await pane.getByText("from the plan").waitFor();
  const users = pane.getByRole("listitem").filter({ hasText: "users" }).first();
  await users.getByText(/a batch of 1 key, \d+ statements?/).first().click();
  await users.getByText(/^SELECT .* FROM users/).first().waitFor();
  await shows('"hasNextPage": true');
  assert.doesNotMatch(await result(), /report/); // it is in the pane alone
});

feature("the editor completes and checks", async ({ page, editor, read, writeDocument, underlines }) => {
  await editor.click();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("{ us");
  const suggestions = page.locator(".suggest-widget.visible");
  await until(
    () => suggestions.getByText("userByEmail", { exact: true }).isVisible(),
    () => page.keyboard.press("Control+Space"), // again, until the worker knows the schema
  );
  assert.ok(await suggestions.getByText("users", { exact: true }).isVisible());
  await page.keyboard.type("erByEm");
  for (const other of ["users", "userByExternalId"]) {
    await until(async () => !(await suggestions.getByText(other, { exact: true }).isVisible()));
  }
  await suggestions.getByText("userByEmail", { exact: true }).waitFor();
  await page.keyboard.press("Enter");
  await until(async () => (await read("operation.graphql")).includes("userByEmail"));

  await writeDocument('query Wrong { user(id: "User:1") { nmae } }');
  await underlines("operation.graphql", /Cannot query field "nmae" on type "User"\. Did you mean "name"\?/);
  await page.locator(".graphiql-query-editor .squiggly-error").first().waitFor();
});

feature("variables are sent, and checked before", async ({ write, execute, shows, openExample, tab, underlines }) => {
  await openExample("One user by email, with a variable");
  await tab("UserByEmail");
  await execute();
  await shows('"name": "Ada Moreau"');
  await write("variables.json", '{ "email": "mei.lin.3@example.com", /* and a comment */ }');
  await execute();
  await shows('"name": "Mei Lin"');
  await write("variables.json", '{ "email": 3 }');
  await underlines("variables.json", /Incorrect type/);
  await write("variables.json", '{ "email": ');
  await execute();
  await shows("Request not sent. Variables are invalid JSON");
});

feature("headers are sent, and kept for the next visit only if that is asked for", async ({ page, reload, read, write, execute, shows, button }) => {
  await page.locator('[data-name="headers"]').click();
  await write("request-headers.json", '{ "X-Request-Source": "the headers of the Playground" }');
  const sent = page.waitForRequest((request) => request.headers()["x-request-source"] === "the headers of the Playground");
  await execute();
  assert.equal((await sent).postDataJSON().operationName, "UsersWithTeams");
  await shows('"Grace Hopper"');
  await reload();
  assert.equal(await read("request-headers.json"), "");
  await button("Open settings dialog").click();
  await button("On").click();
  await page.keyboard.press("Escape");
  await write("request-headers.json", '{ "X-Kept": "1" }');
  for (let visit = 0; visit < 2; visit++) {
    await reload();
    assert.equal(await read("request-headers.json"), '{ "X-Kept": "1" }');
  }
});

feature("tabs and history survive a reload", async ({ page, reload, read, write, writeDocument, tab, tabs, button, execute, shows }) => {
  await writeDocument("query Alpha { users { totalCount } }");
  await execute();
  await shows('"totalCount"');
  await button("New tab").click();
  await tab("<untitled>");
  await writeDocument("query Beta($id: ID!) { user(id: $id) { name } }");
  await write("variables.json", '{ "id": "User:3" }');
  await execute();
  await shows('"Mei Lin"');
  await button("New tab").click();
  await writeDocument("query Gamma { teams { totalCount } }");
  await page.locator(".graphiql-tab-button", { hasText: "Beta" }).click();
  await tab("Beta");
  const document = "# still being written\nquery Beta($id: ID!) { user(id: $id) { name email } }";
  await write("operation.graphql", document); // and the page goes before GraphiQL has stored it
  await reload();
  await tab("Beta");
  assert.deepEqual(await tabs(), ["Alpha", "Beta", "Gamma"]);
  assert.equal(await read("operation.graphql"), document);
  assert.equal(await read("variables.json"), '{ "id": "User:3" }');
  await execute();
  await shows('"mei.lin.3@example.com"');

  await button("Show History").click();
  const history = page.locator(".graphiql-history");
  await history.getByText("Beta").first().waitFor();
  await page.locator(".graphiql-tab-button", { hasText: "Gamma" }).click();
  await tab("Gamma");
  await history.getByText("Alpha").first().click();
  await tab("Alpha");
  assert.equal(await read("operation.graphql"), "query Alpha { users { totalCount } }");
  await page.locator(".graphiql-tab-active .graphiql-tab-close").click();
  await until(async () => (await tabs()).length === 2);
});

feature("of several operations, the one that is chosen is run, or the one at the cursor", async ({ page, editor, openExample, tab, execute, shows, result }) => {
  await openExample("Several operations");
  await tab("CountUsers");
  await execute();
  assert.deepEqual(await page.getByRole("menuitem").allTextContents(), ["CountUsers", "CountTeams"]);
  await page.getByRole("menuitem", { name: "CountTeams" }).click();
  await shows('"teams"', '"totalCount": 50');
  await editor.getByText("users").first().click();
  await page.keyboard.press("Control+Enter");
  await shows('"users"');
  assert.doesNotMatch(await result(), /teams/);
  await editor.getByText("teams").first().click();
  await page.keyboard.press("Control+Enter");
  await shows('"teams"');
});

feature(
  "a subscription shows events as they arrive, until it is stopped or its tab is left",
  async ({ stopped, writeDocument, execute, shows, result, button, tab }) => {
    await writeDocument('subscription Changes { userChanged(ids: ["User:50"]) { kind user { name } } }');
    await execute();
    let renamed = 0;
    await until(
      async () => (await result()).includes("Seen in the Playground"),
      () => rename(demo.url, "User:50", `Seen in the Playground ${renamed++}`),
    );
    await rename(demo.url, "User:50", "Seen again");
    await shows('"Seen again"', '"UPDATED"');
    assert.equal(proxied.open(), 1);
    await button("Stop query").click();
    await until(() => proxied.open() === 0);
    await execute();
    await until(() => proxied.open() === 1);
    await button("New tab").click();
    await tab("<untitled>");
    await until(() => proxied.open() === 0);
    await button("Execute query").waitFor();
    assert.equal(stopped.splice(0).length, 2);
  },
  proxied.page,
);

feature(
  "what is deferred is shown as it arrives, and all of it at the end",
  async ({ writeDocument, execute, shows, result, button }) => {
    const document = `query Later {
      users(first: 2) { nodes { id manager { id } ...Rest @defer(label: "rest") } }
    }
    fragment Rest on User { manager { name } teams { nodes { name } } }`;
    await writeDocument(document);
    proxied.pass(1);
    await execute();
    await shows('"User:2"');
    assert.doesNotMatch(await result(), /teams/);
    proxied.pass(1);
    await shows('"teams"');
    assert.equal((await result()).split('"teams"').length, 2); // of one user
    await button("Stop query").waitFor();
    proxied.pass(Infinity);
    await button("Execute query").waitFor();
    const whole = await (await post(demo.url, { query: document })).json();
    assert.deepEqual(JSON.parse(await result()), whole);
  },
  proxied.page,
);

feature(
  "an answer that is cut short, or is none of the API's, is shown as what it is",
  async ({ wrong, writeDocument, execute, shows, button }) => {
    await writeDocument("subscription Cut { userChanged { kind } }");
    await execute();
    await until(() => proxied.open() === 1);
    proxied.cut();
    await shows("There is no connection, or it was lost");
    await until(() => wrong.length > 0);
    assert.match(wrong.splice(0).join(), /ERR_INCOMPLETE_CHUNKED_ENCODING/); // Chromium says so on the console
    proxied.answerNext("<h1>Bad gateway</h1>");
    await button("Execute query").click();
    await shows("The answer is not JSON. Its status is 200 OK. It begins: <h1>Bad gateway</h1>");
  },
  proxied.page,
);

feature("below a path of a proxy, everything works as at the root", async ({ page, writeDocument, openExample, execute, shows, tab }) => {
  await openExample("A profile, with all managers above");
  await tab("Profile");
  await execute();
  await shows('"Imani Patel"');
  await writeDocument("query Wrong { usr { id } }");
  await page.locator(".graphiql-query-editor .squiggly-error").first().waitFor(); // by a worker
  const workers = page.workers().map((worker) => worker.url());
  assert.ok(workers.length >= 2 && workers.every((url) => url.startsWith(`${proxied.page}playground/`)), `the workers are ${workers}`);
}, proxied.page);

feature("light and dark follow the system until one is chosen, which survives a reload", async ({ page, reload, button }) => {
  const isDark = async (dark) => {
    await until(async () => {
      const background = await page.evaluate('getComputedStyle(document.querySelector(".graphiql-container")).backgroundColor');
      const editors = await page.evaluate('[...document.querySelectorAll(".monaco-editor")].map(({ classList }) => classList.contains("vs-dark"))');
      return background === (dark ? "rgb(33, 42, 59)" : "rgb(255, 255, 255)") && editors.every((isDark) => isDark === dark);
    });
  };
  await isDark(false);
  await page.emulateMedia({ colorScheme: "dark" });
  await isDark(true);
  await button("Open settings dialog").click();
  await button("Light").click();
  await isDark(false);
  await reload();
  await isDark(false);
  await button("Open settings dialog").click();
  await button("Dark").click();
  await page.emulateMedia({ colorScheme: "light" });
  await isDark(true);
  await button("System").click();
  await isDark(false);
});

feature(
  "on a phone the editor, the result and the button have room, and panes cover all of it",
  async ({ page, editor, button, execute, shows, openExample, tab }) => {
    const box = async (locator) => {
      const found = await locator.boundingBox();
      assert.ok(found.x >= 0 && found.x + found.width <= 390 && found.y >= 0 && found.y + found.height <= 844, JSON.stringify(found));
      return found;
    };
    await execute();
    await shows('"Grace Hopper"');
    const [write, read, press] = [await box(editor), await box(page.locator(".result-window")), await box(button("Execute query"))];
    assert.ok(write.width >= 280 && write.height >= 350, `the editor is ${JSON.stringify(write)}`);
    assert.ok(read.width >= 350 && read.height >= 280, `the result is ${JSON.stringify(read)}`);
    assert.ok(press.width >= 40 && press.height >= 40, `the button is ${JSON.stringify(press)}`);
    await button("Show Documentation Explorer").click();
    assert.ok((await box(page.locator(".graphiql-plugin"))).width >= 350);
    await button("Hide Documentation Explorer").click();
    await openExample("One user by email, with a variable"); // which closes the pane
    await tab("UserByEmail");
    await page.locator('[data-name="variables"]').click();
    assert.ok((await box(page.locator(".graphiql-editor-tool"))).height >= 80);
    await execute();
    await shows('"Ada Moreau"');
    await button("Open settings dialog").click();
    await box(page.getByRole("dialog"));
    assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 390);
  },
  demo.page,
  { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
);

feature("every example opens in a tab of its own, is not underlined, and runs", async ({ page, stopped, read, openExample, tab, tabs, execute, shows, result, button }) => {
  const folder = new URL("../../playground/app/examples/", import.meta.url);
  const files = (await readdir(folder)).filter((name) => name.endsWith(".graphql")).sort();
  const titles = await page.locator(".examples strong").allTextContents();
  assert.equal(titles.length, files.length);
  for (const [i, file] of files.entries()) {
    const document = await readFile(new URL(file, folder), "utf8");
    const [, kind, name] = /^(query|mutation|subscription) (\w+)/m.exec(document);
    await openExample(titles[i]);
    await tab(name);
    assert.equal(await read("operation.graphql"), document);
    await execute();
    if (document.match(/^(query|mutation|subscription) /gm).length > 1) await page.getByRole("menuitem", { name }).click();
    if (kind === "subscription") {
      await until(async () => (await result()).includes('"UPDATED"'), () => rename(demo.url, "User:42", "Kwame Weber"));
      await button("Stop query").click();
    }
    await shows('"data"');
    await button("Execute query").waitFor();
    assert.doesNotMatch(await result(), /"errors"/, file);
  }
  assert.equal(stopped.splice(0).length, 1); // the subscription
  assert.equal((await tabs()).length, files.length);
  await openExample(titles[0]); // is open already
  assert.equal((await tabs()).length, files.length);
  const marks = () => page.evaluate("__MONACO.editor.getModelMarkers({}).map(({ message }) => message)");
  await until(async () => (await marks()).length === 0).catch(() => {}); // variables are underlined until their operation is known
  assert.deepEqual(await marks(), []);
});

feature("errors point at the lines of the editor, of which nothing is changed", async ({ page, editor, writeDocument, execute, shows, read }) => {
  const document = "# a comment\n\n\nquery   Wrong   {\n\n      user(id:   42.5)   { name } # another\n}\n";
  await writeDocument(document);
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await editor.click();
  await page.keyboard.press("Control+Enter");
  assert.equal((await sent).postDataJSON().query, document);
  await shows('"errors"', '"line": 6');
  assert.equal(await read("operation.graphql"), document);
});

feature("documents and variables are formatted when that is asked for", async ({ writeDocument, write, read, button }) => {
  await writeDocument("query Narrow($id:ID!){ # who\nuser(id:$id){name}}");
  await write("variables.json", '{"id":"User:1"}');
  await button("Prettify query").click();
  await until(async () => (await read("operation.graphql")) === "query Narrow($id: ID!) {\n  # who\n  user(id: $id) {\n    name\n  }\n}\n");
  assert.equal(await read("variables.json"), '{\n  "id": "User:1"\n}\n');
});

feature("the keyboard alone is enough: Tab reaches the editor, Enter enters it, and after Ctrl-M Tab leaves it", async ({ page, writeDocument, read, shows }) => {
  await writeDocument("query Keys { users { totalCount } }");
  const isIn = (selector) => page.evaluate(`document.activeElement.closest(${JSON.stringify(selector)}) !== null`);
  await until(() => isIn(".graphiql-query-editor .graphiql-editor"), () => page.keyboard.press("Tab"));
  await page.keyboard.press("Enter");
  await until(() => isIn(".monaco-editor"));
  await page.keyboard.press("Control+End");
  await page.keyboard.press("Tab");
  assert.match(await read("operation.graphql"), /\}\s+$/); // it indents
  await page.keyboard.press("Control+Enter");
  await shows('"totalCount"');
  await page.keyboard.press("Control+M");
  await page.keyboard.press("Tab");
  await until(async () => !(await isIn(".graphiql-query-editor .monaco-editor")));
});

const production = await start("--production");
feature(
  "a server that shows no schema is said to, and runs operations",
  async ({ page, button, execute, shows }) => {
    await shows("// This server does not show its schema: there is no introspection here.");
    await button("Show Documentation Explorer").click();
    await page.getByText("This server does not show its schema, so there is no documentation here").waitFor();
    await execute();
    await shows('"Grace Hopper"');
    await button("Re-fetch GraphQL schema").click();
    await shows("// This server does not show its schema");
  },
  production.page,
);

const folder = await mkdtemp(join(tmpdir(), "rollcall-documents-"));
after(() => rm(folder, { recursive: true }));
await writeFile(join(folder, "documents.json"), JSON.stringify({ "0": "query Listed { users { totalCount } }" }));
const listed = await start(`--documents=${join(folder, "documents.json")}`, "--documents-only");
feature(
  "a server that runs only listed documents says so",
  async ({ page, button, execute, shows }) => {
    await shows("// This server does not show its schema: ");
    await execute();
    await shows('"PERSISTED_QUERY_ID_REQUIRED"');
    await button("Show Documentation Explorer").click();
    await page.getByText("This server does not show its schema, so there is no documentation here").waitFor();
  },
  listed.page,
);
