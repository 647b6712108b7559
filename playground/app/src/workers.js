// Monaco does some of its work in workers, which are files of ours. The page says what they are called.
const { editorWorker, graphqlWorker, jsonWorker } = document.body.dataset;
const files = { graphql: graphqlWorker, json: jsonWorker };

globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(new URL(files[label] ?? editorWorker, document.baseURI), { type: "module", name: label }),
};
