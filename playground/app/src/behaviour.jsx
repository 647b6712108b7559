import { useEffect } from "react";
import { pick, useGraphiQL, useGraphiQLActions } from "@graphiql/react";

/** Behaviour is what the page does beyond GraphiQL. It shows nothing. */
export function Behaviour() {
  useThemeOfSystem();
  useWrappedLines();
  useOneTabAtATime();
  useVisibleTab();
  useStorageAtTheEnd();
}

/** useThemeOfSystem lets the editors follow when the system turns light or dark, as the rest of the page does. */
function useThemeOfSystem() {
  const theme = useGraphiQL((state) => state.theme);
  const { setTheme } = useGraphiQLActions();
  useEffect(() => {
    if (theme) return;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setTheme(null);
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, [theme, setTheme]);
}

/** useWrappedLines shows long lines whole, as the result's pane does: the editor is narrow. */
function useWrappedLines() {
  const { queryEditor, variableEditor, headerEditor } = useGraphiQL(pick("queryEditor", "variableEditor", "headerEditor"));
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, headerEditor]) editor?.updateOptions({ wordWrap: "on", wrappingIndent: "indent" });
  }, [queryEditor, variableEditor, headerEditor]);
}

/** useOneTabAtATime ends a subscription with its tab: its events would be shown in the next one. */
function useOneTabAtATime() {
  const tab = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex]?.id);
  const { stop } = useGraphiQLActions();
  useEffect(() => stop, [tab, stop]);
}

/** useVisibleTab scrolls the tabs so that the current one is seen, and again when its title has changed. */
function useVisibleTab() {
  const { id, title } = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex] ?? {});
  useEffect(() => {
    document.querySelector(".graphiql-tab-active")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [id, title]);
}

/** useStorageAtTheEnd stores the tabs as they are when the page goes: GraphiQL does so half a second after a change. */
function useStorageAtTheEnd() {
  const { tabs, activeTabIndex, queryEditor, variableEditor, headerEditor, shouldPersistHeaders, storage } = useGraphiQL(
    pick("tabs", "activeTabIndex", "queryEditor", "variableEditor", "headerEditor", "shouldPersistHeaders", "storage"),
  );
  useEffect(() => {
    const store = () => {
      if (storage.get("tabState") === null) return; // cleared by the user
      const query = queryEditor?.getValue() ?? null;
      const variables = variableEditor?.getValue() ?? null;
      const headers = headerEditor?.getValue() ?? null;
      const current = tabs.map((tab, i) => ({
        ...(i === activeTabIndex ? { ...tab, query, variables, headers } : tab),
        hash: null,
        response: null,
        ...(shouldPersistHeaders ? {} : { headers: null }),
      }));
      storage.set("query", query);
      storage.set("variables", variables);
      if (shouldPersistHeaders) storage.set("headers", headers);
      storage.set("tabState", JSON.stringify({ tabs: current, activeTabIndex }));
    };
    addEventListener("pagehide", store);
    return () => removeEventListener("pagehide", store);
  });
}
