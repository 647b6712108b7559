// Strings mean to the server what they mean to graphql-js.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "graphql";
import { post, start } from "../server.js";

const { url } = await start();

// What strings are made of, and what is easily taken for the end of one.
const pieces = [
  '"', '""', '"""', '\\"""', '\\"', "\\", "\\\\", "\\/", "\\n", "\\t", "\\q", "\\u", "\\u0041", "\\u00e9", "\\u{", "}", "\\u{1F600}",
  "\\u{41}", "\\u{22}", "\\u{5c}", "\\u{D800}", "\\u{110000}", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\n", "\r\n", "\r", " ", "  ",
  "\t", "a", "b", "é", "😀", "#", ",", "{",
];

let seed = 13;
/** randomBelow is a number below n, the same in each run. */
const randomBelow = (n) => (seed = (seed * 48271) % 2147483647) % n;

/** randomLiteral is what may be a string. */
function randomLiteral() {
  const quotes = randomBelow(2) ? '"""' : '"';
  return quotes + Array.from({ length: randomBelow(10) }, () => pieces[randomBelow(pieces.length)]).join("") + quotes;
}

/** value is what the first argument of a query means to graphql-js, or undefined where the query is a syntax error. */
function value(query) {
  try {
    return parse(query).definitions[0].selectionSet.selections[0].arguments[0].value.value;
  } catch {
    return undefined;
  }
}

test("a string means what it means to graphql-js, and is refused where graphql-js refuses it", async () => {
  // An id that is none is quoted in the error: that of the string, and that of its value, which is sent as a variable.
  const queries = Array.from({ length: 2000 }, () => `query($value: ID!) {
    string: user(id: ${randomLiteral()}) { id }
    value: user(id: $value) { id }
  }`);
  let same = 0;
  for (let i = 0; i < queries.length; i += 50) {
    const array = queries.slice(i, i + 50).map((query) => ({ query, value: value(query) }));
    const response = await post(url, array.map(({ query, value = "" }) => ({ query, variables: { value } })));
    for (const [j, { data, errors }] of (await response.json()).entries()) {
      const { query, value } = array[j];
      if (value === undefined) {
        assert.equal(errors?.[0].extensions.code, "GRAPHQL_PARSE_FAILED", `${query}: ${JSON.stringify(errors)}`);
        continue;
      }
      const message = (name) => errors?.find(({ path }) => path?.[0] === name)?.message;
      assert.deepEqual(data, { string: null, value: null }, query);
      assert.ok(message("value")?.includes("is not the id"), `${query}: ${JSON.stringify(errors)}`);
      assert.equal(message("string"), message("value"), query);
      same++;
    }
  }
  assert.ok(same > 300, `${same} strings were taken`);
});
