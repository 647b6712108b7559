// An OpenID provider to try logins with: make provider
import { provider } from "./provider.js";

const op = await provider({ port: 9400, atEnd() {} });
op.playground("http://127.0.0.1:8080/", "http://localhost:8080/");
op.say(({ accountId }) => ({ roles: [accountId.toUpperCase()], email: `${accountId}@example.com`, email_verified: true }));
console.log(`The provider is at ${op.issuer}. It knows everybody by any name; whoever is called admin or editor has that role. Ctrl-C stops it.`);
