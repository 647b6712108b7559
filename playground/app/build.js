// Builds the page at / from its sources: into ../dist, or into the folder that is given. What comes out depends on nothing but the
// files here and the packages of package-lock.json.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { gzipSync } from "fflate";

const app = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(app, "../dist"));

const { outputFiles, metafile } = await esbuild.build({
  absWorkingDir: app,
  entryPoints: {
    page: "src/main.jsx",
    "editor-worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "graphql-worker": "monaco-graphql/esm/graphql.worker.js",
    "json-worker": "monaco-editor/esm/vs/language/json/json.worker.js",
  },
  bundle: true,
  splitting: true, // the workers share what they can with the page
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // licenses() has them all
  jsx: "automatic",
  alias: { "prettier/parser-babel": "prettier/plugins/babel", "prettier/parser-graphql": "prettier/plugins/graphql" }, // as modules
  loader: { ".svg": "file", ".ttf": "file", ".woff2": "file" },
  define: { "process.env.NODE_ENV": '"production"', EXAMPLES: JSON.stringify(await examples()) },
  outdir: "dist", // nothing is written there: names would depend on another
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  write: false,
  metafile: true,
});

const files = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
for (const name of files.keys()) {
  if (extname(name) === ".css" && !name.startsWith("page-")) files.delete(name); // what the page's has already: nothing loads it
}
const licensesText = Buffer.from(await licenses());
files.set(`licenses-${createHash("sha256").update(licensesText).digest("hex").slice(0, 8).toUpperCase()}.txt`, licensesText);

// The page names what it loads, relative to itself.
const page = (await readFile(join(app, "index.html"), "utf8")).replace(/{{(.*?)\.(.*?)}}/g, (_, name, extension) => {
  const [found, ...others] = [...files.keys()].filter((file) => file.replace(/-[0-9A-Z]{8}\./, ".") === `${name}.${extension}`);
  if (!found || others.length) throw new Error(`index.html asks for ${name}.${extension}, which is ${[found, ...others]}`);
  return `playground/${found}`;
});

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await writeFile(join(out, "index.html"), page);
for (const [name, contents] of files) {
  if (extname(name) === ".woff2") await writeFile(join(out, name), contents); // compressed already
  else await writeFile(join(out, `${name}.gz`), gzipSync(contents, { level: 9, mtime: 0 }));
}

/** examples reads the examples. In each, the first line of the comment at the beginning is the title, the others describe it. */
async function examples() {
  const folder = join(app, "examples");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".graphql")).sort();
  return Promise.all(
    names.map(async (name) => {
      const query = await readFile(join(folder, name), "utf8");
      const [title, ...description] = /^(#.*\n)+/.exec(query)[0].trim().split("\n").map((line) => line.replace(/^# */, ""));
      const variables = await readFile(join(folder, name.replace(/graphql$/, "json")), "utf8").catch(() => "");
      return { title, description: description.join(" "), query, variables };
    }),
  );
}

/** licenses returns the licenses of all packages of which something is in the files. */
async function licenses() {
  const packages = new Set();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(inputs)) {
      const [found] = /^(.*\/)?node_modules\/(@[^/]+\/)?[^/]+/.exec(input) ?? [];
      if (found && bytesInOutput > 0) packages.add(found);
    }
  }
  const texts = [];
  for (const folder of [...packages].sort()) {
    const { name, version, license, author } = JSON.parse(await readFile(join(app, folder, "package.json"), "utf8"));
    if (!license) throw new Error(`${name} has no license`);
    const by = typeof author === "string" ? author : author?.name;
    let text = `${name} ${version}, ${license}${by ? `, by ${by}` : ""}\n`;
    for (const file of (await readdir(join(app, folder))).sort()) {
      if (/^(licen[cs]e|copying|notice|thirdpartynotices)(\.|$)/i.test(file)) {
        text += `\n${(await readFile(join(app, folder, file), "utf8")).replaceAll("\r\n", "\n").trim()}\n`;
      }
    }
    texts.push(text);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
