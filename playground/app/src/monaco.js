// How Monaco, the editor in GraphiQL, is set up. This has to be loaded before it.
import { language } from "monaco-editor/esm/vs/basic-languages/graphql/graphql.js";

// Some of its work is done in workers, which are files of ours. The page says what they are called.
const { editorWorker, graphqlWorker, jsonWorker } = document.body.dataset;
const files = { graphql: graphqlWorker, json: jsonWorker };

globalThis.MonacoEnvironment = {
  getWorker(_, label) {
    const worker = new Worker(new URL(files[label] ?? editorWorker, document.baseURI), { type: "module", name: label });
    // One that Monaco replaces while it is loading would leave requests that have failed: it ends when it has answered.
    const answered = new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
    worker.terminate = () => answered.then(() => Worker.prototype.terminate.call(worker));
    return worker;
  },
};

// Its definition of GraphQL writes every directive to the console.
for (const rule of language.tokenizer.root) {
  if (Array.isArray(rule)) delete rule[1].log;
}
