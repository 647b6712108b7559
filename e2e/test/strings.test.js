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
/** below is a number below n, the same in each run. */
const below = (n) => (seed = (seed * 48271) % 2147483647) % n;

/** literal is what may be a string. It begins and ends with a letter, since names are trimmed. */
function literal() {
  const quotes = below(2) ? '"""' : '"';
  return `${quotes}x${Array.from({ length: below(10) }, () => pieces[below(pieces.length)]).join("")}x${quotes}`;
}

/** value is what a mutation's name is to graphql-js, or undefined where the mutation is a syntax error. */
function value(query) {
  try {
    return parse(query).definitions[0].selectionSet.selections[0].arguments[0].value.fields[1].value.value;
  } catch {
    return undefined;
  }
}

test("a string is stored as graphql-js reads it, and refused where graphql-js refuses it", async () => {
  const queries = Array.from({ length: 1000 }, () => `mutation {
    updateUser(input: {id: "User:7", name: ${literal()}}) { user { name } }
  }`);
  let stored = 0;
  for (let i = 0; i < queries.length; i += 50) {
    const array = queries.slice(i, i + 50);
    const response = await post(url, array.map((query) => ({ query })));
    for (const [j, answer] of (await response.json()).entries()) {
      const name = value(array[j]);
      if (name === undefined) {
        assert.equal(answer.errors?.[0].extensions.code, "GRAPHQL_PARSE_FAILED", `${array[j]}: ${JSON.stringify(answer)}`);
        continue;
      }
      assert.deepEqual(answer, { data: { updateUser: { user: { name } } } }, array[j]);
      stored++;
    }
  }
  assert.ok(stored > 200, `${stored} names were stored`);
});
