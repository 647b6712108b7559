// The audits of graphql-http: every MUST, SHOULD and MAY.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverAudits } from "graphql-http";
import { start } from "../server.js";

const { url } = await start();
const audits = serverAudits({ url, fetchFn: fetch });

test("there are audits", () => assert.ok(audits.length > 50));

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    if (result.status !== "ok") {
      const answer = result.response ? `${result.response.status} ${await result.response.clone().text()}` : "";
      assert.fail(`${result.status}: ${result.reason} ${answer}`);
    }
  });
}
