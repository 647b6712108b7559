// Build tools that read the schema, and the lists of documents that they write.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildClientSchema, getIntrospectionQuery, parse, printSchema, validate } from "graphql";
import { post, start } from "../server.js";

const here = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);

/** project makes a folder with these files, in which the tools of this package can be run. */
async function project(files) {
  const folder = await mkdtemp(join(tmpdir(), "rollcall-e2e-tools-"));
  after(() => rm(folder, { recursive: true }));
  await symlink(join(here, "node_modules"), join(folder, "node_modules"));
  await cp(join(here, "..", "schema.graphqls"), join(folder, "schema.graphql"));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), typeof text === "string" ? text : JSON.stringify(text, null, 2));
  }
  const tool = async (name, ...args) => {
    const timeout = 120_000;
    const env = { ...process.env, CI: "true" };
    try {
      return (await run(join(here, "node_modules", ".bin", name), args, { cwd: folder, timeout, env })).stdout;
    } catch (error) {
      throw new Error(`${name}: ${error.message}\n${error.stdout}\n${error.stderr}`);
    }
  };
  return { folder, tool, read: async (name) => readFile(join(folder, name), "utf8") };
}

/** checkServed sends each listed document by its id, and one that is not listed, to a server that runs nothing else. */
async function checkServed(folder, manifest, id, variables, wanted) {
  const server = await start(`--documents=${join(folder, manifest)}`, "--documents-only");
  const send = async (body) => (await post(server.url, body)).json();
  const code = (answer) => answer.errors?.[0].extensions.code;
  const persistedQuery = { version: 1, sha256Hash: id };
  wanted(await send({ documentId: id, variables }));
  wanted(await send({ extensions: { persistedQuery }, variables }));
  const extensions = encodeURIComponent(JSON.stringify({ persistedQuery }));
  const query = `extensions=${extensions}&variables=${encodeURIComponent(JSON.stringify(variables))}`;
  wanted(await (await fetch(`${server.url}?${query}`)).json());
  assert.equal(code(await send({ query: "{ __typename }" })), "PERSISTED_QUERY_ID_REQUIRED");
  assert.equal(code(await send({ documentId: "other" })), "PERSISTED_QUERY_NOT_IN_LIST");
  await server.stop();
}

test("relay-compiler compiles fragments with pagination and a list of documents, which are served", async () => {
  const { folder, tool, read } = await project({
    "relay.config.json": {
      src: "src",
      schema: "schema.graphql",
      language: "typescript",
      artifactDirectory: "src/__generated__",
      eagerEsModules: true,
      customScalarTypes: { Time: "string" },
      persistConfig: { file: "persisted.json", algorithm: "SHA256" },
    },
    "persisted.json": {},
    "src/__generated__/.keep": "",
    "src/users.ts": `
      import { graphql } from "react-relay";
      export const query = graphql\`
        query usersQuery($id: ID!) {
          ...users_list
          user(id: $id) { ...users_one }
        }\`;
      export const one = graphql\`
        fragment users_one on User @refetchable(queryName: "usersOneRefetch") { name manager { name } createdAt }\`;
      export const list = graphql\`
        fragment users_list on Query
        @argumentDefinitions(first: { type: "Int", defaultValue: 2 }, after: { type: "String" })
        @refetchable(queryName: "usersListPagination") {
          users(first: $first, after: $after) @connection(key: "users_users") { edges { node { id ...users_one } } }
        }\`;
      export const watch = graphql\`
        subscription usersSubscription($ids: [ID!]) { userChanged(ids: $ids) { kind userId user { ...users_one } } }\`;
      export const rename = graphql\`
        mutation usersMutation($input: UpdateUserInput!) @raw_response_type { updateUser(input: $input) { user { id name } } }\`;
    `,
  });
  await tool("relay-compiler", "relay.config.json");
  const documents = JSON.parse(await read("persisted.json"));
  assert.equal(Object.keys(documents).length, 5);
  const artifact = await read("src/__generated__/usersQuery.graphql.ts");
  const id = /"id": "([0-9a-f]{64})"/.exec(artifact)[1];
  await checkServed(folder, "persisted.json", id, { id: "User:42" }, ({ data, errors }) => {
    assert.equal(errors, undefined);
    assert.equal(data.user.name, "Kwame Weber");
    assert.equal(data.users.edges.length, 2);
    assert.equal(data.users.pageInfo.hasNextPage, true);
  });
});

