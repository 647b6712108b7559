// The Playground in a browser that can reach nothing but this machine.
import { after } from "node:test";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.ROLLCALL_E2E_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
after(() => browser.close());

export const patience = 30_000; // for a machine with much else to do

/**
 * visit opens the page, with nothing stored by an earlier visit.
 * @param {string} address
 * @param {import("playwright-core").BrowserContextOptions} options
 * @param {string[]} others where else requests may go: to the providers of logins
 */
export async function visit(address, options = {}, ...others) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const wrong = [];
  const stopped = []; // requests that the page itself has ended
  let leaving = false;
  page.on("console", (message) => wrong.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`exception: ${error}`));
  page.on("requestfailed", (request) => {
    const reason = request.failure().errorText;
    if (reason !== "net::ERR_ABORTED") wrong.push(`${reason}: ${request.url()}`);
    else if (!leaving) stopped.push(`${request.method()} ${request.url()}`);
  });
  context.on("response", (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()}: ${response.url()}`);
  });
  context.on("request", (request) => {
    if (![address, ...others].some((one) => request.url().startsWith(one))) wrong.push(`elsewhere: ${request.url()}`);
  });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => console.error("forbidden", violatedDirective, blockedURI));
  });
  const editor = page.locator(".graphiql-query-editor .monaco-editor");
  const model = (kind) => `__MONACO.editor.getModels().find(({ uri }) => uri.path.endsWith(${JSON.stringify(kind)}))`;
  const visitor = {
    page,
    wrong,
    stopped,
    editor,

    /** ready waits for the editors. */
    async ready() {
      await editor.locator(".view-line").first().waitFor();
      await until(() => page.evaluate(`Boolean(globalThis.__MONACO && ${model("response.json")} && ${model("variables.json")})`));
    },

    /** reload leaves the page and opens it again; what it was loading is given up. */
    async reload() {
      leaving = true;
      await page.reload();
      leaving = false;
      await visitor.ready();
    },

    /** read returns what is in an editor. */
    read: (kind) => page.evaluate(`${model(kind)}.getValue()`),

    /** result returns the text of the result's pane. */
    result: () => visitor.read("response.json"),

    /** write replaces what is in an editor. */
    write: (kind, text) => page.evaluate(`${model(kind)}.setValue(${JSON.stringify(text)})`),

    /** writeDocument writes a document whose first operation has a name of its own, and waits until GraphiQL knows it. */
    async writeDocument(text) {
      await visitor.write("operation.graphql", text);
      await visitor.tab(/(?:query|mutation|subscription) +(\w+)/.exec(text)[1]);
    },

    /** tab waits until the current tab has a title. */
    tab: (title) => page.locator(".graphiql-tab-active").getByRole("tab", { name: title, exact: true }).or(
      page.locator(".graphiql-tab-active button", { hasText: new RegExp(`^${title}$`) }),
    ).first().waitFor(),

    tabs: () => page.locator(".graphiql-tab-button").allTextContents(),
    button: (name) => page.getByRole("button", { name, exact: name.length < 4 }), // "On" is in many
    execute: () => visitor.button("Execute query").click(),

    /** shows waits until the result has all these texts. */
    async shows(...texts) {
      await until(async () => {
        const result = await visitor.result();
        return texts.every((text) => result.includes(text));
      });
    },

    /** openExample opens one of the examples in a tab. */
    async openExample(title) {
      if (!(await page.locator(".examples").isVisible())) await visitor.button("Show Examples").click();
      await page.locator(".examples button", { has: page.getByText(title, { exact: true }) }).click();
    },

    /** underlines waits until an editor has found a fault. */
    async underlines(kind, fault) {
      const faults = `__MONACO.editor.getModelMarkers({ resource: ${model(kind)}.uri }).map(({ message }) => message)`;
      await until(async () => (await page.evaluate(faults)).some((message) => fault.test(message)));
    },
  };
  await page.goto(address);
  await visitor.ready();
  return visitor;
}

/** until repeats something until a condition holds. */
export async function until(condition, repeat) {
  for (const end = Date.now() + patience; !(await condition()); await new Promise((resolve) => setTimeout(resolve, 100))) {
    if (Date.now() > end) throw new Error(`this did not become true in ${patience} ms: ${condition}`);
    await repeat?.();
  }
}
