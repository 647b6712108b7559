// Logins in the Playground, by a browser, at a provider that is somebody else's program.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until, visit } from "../browser.js";
import { provider } from "../provider.js";
import { post, rename, start } from "../server.js";

const audience = "https://rollcall.example";
const op = await provider();
const stranger = await provider();
const known = [`--oidc-issuer=${op.issuer}`, `--oidc-audience=${audience}`, "--oidc-roles-claim=roles"];
const client = ["--oidc-client-id=playground", `--oidc-parameter=resource=${audience}`];
const server = await start(...known, ...client, "--allow-anonymous");
const closed = await start(...known, ...client);
const below = await start(...known, ...client, "--allow-anonymous", "--base-path=/a/b");
op.playground(server.page, closed.page, below.page);
for (const { url } of [server, closed, below]) { // it has asked for the provider's keys
  const token = await op.token(audience);
  await until(async () => (await post(url, { query: "{ __typename }" }, { Authorization: `Bearer ${token}` })).ok);
}

/**
 * feature is a test of the page, which a new visitor has opened. Whatever goes wrong fails it, what the page's policy forbids above all.
 * @param {string} name
 * @param {(visitor: Awaited<ReturnType<typeof open>>) => Promise<void>} run
 * @param {{page: string, url: string}} at the server
 */
function feature(name, run, at = server) {
  test(name, async () => {
    const visitor = await open(at);
    try {
      await run(visitor);
      assert.deepEqual(visitor.wrong, []);
    } catch (error) {
      error.message += `\nThe page's faults: ${JSON.stringify(visitor.wrong)}. The result: ${await visitor.result().catch(String)}`;
      throw error;
    } finally {
      await visitor.page.context().close();
      op.say({});
      op.live(3600);
      op.refuse();
    }
  });
}

async function open({ page: address, url }, options) {
  const visitor = await visit(address, options, op.issuer);
  const { page, button } = visitor;
  const sent = []; // what the page's operations have as Authorization
  page.on("request", (request) => {
    if (request.url() === url) sent.push(request.headers().authorization);
  });
  const answers = []; // of the provider's to requests for tokens
  page.on("response", async (response) => {
    if (response.url() === `${op.issuer}/token` && response.request().method() === "POST") answers.push(await response.json().catch(String));
  });
  return {
    ...visitor,
    sent,
    answers,
    problem: page.locator(".login-problem"),

    /** logIn logs in, where the provider asks who it is. */
    async logIn(name) {
      await button("Log in").first().click();
      await page.getByLabel("Name").fill(name);
      await page.getByRole("button", { name: "Continue" }).click();
      await visitor.ready();
      await page.locator(".login-name").getByText(name).waitFor();
    },

    /** stored returns all that a browser keeps of the page. */
    stored: () => page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state, location.href])"),
  };
}

feature("who logs in has operations answered with the access token, which is nowhere but in memory", async (visitor) => {
  const { page, sent, answers, execute, shows, stored } = visitor;
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await visitor.logIn("ada");
  assert.equal(page.url(), server.page); // neither code nor state
  await execute();
  await shows('"Grace Hopper"');

  const [answer] = answers;
  assert.deepEqual(new Set(sent.slice(-2)), new Set([`Bearer ${answer.access_token}`])); // the schema's query too
  const claims = JSON.parse(Buffer.from(answer.access_token.split(".")[1], "base64url"));
  assert.deepEqual([claims.sub, claims.aud], ["ada", audience]);
  const begun = new URL(requests.find((url) => url.startsWith(`${op.issuer}/auth?`))).searchParams;
  for (const [name, value] of Object.entries({ response_type: "code", code_challenge_method: "S256", client_id: "playground", redirect_uri: server.page, scope: "openid profile email" })) {
    assert.equal(begun.get(name), value);
  }
  assert.ok(["state", "nonce", "code_challenge"].every((name) => begun.get(name).length >= 40));

  const history = await (await page.context().newCDPSession(page)).send("Page.getNavigationHistory");
  const kept = (await stored()) + JSON.stringify(history);
  for (const secret of [answer.access_token, answer.refresh_token, answer.id_token]) {
    assert.ok(secret && !kept.includes(secret) && !requests.some((url) => url.includes(secret)), kept);
  }
  assert.doesNotMatch(kept, /[?&]code=/);
});

feature("below a path who logs in comes back there", async (visitor) => {
  assert.equal(new URL(below.page).pathname, "/a/b/");
  const { page, sent, answers, execute, shows, reload } = visitor;
  await visitor.logIn("ada");
  assert.equal(page.url(), below.page);
  await execute();
  await shows('"Grace Hopper"');
  assert.equal(sent.at(-1), `Bearer ${answers[0].access_token}`);
  await reload();
  await page.locator(".login-name").getByText("ada").waitFor();
  assert.equal(page.url(), below.page);
}, below);

