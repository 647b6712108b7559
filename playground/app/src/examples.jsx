import { useGraphiQL, useGraphiQLActions, pick, formatShortcutForOS } from "@graphiql/react";
import { isNarrow } from "./narrow.js";

/**
 * examples are the files of ../examples, in the order of their names. The comment at the beginning of each is its title and a
 * description of it.
 * @type {{title: string, description: string, query: string, variables: string}[]}
 */
export const examples = EXAMPLES;

/** examplesPlugin is the pane that offers the examples. */
export const examplesPlugin = { title: "Examples", icon: Icon, content: Examples };

function Icon() {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round">
      <path d="M7.5 15.5h5M8.5 18h3" />
      <path d="M10 1.75a5.25 5.25 0 0 0-3 9.56c.5.36.75.8.75 1.44h4.5c0-.64.25-1.08.75-1.44a5.25 5.25 0 0 0-3-9.56Z" />
    </svg>
  );
}

function Examples() {
  const { tabs, queryEditor, variableEditor } = useGraphiQL(pick("tabs", "queryEditor", "variableEditor"));
  const { addTab, changeTab, setVisiblePlugin } = useGraphiQLActions();
  const open = ({ query, variables }) => {
    const opened = tabs.findIndex((tab) => tab.query === query);
    if (opened >= 0) {
      changeTab(opened);
    } else {
      addTab();
      queryEditor.setValue(query);
      variableEditor.setValue(variables);
    }
    if (isNarrow()) setVisiblePlugin(null);
  };
  return (
    <section className="examples" aria-label="Examples">
      <h2>Examples</h2>
      <p>They work on the demo data. Each opens in a tab of its own.</p>
      <ol>
        {examples.map((example) => (
          <li key={example.title}>
            <button type="button" onClick={() => open(example)}>
              <strong>{example.title}</strong>
              <span>{example.description}</span>
            </button>
          </li>
        ))}
      </ol>
      <h3>Keys</h3>
      <dl>
        <dt>{formatShortcutForOS("Ctrl-Enter")}</dt>
        <dd>runs the operation at the cursor</dd>
        <dt>Ctrl-Space</dt>
        <dd>shows what may stand here</dd>
        <dt>Ctrl-M</dt>
        <dd>lets Tab leave the editor, or indent again</dd>
        <dt>F1</dt>
        <dd>lists all that the editor can do</dd>
      </dl>
    </section>
  );
}
