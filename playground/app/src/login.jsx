import { useSyncExternalStore } from "react";

const useLogin = (login) => useSyncExternalStore(login.subscribe, () => login.state);

/** LoginButton shows who is logged in, and lets the user log in and out. It is nothing where the server has no provider. */
export function LoginButton({ login }) {
  const { name, busy, possible } = useLogin(login);
  if (!possible) return null;
  return (
    <span className="login">
      {name && <span className="login-name" title={`Logged in as ${name}`}>{name}</span>}
      <button type="button" className="graphiql-button" disabled={busy} onClick={name ? login.end : login.begin}>
        {name ? "Log out" : "Log in"}
      </button>
    </span>
  );
}

/** LoginProblem shows what has failed of a login, and offers to log in again. */
export function LoginProblem({ login }) {
  const { problem, possible, busy } = useLogin(login);
  return (
    <div className="login-problem" role="alert" hidden={!problem}>
      {problem && (
        <>
          <p>{problem}</p>
          {possible && (
            <button type="button" className="graphiql-button" disabled={busy} onClick={login.begin}>
              Log in
            </button>
          )}
          <button type="button" className="graphiql-button" onClick={login.dismiss}>
            Close
          </button>
        </>
      )}
    </div>
  );
}
