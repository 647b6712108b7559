// Runs the JavaScript of README.md. What a line logs has to be what its comment says.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { start } from "../server.js";

const { url } = await start();
const folder = join(import.meta.dirname, ".."); // where the modules are
const text = await readFile(join(folder, "..", "README.md"), "utf8");

const blocks = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(({ 1: code, index }) => ({
  code,
  line: text.slice(0, index).split("\n").length + 1,
}));

const ending = blocks.filter(({ code }) => !code.startsWith("// users.mjs")); // which sync.test.js runs

test("The README has code for clients", () => assert.ok(ending.length >= 2));

for (const { code, line } of ending) {
  test(`The code at line ${line} of the README logs what it says`, async () => {
    const expected = [...code.matchAll(/^ *console\.log\(.*\); \/\/ (.*)$/gm)].map(([, comment]) => `${comment}\n`);
    assert.ok(expected.length > 0, `README.md:${line}: nothing is logged, with a comment that says what`);
    const script = code.replaceAll("http://127.0.0.1:8080/query", url);
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], { cwd: folder, timeout: 20_000 });
    assert.equal(stdout, expected.join(""), `README.md:${line}`);
  });
}
