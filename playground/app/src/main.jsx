import "./monaco.js";
import * as monaco from "monaco-graphql/esm/monaco-editor.js"; // not later, as GraphiQL would: so its styles are in the page's
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./style.css";
import { createRoot } from "react-dom/client";
import { GraphiQLProvider } from "@graphiql/react";
import { DocExplorerStore } from "@graphiql/plugin-doc-explorer";
import { HISTORY_PLUGIN, HistoryStore } from "@graphiql/plugin-history";
import { GraphiQL, GraphiQLInterface } from "graphiql";
import { Behaviour } from "./behaviour.jsx";
import { documentationPlugin } from "./documentation.jsx";
import { examples, examplesPlugin } from "./examples.jsx";
import { createFetcher } from "./fetcher.js";
import { createLogin } from "./login.js";
import { LoginButton, LoginProblem } from "./login.jsx";
import { isNarrow } from "./narrow.js";
import { reportPlugin } from "./report.jsx";
import { createReports } from "./reports.js";
import icon from "./icon.svg";

const login = createLogin(JSON.parse(document.body.dataset.login), new URL(".", document.baseURI));
login.resume();
const reports = createReports();
const fetcher = createFetcher(new URL("query", document.baseURI), login, reports);
const plugins = [examplesPlugin, documentationPlugin, reportPlugin(reports), HISTORY_PLUGIN];
const stored = (name) => localStorage.getItem(`graphiql:${name}`);
const isFirstVisit = stored("tabState") === null;

function Page() {
  return (
    <GraphiQLProvider
      fetcher={fetcher}
      plugins={plugins}
      referencePlugin={documentationPlugin}
      visiblePlugin={isFirstVisit && !isNarrow() ? examplesPlugin : undefined}
      defaultTabs={[examples[0]]}
      defaultQuery=""
      shouldPersistHeaders={stored("shouldPersistHeaders") === "true"}
      inputValueDeprecation
      schemaDescription
    >
      <HistoryStore>
        <DocExplorerStore>
          <Behaviour />
          <GraphiQLInterface showPersistHeadersSettings defaultEditorToolsVisibility={!isNarrow()}>
            <GraphiQL.Logo>
              <span className="logo">
                <img src={new URL(icon, import.meta.url).href} alt="" />
                Rollcall
              </span>
              <LoginButton login={login} />
              <LoginProblem login={login} />
            </GraphiQL.Logo>
          </GraphiQLInterface>
        </DocExplorerStore>
      </HistoryStore>
    </GraphiQLProvider>
  );
}

// The editor measures its font once. Letters that come later are in files of their own.
await document.fonts.load('15px "Fira Code"').catch(() => {});
document.fonts.addEventListener("loadingdone", () => monaco.editor.remeasureFonts());
createRoot(document.getElementById("root")).render(<Page />);
