import { useEffect, useSyncExternalStore } from "react";

/**
 * reportPlugin returns the pane that shows what the last operation has done.
 * @param {ReturnType<typeof import("./reports.js").createReports>} reports
 */
export const reportPlugin = (reports) => ({ title: "Report", icon: Icon, content: () => <Report reports={reports} /> });

function Icon() {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round">
      <path d="M3 3v14h14" />
      <path d="M6.5 6h5M9 9.5h6M7.5 13h3" />
    </svg>
  );
}

function Report({ reports }) {
  useEffect(() => reports.want(), [reports]);
  const report = useSyncExternalStore(reports.subscribe, reports.latest);
  return (
    <section className="report" aria-label="Report">
      <h2>Report</h2>
      {report?.refused ? <p>{report.refused}.</p> : report ? <Told report={report} /> : <p>Run an operation: this pane shows what it does.</p>}
    </section>
  );
}

const ms = (number) => `${number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 2 : 0 })} ms`;
const many = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;

function Told({ report }) {
  const { answeredFrom, why, fields, batches, statements } = report;
  const rest = statements.filter(({ batch }) => batch === null);
  const unplanned = batches.filter(({ planned }) => !planned);
  return (
    <>
      <dl>
        <dt>Took</dt>
        <dd>
          {ms(report.durationMs)}, {ms(report.databaseMs)} of the database
        </dd>
        <dt>Ran</dt>
        <dd>
          {many(statements.length + (report.moreStatements ?? 0), "statement")}, {many(report.rows, "row")}
          {report.attempts > 1 ? `, in ${report.attempts} attempts` : ""}
        </dd>
        <dt>Cost</dt>
        <dd>{report.cost}</dd>
        {answeredFrom && (
          <>
            <dt>Answered</dt>
            <dd>
              {answeredFrom === "plan" ? "from the plan" : "by resolvers"}
              {why ? `: ${why}` : ""}
            </dd>
          </>
        )}
        <dt>Id</dt>
        <dd>
          <code>{report.id}</code>
        </dd>
      </dl>
      {fields.length > 0 && (
        <>
          <h3>Fields</h3>
          <Fields fields={fields} report={report} seen={new Set()} />
        </>
      )}
      {unplanned.length > 0 && (
        <>
          <h3>Batches that no plan foresaw</h3>
          {unplanned.map((batch, i) => (
            <Batch key={i} batch={batch} statements={statements} />
          ))}
        </>
      )}
      {rest.length > 0 && (
        <>
          <h3>Other statements</h3>
          <Statements statements={rest} />
        </>
      )}
    </>
  );
}

/** Fields shows a tree of fields. What a batch has run stands at the first of the fields that have waited for it. */
function Fields({ fields, report, seen }) {
  return (
    <ul>
      {fields.map((field, i) => {
        const batch = report.batches[field.batch];
        const first = batch && !seen.has(batch);
        if (first) seen.add(batch);
        return (
          <li key={i}>
            <strong title={field.field}>{field.name}</strong>
            <span>
              of {many(field.objects, "object")}
              {field.keys + field.cacheHits > 0 ? `, ${many(field.keys, "key")}` : ""}
              {field.cacheHits > 0 ? `, ${many(field.cacheHits, "cache hit")}` : ""}
              {batch && !first ? ", in a batch with another field" : ""}
            </span>
            {first && <Batch batch={batch} statements={report.statements} />}
            {field.fields && <Fields fields={field.fields} report={report} seen={seen} />}
          </li>
        );
      })}
    </ul>
  );
}

function Batch({ batch, statements }) {
  return (
    <details>
      <summary>
        {ms(batch.durationMs)}, a batch of {many(batch.keys, "key")}, {many(batch.statements.length, "statement")}
        {batch.failed ? ", failed" : ""}
      </summary>
      <Statements statements={batch.statements.map((i) => statements[i])} />
    </details>
  );
}

function Statements({ statements }) {
  return (
    <ol>
      {statements.map((statement, i) => (
        <li key={i}>
          <span>
            {ms(statement.durationMs)}, {many(statement.rows, "row")}
            {statement.failed ? ", failed" : ""}
            {statement.attempt > 1 ? `, attempt ${statement.attempt}` : ""}
          </span>
          <code>{statement.sql}</code>
        </li>
      ))}
    </ol>
  );
}
