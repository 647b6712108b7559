import { useGraphiQL } from "@graphiql/react";
import { DOC_EXPLORER_PLUGIN, DocExplorer } from "@graphiql/plugin-doc-explorer";
import { noSchema } from "./fetcher.js";

/** documentationPlugin is GraphiQL's pane with the schema's documentation. It says so where the server gives no schema. */
export const documentationPlugin = { ...DOC_EXPLORER_PLUGIN, content: Documentation };

function Documentation() {
  const error = useGraphiQL((state) => state.fetchError);
  if (!error?.startsWith(noSchema)) return <DocExplorer />;
  const [reason] = error.slice(noSchema.length).split("\n");
  return (
    <section className="notice" aria-label="Documentation">
      <h2>No documentation</h2>
      <p>This server does not show its schema, so there is no documentation here, and the editor completes and checks nothing.</p>
      <p>Its answer is: “{reason}”</p>
      <p>Operations need no schema to be run.</p>
    </section>
  );
}