test("the schema keeps graphql-eslint's rules of the Relay specification, which find what breaks them", async () => {
  const config = `
    import graphql from "@graphql-eslint/eslint-plugin";
    export default [{
      files: ["*.graphql"],
      plugins: { "@graphql-eslint": graphql },
      languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: "schema.graphql" } } },
      rules: {
        "@graphql-eslint/relay-arguments": ["error", { includeBoth: true }],
        "@graphql-eslint/relay-connection-types": "error",
        "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }], // connections have nodes too
        "@graphql-eslint/relay-page-info": "error",
      },
    }];`;
  const { folder, tool, read } = await project({ "eslint.config.mjs": config });
  // The log is read forwards, and a change or an API token is no object that could be asked for by an id.
  const schema = (await read("schema.graphql"))
    .replace(/^ {2}changes\($/m, "# eslint-disable-next-line @graphql-eslint/relay-arguments\n$&")
    .replace(/^type (ApiToken|Change|History)Edge /gm, "# eslint-disable-next-line @graphql-eslint/relay-edge-types\n$&");
  await writeFile(join(folder, "schema.graphql"), schema);
  await tool("eslint", "schema.graphql");
  for (const [from, to, rule] of [
    [/ last: Int$/m, " final: Int", /relay-arguments/],
    [/^type UserConnection /m, "union UserConnection = User\ntype Users ", /relay-connection-types/],
    [/cursor: String!/, "cursor: [String!]", /relay-edge-types/],
    ["hasPreviousPage: Boolean!", "hasPreviousPage: Boolean", /relay-page-info/],
  ]) {
    await writeFile(join(folder, "schema.graphql"), schema.replace(from, to));
    await assert.rejects(tool("eslint", "schema.graphql"), rule);
  }
});

test("GraphQL Code Generator writes types that TypeScript accepts, and a list of documents, which are served", async () => {
  const { folder, tool, read } = await project({
    "codegen.json": {
      schema: "schema.graphql",
      documents: ["src/main.ts"],
      generates: {
        "src/gql/": {
          preset: "client",
          presetConfig: { persistedDocuments: { hashAlgorithm: "sha256" } },
          config: { scalars: { Time: "string" }, strictScalars: true, useTypeImports: true, enumsAsTypes: true },
        },
      },
    },
    "tsconfig.json": {
      compilerOptions: { strict: true, noEmit: true, module: "esnext", moduleResolution: "bundler", target: "es2022", skipLibCheck: true, types: [] },
      include: ["src"],
    },
    "src/main.ts": `
      import { graphql } from "./gql";
      import type { ResultOf, VariablesOf } from "@graphql-typed-document-node/core";
      const named = graphql(\`query Named($id: ID!) { user(id: $id) { id name manager { name } teams { totalCount } createdAt } }\`);
      const changed = graphql(\`subscription Changed { userChanged { kind userId user { name } } }\`);
      type Named = ResultOf<typeof named>;
      export const variables: VariablesOf<typeof named> = { id: "User:42" };
      export function show(result: Named, change: ResultOf<typeof changed>): string {
        const at: string | undefined = result.user?.createdAt;
        const count: number | undefined = result.user?.teams.totalCount;
        const kind: "CREATED" | "UPDATED" | "DELETED" | "ERASED" | "REVOKED" = change.userChanged.kind;
        // @ts-expect-error no such field: the types are not any
        void result.user?.nobody;
        // @ts-expect-error it may be null
        void result.user.name;
        return [result.user?.manager?.name ?? "nobody", at, count, kind].join();
      }
    `,
  });
  await tool("graphql-codegen", "--config", "codegen.json");
  await tool("tsc", "--project", "tsconfig.json");
  const documents = JSON.parse(await read("src/gql/persisted-documents.json"));
  const [id] = Object.entries(documents).find(([, text]) => text.includes("query Named"));
  await checkServed(folder, "src/gql/persisted-documents.json", id, { id: "User:42" }, ({ data, errors }) => {
    assert.equal(errors, undefined);
    assert.equal(data.user.name, "Kwame Weber");
  });
});

test("Apollo's manifest is served", async () => {
  const { folder, tool, read } = await project({
    "package.json": { name: "app", type: "module" },
    "persisted-query-manifest.config.json": { documents: ["src/**/*.graphql"], output: "manifest.json" },
    "src/named.graphql": "query Named($id: ID!) { user(id: $id) { id name } }",
  });
  await tool("generate-persisted-query-manifest", "--config", "persisted-query-manifest.config.json");
  const manifest = JSON.parse(await read("manifest.json"));
  const [{ id }] = manifest.operations;
  await checkServed(folder, "manifest.json", id, { id: "User:42" }, ({ data, errors }) => {
    assert.equal(errors, undefined);
    assert.equal(data.user.name, "Kwame Weber");
  });
});

test("introspection gives the schema, with which documents can be checked", async () => {
  const { url, stop } = await start();
  const query = getIntrospectionQuery({ descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true, inputValueDeprecation: true });
  const { data, errors } = await (await post(url, { query })).json();
  assert.equal(errors, undefined);
  const schema = buildClientSchema(data);
  assert.match(printSchema(schema), /interface Node/);
  assert.deepEqual(validate(schema, parse("query @snapshot { user(id: 1) { name ... @defer { manager { name } } } }")), []);
  assert.notDeepEqual(validate(schema, parse("{ nobody }")), []);
  await stop();
});
