import * as oauth from "oauth4webapi";

/**
 * @typedef {{issuer: string, clientId: string, scope: string, parameters: Record<string, string>}} Settings of the server's
 * @typedef {{name: string, busy: boolean, problem: string, possible: boolean}} State what the page shows: who is logged in, "" for nobody;
 *   whether something is under way; what has failed; and whether there is a provider to log in at
 */

// The session's storage has no token: only what ties the provider's answer to this tab, and whether somebody was logged in, or has logged
// out, before the page was loaded again.
const begun = "rollcall:login";
const before = "rollcall:logged";

const patience = 15_000; // ms until a provider has to have answered
const margin = 10_000; // ms before a token's end in which it is not used any more

/** silent are a provider's answers where it would have to show something, but was asked not to. */
const silent = ["login_required", "interaction_required", "consent_required", "account_selection_required"];

/**
 * createLogin logs the user in at an OpenID provider, by the authorization code flow with PKCE, and keeps the tokens in memory.
 * @param {Settings | null} settings null: nobody can log in here
 * @param {URL} page the page's address, without a query, which the provider leads back to
 */
export function createLogin(settings, page) {
  const issuer = settings && new URL(settings.issuer);
  const client = { client_id: settings?.clientId };
  const redirect = page.href;
  const options = () => ({ [oauth.allowInsecureRequests]: issuer.protocol === "http:", signal: AbortSignal.timeout(patience) });

  /** @type {State} */
  let state = { name: "", busy: false, problem: "", possible: Boolean(settings) };
  const listeners = new Set();
  const show = (change) => {
    state = { ...state, ...change };
    for (const listener of listeners) listener();
  };

  let tokens; // {access, refresh, subject, expires}: expires in ms since 1970
  const forget = (problem) => {
    tokens = undefined;
    sessionStorage.removeItem(before);
    show({ name: "", problem });
  };

  /** keep keeps the tokens of an answer. A provider that renews them may leave out those that stay. */
  const keep = (answer) => {
    const claims = oauth.getValidatedIdTokenClaims(answer);
    if (tokens && claims && claims.sub !== tokens.subject) throw new Error("the provider has renewed the login of somebody else");
    tokens = {
      access: answer.access_token,
      refresh: answer.refresh_token ?? tokens?.refresh,
      subject: claims?.sub ?? tokens?.subject,
      expires: answer.expires_in ? Date.now() + answer.expires_in * 1000 : Infinity,
    };
    sessionStorage.setItem(before, "in");
    const name = claims?.name ?? claims?.preferred_username ?? claims?.email ?? claims?.sub;
    show({ problem: "", ...(name && { name }) });
  };

  let discovered;
  const provider = () => {
    discovered ??= oauth
      .discoveryRequest(issuer, options())
      .then((response) => oauth.processDiscoveryResponse(issuer, response))
      .catch((cause) => {
        discovered = undefined; // it may answer the next time
        throw cause;
      });
    return discovered;
  };

  /** leave leads to the provider. It returns only if that is not possible. */
  const leave = async (prompt) => {
    const { authorization_endpoint: endpoint } = await provider();
    if (!endpoint) throw new Error("its discovery document has no authorization_endpoint");
    const own = { state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier: oauth.generateRandomCodeVerifier() };
    const address = new URL(endpoint);
    const parameters = {
      ...settings.parameters,
      client_id: settings.clientId,
      redirect_uri: redirect,
      response_type: "code",
      scope: settings.scope,
      state: own.state,
      nonce: own.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(own.verifier),
      code_challenge_method: "S256",
      ...(prompt && { prompt }),
    };
    for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
    sessionStorage.setItem(begun, JSON.stringify({ ...own, prompt }));
    if (prompt === "none") location.replace(address);
    else location.assign(address);
    await new Promise((resolve) => addEventListener("pageshow", ({ persisted }) => persisted && resolve())); // back without an answer
  };

  /** finish takes the tokens for a provider's answer, which stood in the page's address. */
  const finish = async (answer) => {
    const own = JSON.parse(sessionStorage.getItem(begun));
    sessionStorage.removeItem(begun);
    if (!own || answer.get("state") !== own.state) { // what else it says may be anybody's
      throw new Error("its answer is not to a login that was begun in this tab");
    }
    if (own.prompt === "none" && silent.includes(answer.get("error"))) return forget("Your login has ended.");
    const as = await provider();
    const parameters = oauth.validateAuthResponse(as, client, answer, own.state);
    const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), parameters, redirect, own.verifier, {
      ...options(),
      additionalParameters: settings.parameters,
    });
    keep(await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: own.nonce, requireIdToken: true }));
  };

  /** during shows that something is under way, and what to mend if it fails. */
  const during = async (run, otherwise = "You are not logged in") => {
    show({ busy: true });
    try {
      await run();
    } catch (cause) {
      show({ problem: `${otherwise}: ${reason(cause, settings, page)}` });
    } finally {
      show({ busy: false });
    }
  };

  const renewed = async () => {
    const as = await provider();
    const response = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh, {
      ...options(),
      additionalParameters: settings.parameters,
    });
    keep(await oauth.processRefreshTokenResponse(as, client, response));
  };

  let renewing;
  /**
   * renew gets a new access token by the refresh token, once for all that ask for it meanwhile.
   * @param {string} used the token that is no longer good
   * @returns {Promise<boolean>} whether there is another
   */
  const renew = async (used) => {
    if (!renewing && tokens?.access === used && tokens.refresh) {
      renewing = renewed()
        .catch((cause) => {
          if (cause instanceof oauth.ResponseBodyError && cause.error === "invalid_grant") forget("Your login has ended.");
          else show({ problem: `Your login could not be renewed: ${reason(cause, settings, page)}` });
        })
        .finally(() => (renewing = undefined));
    }
    await renewing;
    return Boolean(tokens) && tokens.access !== used;
  };

  let ready = Promise.resolve();
  let refusal; // what was shown of the server's
  return {
    get state() {
      return state;
    },

    /** subscribe has a function called after each change of the state, and returns what ends that. */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    /** resume does what is left to do of a login when the page is loaded: requests wait for that. */
    resume() {
      const answer = new URLSearchParams(location.search);
      if (!settings) return;
      if (answer.has("state") || answer.has("error")) {
        history.replaceState(history.state, "", redirect); // what the provider has said is nobody else's
        ready = during(() => finish(answer));
      } else if (sessionStorage.getItem(before) === "in") {
        ready = during(() => leave("none")); // the provider knows the user, and shows nothing
      }
    },

    /** begin leads to the provider. */
    begin: () => during(() => leave(sessionStorage.getItem(before) === "out" ? "login" : undefined)), // who has logged out is asked

    /** end logs out: the tokens are forgotten here, and the refresh token is revoked where the provider can do that. */
    async end() {
      const { refresh } = tokens;
      forget("");
      sessionStorage.setItem(before, "out");
      if (!refresh) return;
      await during(async () => {
        const as = await provider();
        if (!as.revocation_endpoint) return;
        await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.None(), refresh, options()));
      }, "You are logged out here, but the provider does not know it");
    },

    /** token returns the access token to send, or undefined. */
    async token() {
      await ready;
      if (tokens && tokens.expires - margin < Date.now()) await renew(tokens.access);
      return tokens?.access;
    },

    renew,

    /**
     * refused shows that the server wants a login, or another than that of a request.
     * @param {string | undefined} why the server's sentence
     * @param {boolean} byHand whether the user has written the request's Authorization
     */
    refused(why, byHand) {
      let problem = "The server wants you to log in.";
      if (byHand) problem = "The server refuses the Authorization that is written in Headers.";
      else if (!settings) problem = 'The server wants a token. Write it in Headers: {"Authorization": "Bearer …"}.';
      else if (tokens) problem = "The server refuses your login.";
      if (why && (byHand || tokens)) problem += ` It says: “${why}”.`;
      if (!byHand && tokens && tokens.access.split(".").length !== 3) {
        problem += " The provider's access tokens are none for this server: with --oidc-parameter it asks for such, by the server's audience or resource.";
      }
      show({ problem });
      refusal = problem;
    },

    /** accepted hides that the server has wanted a login. */
    accepted: () => state.problem && state.problem === refusal && show({ problem: "" }),

    /** dismiss hides what has failed. */
    dismiss: () => show({ problem: "" }),
  };
}