feature("a page that is loaded again logs in again without asking, as long as the provider knows the user", async (visitor) => {
  const { page, sent, execute, shows, reload, button, problem } = visitor;
  await visitor.logIn("ada");
  await reload();
  await page.locator(".login-name").getByText("ada").waitFor();
  await visitor.ready(); // the page has been to the provider and back
  assert.equal(page.url(), server.page);
  await execute();
  await shows('"Grace Hopper"');
  assert.match(sent.at(-1), /^Bearer /);
  await page.context().clearCookies();
  await reload();
  await problem.getByText("Your login has ended.").waitFor();
  await button("Log in").first().waitFor();
  await reload(); // now nobody is asked
  assert.ok(!(await problem.isVisible()));
});

feature("who logs out is forgotten, here and as far as the provider can, and may log in as somebody else", async (visitor) => {
  const { page, sent, answers, button, execute, shows, stored, reload } = visitor;
  await visitor.logIn("ada");
  await button("Log out").click();
  await button("Log in").waitFor();
  await until(() => op.asked.at(-1) === "/token/revocation");
  await execute();
  await shows('"Grace Hopper"');
  assert.equal(sent.at(-1), undefined);
  const [{ access_token: token, refresh_token: revoked }] = answers;
  for (const secret of ["ada", token, revoked]) assert.ok(!(await stored()).includes(secret));
  const body = new URLSearchParams({ grant_type: "refresh_token", client_id: "playground", refresh_token: revoked });
  assert.equal((await (await fetch(`${op.issuer}/token`, { method: "POST", body })).json()).error, "invalid_grant");
  await reload();
  await visitor.logIn("grace"); // the provider asks, although it knows ada
  await page.locator(".login-name").getByText("grace").waitFor();
});

feature("a token that ends is renewed silently, and once it cannot be, a new login is offered", async (visitor) => {
  const { page, sent, execute, shows, problem, wrong, button } = visitor;
  op.live(12); // seconds, and the page renews what has less than ten
  await visitor.logIn("ada");
  op.live(3600);
  const [first] = sent.slice(-1);
  const asked = op.asked.length;
  await until(async () => sent.at(-1) !== first, execute);
  await shows('"Grace Hopper"');
  assert.match(sent.at(-1), /^Bearer /);
  assert.deepEqual(op.asked.slice(asked).filter((path) => path === "/auth" || path === "/token"), ["/token"]);
  assert.equal(page.url(), server.page);
});

feature("where the server refuses a token, or the provider to renew it, a new login is offered", async (visitor) => {
  const { page, sent, execute, shows, problem, wrong, button } = visitor;
  op.say({ aud: "https://other.example" });
  await visitor.logIn("ada");
  await problem.getByText("The server refuses your login. It says: “the token is for another audience”.").waitFor();
  for (let known = -1; known < wrong.length; await page.waitForTimeout(500)) known = wrong.length; // what is refused later would be renewed, and no login be offered
  op.say({});
  op.live(12);
  await problem.getByRole("button", { name: "Log in" }).click(); // without a question: the provider knows who it is
  await page.waitForURL(server.page);
  await visitor.ready();
  await page.locator(".login-name").getByText("ada").waitFor();
  await execute();
  await shows('"Grace Hopper"');
  assert.ok(!(await problem.isVisible()));

  op.live(3600);
  op.forget();
  await until(() => problem.isVisible(), execute);
  await problem.getByText("Your login has ended.").waitFor();
  assert.ok(wrong.splice(0).every((text) => /\b40[01]\b/.test(text))); // what the two have answered
  await button("Close").click();
  assert.ok(!(await problem.isVisible()));
});

feature("a login that fails says what to mend", async (visitor) => {
  const { page, problem, wrong, button } = visitor;
  const failed = async (...texts) => {
    await visitor.ready();
    for (const text of texts) await problem.getByText(text).waitFor();
    assert.equal(page.url(), server.page);
  };
  await button("Log in").click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await failed("You are not logged in: the provider has refused it, or you have cancelled it. It says: “The user has cancelled.”.");
  for (const [error, ...texts] of [
    ["invalid_scope", "does not give the client playground the scopes openid profile email", "--oidc-scopes"],
    ["server_error", "the provider answers server_error. It says: “<b>Sorry</b>”."],
  ]) {
    op.refuse({ error, error_description: "<b>Sorry</b>" });
    await problem.getByRole("button", { name: "Log in" }).click();
    await failed(...texts);
  }
  op.refuse();
  for (const answer of ["code=1&state=2", "error=access_denied&error_description=Call+this+number&state=2"]) {
    const asked = op.asked.length;
    await page.goto(`${server.page}?${answer}`);
    await failed("its answer is not to a login that was begun in this tab");
    assert.doesNotMatch(await problem.textContent(), /Call/);
    assert.deepEqual(op.asked.slice(asked), []);
  }

  await op.stop();
  await problem.getByRole("button", { name: "Log in" }).click();
  await failed(`${op.issuer} does not answer this page. It is down, or the client playground there lacks ${new URL(server.page).origin} among its web origins`);
  await op.start();
  assert.ok(wrong.splice(0).every((text) => /ERR_CONNECTION_REFUSED/.test(text)));
  await problem.getByRole("button", { name: "Log in" }).click();
  await page.getByLabel("Name").waitFor(); // it works again
});

