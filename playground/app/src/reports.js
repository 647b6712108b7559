/**
 * createReports returns what asks the server what operations have done, once somebody wants to know, and keeps its last answer. It is not shown among
 * an operation's results.
 */
export function createReports() {
  let wanted = false;
  let latest; // undefined: there is none yet
  const listeners = new Set();
  return {
    want: () => {
      wanted = true;
    },
    /** asks returns a request's parameters, which ask for a report if one is wanted. */
    asks: (params) => (wanted ? { ...params, extensions: { ...params.extensions, report: true } } : params),
    /** take returns a result without its report, which it keeps. */
    take(result) {
      const { report, ...extensions } = result.extensions ?? {};
      if (!report) return result;
      latest = report;
      for (const listener of listeners) listener();
      const { extensions: _, ...rest } = result;
      return Object.keys(extensions).length > 0 ? { ...rest, extensions } : rest;
    },
    latest: () => latest,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