/** reason says why a login has failed, and what may be done about it. */
function reason(cause, { issuer, clientId, scope }, page) {
  if (!isSecureContext) return `browsers allow it only over HTTPS, or by http://localhost. This page is at ${page.origin}.`;
  if ((cause instanceof TypeError && !cause.code) || cause.name === "TimeoutError") {
    return `${issuer} does not answer this page. It is down, or the client ${clientId} there lacks ${page.origin} among its web origins (CORS).`;
  }
  const said = cause.error_description ? ` It says: “${cause.error_description}”.` : "";
  switch (cause.error) {
    case "access_denied":
      return `the provider has refused it, or you have cancelled it.${said}`;
    case "invalid_scope":
      return `the provider does not give the client ${clientId} the scopes ${scope}, which the server's --oidc-scopes names.${said}`;
    case "invalid_client":
    case "unauthorized_client":
      return `at the provider ${clientId} is no public client with the authorization code flow and PKCE, which the server's --oidc-client-id has to name.${said}`;
    case "invalid_target":
      return `the provider does not know what the server's --oidc-parameter asks tokens for.${said}`;
    case "invalid_grant":
      return `the provider does not accept its own answer any more. Log in again.${said}`;
    case undefined:
      break;
    default:
      return `the provider answers ${cause.error}.${said}`;
  }
  if (cause.code === oauth.JWT_TIMESTAMP_CHECK) return `the time of this computer and that of ${issuer} differ: ${cause.message}.`;
  return `${issuer} answers otherwise than an OpenID provider should: ${cause.message}.`;
}