feature("an Authorization in Headers is sent in place of the login's", async (visitor) => {
  const { page, sent, write, execute, shows, problem, wrong } = visitor;
  await visitor.logIn("ada");
  await page.locator('[data-name="headers"]').click();
  await write("request-headers.json", JSON.stringify({ Authorization: `Bearer ${await op.token(audience)}` }));
  await execute();
  await shows('"Grace Hopper"');
  await write("request-headers.json", '{ "authorization": "Bearer mine" }');
  await execute();
  await shows('"UNAUTHENTICATED"');
  assert.equal(sent.at(-1), "Bearer mine");
  await problem.getByText("The server refuses the Authorization that is written in Headers.").waitFor();
  assert.equal(wrong.splice(0).length, 2); // the answer, and Chromium's word of it
  await write("request-headers.json", "");
  await execute();
  await shows('"Grace Hopper"');
  assert.ok(!(await problem.isVisible()));
});

feature("a subscription has the token, and the page may ask nobody but its server and the provider", async (visitor) => {
  const { page, sent, wrong, writeDocument, execute, shows } = visitor;
  await visitor.logIn("ada");
  await writeDocument('subscription Changes { userChanged(ids: ["User:50"]) { kind user { name } } }');
  await execute();
  const editor = { Authorization: `Bearer ${await op.token(audience, { roles: ["EDITOR"] })}` };
  let renamed = 0;
  const rename50 = () => rename(server.url, "User:50", `Seen by a login ${renamed++}`, editor);
  await until(() => visitor.result().then((text) => text.includes("Seen by a login")), rename50);
  assert.match(sent.at(-1), /^Bearer /);

  const policy = (await fetch(server.page)).headers.get("Content-Security-Policy");
  assert.equal(/connect-src ([^;]*)/.exec(policy)[1], `'self' ${op.issuer}`);
  assert.equal(await page.evaluate((url) => fetch(url).then(() => "answered", () => "forbidden"), stranger.issuer), "forbidden");
  await until(() => wrong.some((text) => text.startsWith("error: forbidden connect-src")));
  assert.ok(wrong.splice(0).every((text) => /connect-src|elsewhere|Fetch API cannot load|csp/i.test(text)));
  assert.deepEqual(stranger.asked, []);
});

feature("a server that lets nobody in without a login offers one, and shows its schema after it", async (visitor) => {
  const { page, problem, execute, shows, wrong, sent } = visitor;
  await problem.getByText("The server wants you to log in.", { exact: true }).waitFor();
  await shows("// Log in, or write a token in Headers and fetch the schema again.");
  await execute();
  await shows('"UNAUTHENTICATED"', "the request has no credentials");
  assert.ok(wrong.splice(0).every((text) => /\b401\b/.test(text)));
  await problem.getByRole("button", { name: "Log in" }).click();
  await page.getByLabel("Name").fill("ada");
  await page.getByRole("button", { name: "Continue" }).click();
  await visitor.ready();
  await execute();
  await shows('"Grace Hopper"');
  assert.ok(sent.slice(-2).every((value) => /^Bearer /.test(value)));
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.locator(".graphiql-doc-explorer").getByRole("link", { name: "Query", exact: true }).waitFor();
  assert.ok(!(await problem.isVisible()));
}, closed);

test("a server at which nobody can log in from the page asks for a token in Headers", async () => {
  const tokens = await start(...known);
  const visitor = await open(tokens);
  await visitor.problem.getByText('The server wants a token. Write it in Headers: {"Authorization": "Bearer …"}.').waitFor();
  assert.deepEqual(await visitor.page.getByRole("button", { name: /log in/i }).count(), 0);
  await visitor.page.locator('[data-name="headers"]').click();
  await visitor.write("request-headers.json", JSON.stringify({ Authorization: `Bearer ${await op.token(audience)}` }));
  await visitor.execute();
  await visitor.shows('"Grace Hopper"');
  assert.ok(!(await visitor.problem.isVisible()));
  await visitor.page.context().close();
});

test("on a phone there is room to log in, and for what has failed", async () => {
  const visitor = await open(server, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const inside = async (locator) => {
    const { x, y, width, height } = await locator.boundingBox();
    assert.ok(x >= 0 && y >= 0 && x + width <= 390 && y + height <= 844, JSON.stringify([x, y, width, height]));
  };
  await inside(visitor.button("Log in"));
  await visitor.button("Log in").click();
  await visitor.page.getByRole("button", { name: "Cancel" }).click();
  await visitor.ready();
  await inside(visitor.problem);
  await visitor.button("Close").click();
  await visitor.logIn("Wolfeschlegelsteinhausenbergerdorff");
  await inside(visitor.button("Log out"));
  await inside(visitor.page.locator(".graphiql-tab-active"));
  await visitor.page.context().close();
});
