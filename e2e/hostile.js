// Tokens that nobody may get in with.
import { constants, createHmac, createPrivateKey, createPublicKey, createSign, generateKeyPairSync, sign as signature } from "node:crypto";
import { EncryptJWT, importJWK } from "jose";

const base64 = (bytes) => Buffer.from(bytes).toString("base64url");
const text = (value) => (typeof value === "string" || Buffer.isBuffer(value) ? value : JSON.stringify(value));

/** privateKey reads a JWK. */
export const privateKey = (key) => createPrivateKey({ key, format: "jwk" });

/** algorithms sign bytes with a private key, or with a secret. */
const algorithms = {
  RS256: (bytes, key) => signature("sha256", bytes, key),
  RS512: (bytes, key) => signature("sha512", bytes, key),
  PS256: (bytes, key) => signature("sha256", bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  ES256: (bytes, key) => signature("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }),
  DER: (bytes, key) => createSign("sha256").update(bytes).sign(key),
  HS256: (bytes, secret) => createHmac("sha256", secret).update(bytes).digest(),
  HS512: (bytes, secret) => createHmac("sha512", secret).update(bytes).digest(),
};

/** jws returns a JWT, whatever its header, its claims and its signature are. */
export function jws(header, claims, key, by = header.alg) {
  const signed = `${base64(text(header))}.${base64(text(claims))}`;
  return `${signed}.${base64(key === undefined ? "" : algorithms[by](Buffer.from(signed), key))}`;
}

/**
 * hostileTokens returns tokens that have to be refused: by the reason for that, and then by names. Each is a good one but for what its
 * name says, unless that is not to be had so.
 * @param {object} of
 * @param {string} of.issuer
 * @param {string} of.audience
 * @param {object} of.rsa the issuer's private keys, as JWK
 * @param {object} of.ec
 * @param {string} of.elsewhere an address of the attacker's, which nobody may ask
 * @returns {Promise<Record<string, Record<string, string>>>}
 */
export async function hostileTokens({ issuer, audience, rsa, ec, elsewhere }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = (change = {}) => ({ iss: issuer, sub: "ada", aud: audience, iat: now, exp: now + 600, scope: "directory", client_id: "machine", ...change });
  const without = (name) => claims({ [name]: undefined });
  const header = (change = {}) => ({ alg: "RS256", typ: "at+jwt", kid: rsa.kid, ...change });
  const own = privateKey(rsa);
  const ecKey = privateKey(ec);
  const attacker = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const attackerEC = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const attackerJWK = attacker.publicKey.export({ format: "jwk" });
  const publicKey = createPublicKey(own);
  const { n, e, kty } = rsa;
  const good = jws(header(), claims(), own);
  const [goodHeader, goodClaims, goodSignature] = good.split(".");
  const changed = (change) => `${goodHeader}.${base64(text(claims(change)))}.${goodSignature}`;
  const signedWith = (change, key = attacker.privateKey, by) => jws(header(change), claims(), key, by);
  const saying = (change) => jws(header(), claims(change), own);
  const encrypted = await new EncryptJWT(claims()).setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", kid: rsa.kid, typ: "at+jwt" })
    .encrypt(await importJWK({ kty, n, e }, "RSA-OAEP-256"));
  const idToken = { iss: issuer, sub: "ada", aud: "playground", iat: now, exp: now + 600, nonce: "n-0S6_WzA2Mj", auth_time: now };

  return {
    "the token is not signed by an algorithm of public keys": {
      "alg none, with a signature": signedWith({ alg: "none" }, own, "RS256"),
      "alg None": signedWith({ alg: "None" }, own, "RS256"),
      "no alg": signedWith({ alg: undefined }, own, "RS256"),
      "an empty alg": signedWith({ alg: "" }, own, "RS256"),
      "an alg that is a number": signedWith({ alg: 256 }, own, "RS256"),
      "an alg that is a list": signedWith({ alg: ["RS256"] }, own, "RS256"),
      "an alg in lower case": signedWith({ alg: "rs256" }, own, "RS256"),
      "HS256 with the public key in PEM (SPKI)": signedWith({ alg: "HS256" }, publicKey.export({ type: "spki", format: "pem" })),
      "HS256 with the public key in PEM (PKCS #1)": signedWith({ alg: "HS256" }, publicKey.export({ type: "pkcs1", format: "pem" })),
      "HS256 with the public key in DER": signedWith({ alg: "HS256" }, publicKey.export({ type: "spki", format: "der" })),
      "HS256 with the public key as JWK": signedWith({ alg: "HS256" }, JSON.stringify({ kty, n, e })),
      "HS256 with the key's modulus": signedWith({ alg: "HS256" }, Buffer.from(n, "base64url")),
      "HS256 with an empty secret": signedWith({ alg: "HS256" }, ""),
      "HS512 with the public key in PEM": signedWith({ alg: "HS512" }, publicKey.export({ type: "spki", format: "pem" })),
      "a kid that is a file": signedWith({ alg: "HS256", kid: "../../../../dev/null" }, ""),
      "a kid that is SQL": signedWith({ alg: "HS256", kid: "x' UNION SELECT 'secret" }, "secret"),
    },
    "the token's signature is wrong": {
      "PS256 that is signed by RS256": signedWith({ alg: "PS256" }, own, "RS256"),
      "RS256 that is signed by PS256": signedWith({}, own, "PS256"),
      "RS256 that is signed by RS512": signedWith({}, own, "RS512"),
      "ES256 with an RSA key": signedWith({ alg: "ES256" }, own, "RS256"),
      "ES256 with a signature of zeros": `${base64(text(header({ alg: "ES256", kid: ec.kid })))}.${goodClaims}.${base64(Buffer.alloc(64))}`,
      "ES256 with a signature in DER": signedWith({ alg: "ES256", kid: ec.kid }, ecKey, "DER"),
      "ES256 with another's key and the issuer's kid": signedWith({ alg: "ES256", kid: ec.kid }, attackerEC.privateKey),
      "another's key with the issuer's kid": signedWith({}),
      "another's key without a kid": signedWith({ kid: undefined }),
      "another's key in the header (jwk)": signedWith({ jwk: attackerJWK }),
      "another's key in the header, without a kid": signedWith({ kid: undefined, jwk: attackerJWK }),
      "claims that were changed": changed({ sub: "grace" }),
      "an exp that was changed": changed({ exp: now + 6000 }),
      "a header that was changed": `${base64(text(header({ kid: rsa.kid, x: 1 })))}.${goodClaims}.${goodSignature}`,
      "the signature of another token": `${goodHeader}.${goodClaims}.${saying({ sub: "grace" }).split(".")[2]}`,
      "half a signature": good.slice(0, -goodSignature.length / 2),
      "claims that are nested deeply": jws(header(), JSON.stringify(claims()).replace("{", `{"x":${"[".repeat(5000)}${"]".repeat(5000)},`), attacker.privateKey),
    },
    "the token is signed with a key that its issuer does not publish": {
      "RS256 with an EC key": signedWith({ kid: ec.kid }, ecKey, "ES256"),
      "another's key with a kid that nobody has": signedWith({ kid: "third" }),
      "another's keys at an address in the header (jku)": signedWith({ kid: "third", jku: `${elsewhere}/jwks` }),
      "another's certificate at an address in the header (x5u)": signedWith({ kid: "third", x5u: `${elsewhere}/certificate` }),
    },
    "the token's header asks for what is not supported": {
      "a header that asks for what nobody understands (crit)": signedWith({ crit: ["exp"], exp: now + 600 }, own),
      "a payload that is not encoded (b64)": signedWith({ crit: ["b64"], b64: false }, own),
    },
    "the token is not a signed JWT": {
      "alg none, without a signature": jws({ alg: "none", typ: "at+jwt" }, claims()),
      "alg nOnE, without a signature": jws(header({ alg: "nOnE" }), claims()),
      "what is no certificate in the header (x5c)": signedWith({ x5c: [attacker.publicKey.export({ type: "spki", format: "der" }).toString("base64")] }),
      "a kid that is a number": signedWith({ kid: 1 }, own),
      "a kid that is an object": signedWith({ kid: { $ne: "" } }, own),
      "no signature": `${goodHeader}.${goodClaims}.`,
      "a signature in Base64 with padding": `${good}==`,
      "a word": "token",
      "two dots": "..",
      "two parts": `${goodHeader}.${goodClaims}`,
      "four parts": `${good}.${goodSignature}`,
      "an encrypted token": encrypted,
      "a header that is no JSON": `${base64("{alg:RS256}")}.${goodClaims}.${goodSignature}`,
      "a header that is a list": `${base64('["RS256"]')}.${goodClaims}.${goodSignature}`,
      "a header with two alg": jws(`{"alg":"RS256","alg":"none","typ":"at+jwt","kid":"${rsa.kid}"}`, claims(), own, "RS256"),
      "claims that are no JSON": jws(header(), "sub=ada", own),
      "claims that are a list": jws(header(), [claims()], own),
      "claims with two sub": jws(header(), JSON.stringify(claims()).replace("{", '{"sub":"grace",'), own),
      "a list of issuers": saying({ iss: [issuer] }),
    },
    "the token's claims are malformed": {
      "claims that are not UTF-8": jws(header(), Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xff]), Buffer.from(JSON.stringify(claims()).replace("{", '",'))]), own),
      "an audience that is an object": saying({ aud: { [audience]: true } }),
      "an exp that is a text": saying({ exp: String(now + 600) }),
      "an exp beyond all numbers": jws(header(), JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999'), own),
      "a subject that is a number": saying({ sub: 42 }),
    },
    "the token is of an issuer that is not trusted here": {
      "another issuer": saying({ iss: elsewhere }),
      "no issuer": jws(header(), without("iss"), own),
      "an issuer with a slash more": saying({ iss: `${issuer}/` }),
    },
    "the token is for another audience": {
      "another audience": saying({ aud: "https://other.example" }),
      "an audience that begins so": saying({ aud: `${audience}.evil.example` }),
      "other audiences": saying({ aud: ["https://other.example", `${audience}/`] }),
      "no audience": jws(header(), without("aud"), own),
      "an empty list of audiences": saying({ aud: [] }),
      "an ID token": jws(header({ typ: "JWT" }), idToken, own),
    },
    "the token has expired": {
      "the past": saying({ iat: now - 7200, exp: now - 3600 }),
      "an exp below zero": saying({ exp: -1 }),
    },
    "the token has no time at which it expires": {
      "no exp": jws(header(), without("exp"), own),
      "an exp that is null": saying({ exp: null }),
    },
    "the token is of the future": {
      "the future (nbf)": saying({ nbf: now + 600 }),
      "the future (iat)": saying({ iat: now + 600 }),
    },
    "the token's subject is missing or too long": {
      "no subject": jws(header(), without("sub"), own),
      "an empty subject": saying({ sub: "" }),
      "a subject of 256 letters": saying({ sub: "a".repeat(256) }),
    },
    "the token's type is not that of access tokens": {
      "a logout token": jws(header({ typ: "logout+jwt" }), claims({ events: { "http://schemas.openid.net/event/backchannel-logout": {} } }), own),
      "a proof of possession": jws(header({ typ: "dpop+jwt" }), claims(), own),
    },
    "the token says that it is no access token": {
      "a refresh token": jws(header({ typ: "JWT" }), claims({ typ: "Refresh" }), own),
      "a token that says it is an ID token": jws(header({ typ: "JWT" }), claims({ token_use: "id" }), own),
    },
    "the token is no access token that whoever bears it may use: it has the claim nonce": {
      "an ID token for this server": jws(header({ typ: "JWT" }), { ...idToken, aud: audience }, own),
    },
    "the token is no access token that whoever bears it may use: it has the claim at_hash": {
      "an ID token with at_hash": jws(header({ typ: "JWT" }), claims({ at_hash: "x" }), own),
    },
    "the token is no access token that whoever bears it may use: it has the claim cnf": {
      "a token that is bound to a key": saying({ cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }),
    },
  };
}
