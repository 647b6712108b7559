// An OpenID provider on this machine, for tests: oidc-provider, with users who need no password.
import { randomBytes } from "node:crypto";
import http from "node:http";
import { after } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import * as oidc from "oidc-provider";

const secret = "a secret of the machine's"; // with the provider
const escaped = (text) => text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt()};`);

/** newKey makes a private key that a provider signs with, as a JWK. */
export async function newKey(alg, kid) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
  return { ...(await exportJWK(privateKey)), kid, use: "sig" };
}

/**
 * provider serves an OpenID provider until the end of the tests of a file. Whoever asks gets access tokens, for whatever audience the
 * parameter resource names.
 * @param {{keys?: object[], port?: number, atEnd?: (stop: () => void) => void}} options its private keys; 0: any port; what else calls stop
 */
export async function provider({ keys, port = 0, atEnd = after } = {}) {
  keys ??= [await newKey("RS256", "first")];
  let lifetime = 3600; // s, of access tokens
  let callback; // of oidc-provider, which reads its configuration once
  let issuer;
  let redirects = [];
  let extra = () => ({}); // claims of the next access tokens
  let refusal; // what the next logins are answered
  const asked = []; // paths

  const configure = () => {
    const op = new oidc.Provider(issuer, {
      jwks: { keys },
      cookies: { keys: [randomBytes(16).toString("hex")] },
      clients: [
        { client_id: "machine", client_secret: secret, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
        ...(redirects.length === 0 ? [] : [{
          client_id: "playground",
          token_endpoint_auth_method: "none",
          grant_types: ["authorization_code", "refresh_token"],
          redirect_uris: redirects,
        }]),
      ],
      clientBasedCORS: (_, origin) => redirects.some((redirect) => new URL(redirect).origin === origin),
      claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
      conformIdTokenClaims: false, // so the name is in ID tokens, as it is with most providers
      findAccount: (_, sub) => ({
        accountId: sub,
        claims: () => ({ sub, name: sub, email: `${sub}@example.com`, email_verified: true }),
      }),
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: (_, __, one) => one,
          getResourceServerInfo: (_, resource) => ({
            audience: resource, scope: "directory", accessTokenFormat: "jwt", accessTokenTTL: lifetime,
            jwt: { sign: { alg: "RS256", kid: keys[0].kid } },
          }),
        },
      },
      formats: { customizers: { jwt: (_, token, { payload }) => Object.assign(payload, extra(token)) } },
      interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
      issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
      async loadExistingGrant(ctx) { // nobody is asked what the client may do
        const grant = new op.Grant({ accountId: ctx.oidc.session.accountId, clientId: ctx.oidc.client.clientId });
        grant.addOIDCScope("openid profile email");
        for (const resource of Object.keys(ctx.oidc.resourceServers)) grant.addResourceScope(resource, "directory");
        await grant.save();
        return grant;
      },
      ttl: { Grant: 3600, IdToken: 3600, Interaction: 600, RefreshToken: 3600, Session: 3600 },
    });
    op.on("server_error", (_, error) => console.error(error));
    callback = op.callback();
    return op;
  };
  let op;

  /** login is the page on which users say who they are. */
  const login = async (request, response) => {
    if (request.method === "GET") {
      const { params, prompt } = await op.interactionDetails(request, response);
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
      return response.end(`<!DOCTYPE html><title>Provider</title><link rel="icon" href="data:,"><h1>Log in to ${escaped(params.client_id)}</h1><p>${escaped(prompt.name)}</p>
        <form method="post"><label>Name <input name="name" autofocus></label> <button>Continue</button> <button name="cancel" value="1">Cancel</button></form>`);
    }
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const form = new URLSearchParams(body);
    const result = form.has("cancel") ? { error: "access_denied", error_description: "The user has cancelled." } : { login: { accountId: form.get("name") } };
    return op.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  };

  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, issuer);
    asked.push(pathname);
    if (pathname.startsWith("/login/")) {
      login(request, response).catch((error) => response.writeHead(500).end(String(error)));
    } else if (refusal && pathname === "/auth") {
      const { redirect_uri: redirect, state } = Object.fromEntries(new URL(request.url, issuer).searchParams);
      response.writeHead(303, { Location: `${redirect}?${new URLSearchParams({ ...refusal, state, iss: issuer })}` }).end();
    } else {
      callback(request, response);
    }
  });
  const listen = () => new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const stop = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  atEnd(() => server.listening && stop());
  await listen();
  port = server.address().port;
  issuer = `http://127.0.0.1:${port}`;
  op = configure();

  return {
    issuer,
    asked,
    stop,
    start: listen,

    /** key returns the private key that signs. */
    key: () => keys[0],

    /** rotate has the provider sign with the first of these keys, and publish no others. */
    rotate(...others) {
      keys = others;
      op = configure();
    },

    /** playground registers a public client of that name for pages. */
    playground(...pages) {
      redirects = pages;
      op = configure();
    },

    /** say has access tokens have more claims, or others. */
    say: (claims) => (extra = typeof claims === "function" ? claims : () => claims),

    /** live sets how many seconds later access tokens are good. */
    live: (seconds) => (lifetime = seconds),

    /** forget ends all sessions and refresh tokens. */
    forget: () => (op = configure()),

    /** refuse has logins answered with an error; undefined: with none. */
    refuse: (answer) => (refusal = answer),

    /** token gets an access token by client credentials, with more claims or others. */
    async token(resource, claims = {}) {
      extra = () => claims;
      const response = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: { Authorization: `Basic ${Buffer.from(`machine:${encodeURIComponent(secret)}`).toString("base64")}` },
        body: new URLSearchParams({ grant_type: "client_credentials", resource, scope: "directory" }),
      });
      const { access_token: token, ...rest } = await response.json();
      if (!token) throw new Error(`the provider answers ${response.status}: ${JSON.stringify(rest)}`);
      return token;
    },
  };
}
