/**
 * @typedef {{data?: unknown, errors?: unknown[], extensions?: unknown}} Result
 */

/**
 * createFetcher returns what runs operations for GraphiQL. Every operation is one request, with the headers that the user has
 * written: its answer is JSON or, of a subscription and of what is deferred, a stream of server-sent events. So what the editor
 * holds is sent as it stands, and a proxy that passes on HTTP is enough. The access token of a login is among the headers, unless the
 * user has written an Authorization.
 * @param {URL} url
 * @param {ReturnType<typeof import("./login.js").createLogin>} login
 * @param {ReturnType<typeof import("./reports.js").createReports>} reports
 */
export function createFetcher(url, login, reports) {
  const results = (...args) => resultsOf(url, login, ...args);
  return (params, options) => {
    if (!("documentAST" in options)) return introspect(results(params, options.headers)); // GraphiQL itself asks, for the schema
    return {
      subscribe({ next, error, complete }) {
        const stop = new AbortController();
        const run = async () => {
          try {
            for await (const result of results(reports.asks(params), options.headers, stop.signal)) next(reports.take(result));
            complete();
          } catch (cause) {
            if (!stop.signal.aborted) error({ message: cause.message });
          }
        };
        run();
        return { unsubscribe: () => stop.abort() };
      },
    };
  };
}

/** noSchema is how GraphiQL's error begins where a server does not give its schema. */
export const noSchema = "// This server does not show its schema: ";

/** introspect returns the schema, or a text for the result's pane where the server gives none. */
async function introspect(results) {
  for await (const result of results) {
    if (result.data) return result;
    const reason = result.errors?.[0]?.message ?? "it gives no reason";
    const next = unauthenticated(result) ? "Log in, or write a token in Headers and fetch the schema again" : "Operations need no schema to be run";
    return `${noSchema}${reason}.\n// ${next}.`;
  }
}

/**
 * results yields the result of an operation each time that more of it, or another event, has arrived.
 * @returns {AsyncGenerator<Result>}
 */
async function* resultsOf(url, login, params, headers, signal) {
  const all = new Headers({ "Content-Type": "application/json", Accept: "text/event-stream, application/json" });
  for (const [name, value] of Object.entries(headers ?? {})) all.set(name, value);
  const byHand = all.has("Authorization");
  let refused; // whether a renewed token has been tried in vain
  for (;;) {
    const token = byHand ? undefined : await login.token();
    if (token) all.set("Authorization", `Bearer ${token}`);
    const response = await fetch(url, { method: "POST", headers: all, body: JSON.stringify(params), signal }).catch(disconnected);
    /** renewed reports whether the request can be sent again, with another token. What is refused so has not run. */
    const renewed = async () => Boolean(token) && !refused && (refused = await login.renew(token));
    if (response.status === 401 && (await renewed())) continue;
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      const result = read(await response.text().catch(disconnected), response);
      notice(result, login, byHand);
      yield result;
      return;
    }
    refused = false;
    // Chromium takes a request whose body was read piece by piece for a cancelled one, even at its end, unless another reads it too.
    response.clone().text().catch(() => {});
    let result;
    let again = false;
    for await (const { event, data, id } of events(response.body)) {
      if (event === "complete") return;
      const part = JSON.parse(data);
      if (id) all.set("Last-Event-ID", id);
      if (unauthenticated(part) && (await renewed())) { // a subscription goes on where it has ended, with another token
        again = true;
        break;
      }
      if (part.incremental) add(result, part);
      else result = part;
      const { hasNext: _, ...shown } = result;
      notice(shown, login, byHand);
      yield shown;
    }
    if (!again) disconnected({ message: "the operation is not complete" });
  }
}

const unauthenticated = ({ errors }) => errors?.find(({ extensions }) => extensions?.code === "UNAUTHENTICATED");

/** notice tells the login whether the server wants another. */
function notice(result, login, byHand) {
  const refusal = unauthenticated(result);
  if (refusal) login.refused(refusal.message, byHand);
  else login.accepted();
}

function disconnected({ message }) {
  throw new Error(`There is no connection, or it was lost: ${message}.`);
}

/** read parses an answer, which need not come from the API: a proxy may have refused the request. */
function read(text, { status, statusText }) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`The answer is not JSON. Its status is ${status} ${statusText}. It begins: ${text.slice(0, 300)}`);
  }
}

/**
 * events parses a stream of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
 * @param {ReadableStream<Uint8Array>} body
 */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch(disconnected);
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, name, field] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
        if (name) fields[name] = field;
      }
      if (fields.data || fields.event === "complete") yield fields;
    }
  }
}

/**
 * add puts deferred fragments where they belong: deferSpec=20220824.
 * @param {Result} result
 */
function add(result, { incremental, extensions }) {
  for (const { path, data, errors } of incremental) {
    const parent = path.reduce((value, key) => value?.[key], result.data);
    if (parent && data) merge(parent, data);
    if (errors) result.errors = [...(result.errors ?? []), ...errors];
  }
  if (extensions) result.extensions = { ...result.extensions, ...extensions };
}

/** merge adds fields to an object, or to each object of a list, that has others already. */
function merge(into, from) {
  for (const [key, value] of Object.entries(from)) {
    if (isObject(value) && isObject(into[key])) merge(into[key], value);
    else into[key] = value;
  }
}

const isObject = (value) => typeof value === "object" && value !== null;
