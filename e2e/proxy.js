// A reverse proxy in front of Rollcall, for tests.
import http from "node:http";
import { after } from "node:test";

/**
 * proxy serves below a path what a server serves, until the end of the tests of a file.
 * @param {string} target the server's address, with a slash at the end
 * @param {string} path such as "/api/"
 * @returns {Promise<{page: string, pass: (count: number) => void, cut: () => void, open: () => number, answerNext: (text: string) => void}>}
 *   pass lets so many events of streams through, and holds up the others until it is called again; cut breaks the open streams, and
 *   open counts them; answerNext gives the next operation an answer of the proxy's own, which is not JSON.
 */
export async function proxy(target, path) {
  let passes = Infinity;
  let passAgain = () => {};
  let own;
  const streams = new Set();
  const forward = async (answer, response) => {
    response.writeHead(answer.statusCode, answer.headers);
    if (!answer.headers["content-type"]?.startsWith("text/event-stream")) return answer.pipe(response);
    streams.add(response);
    response.on("close", () => streams.delete(response) && answer.destroy());
    response.flushHeaders();
    let text = "";
    for await (const chunk of answer.setEncoding("utf8")) {
      const events = (text + chunk).split("\n\n");
      text = events.pop();
      for (const event of events) {
        while (event.startsWith("event:") && passes === 0) await new Promise((resolve) => (passAgain = resolve));
        if (event.startsWith("event:")) passes--;
        response.write(`${event}\n\n`);
      }
    }
    response.end(text);
  };
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith(path)) return response.writeHead(404).end();
    if (own && request.method === "POST") {
      response.writeHead(200, { "Content-Type": "text/html" }).end(own);
      own = undefined;
      return;
    }
    const address = new URL(request.url.slice(path.length), target);
    const forwarded = http.request(address, { method: request.method, headers: request.headers }, (answer) => {
      forward(answer, response).catch(() => response.destroy()); // one of them has gone
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    page: `http://127.0.0.1:${server.address().port}${path}`,
    pass(count) {
      passes = count;
      passAgain();
    },
    cut() {
      for (const stream of streams) stream.destroy();
    },
    open: () => streams.size,
    answerNext: (text) => (own = text),
  };
}
