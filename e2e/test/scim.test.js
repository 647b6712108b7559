// What identity providers send, and an independent implementation of SCIM 2.0 (SCIMMY) that reads the answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import SCIMMY from "scimmy";
import { start } from "../server.js";

const server = await start();
const base = new URL("/scim/v2", server.url).href;
const { User, Group, EnterpriseUser, ServiceProviderConfig, ResourceType } = SCIMMY.Schemas;
User.extend(EnterpriseUser);

const core = "urn:ietf:params:scim:schemas:core:2.0";
const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const messages = "urn:ietf:params:scim:api:messages:2.0";

/** request sends one, and returns the answer's body once its status is the one that is expected. */
async function request(status, method, path, body, headers = {}) {
  const answer = await fetch(base + path, {
    method,
    headers: { Accept: "application/scim+json", ...(body && { "Content-Type": "application/scim+json" }), ...headers },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path}: ${text}`);
  if (!text) return undefined;
  assert.match(answer.headers.get("Content-Type"), /^application\/scim\+json/);
  const read = JSON.parse(text);
  if (status >= 400) {
    assert.deepEqual([read.schemas, read.status], [[`${messages}:Error`], `${status}`]);
    new SCIMMY.Types.Error(read);
  } else if (read.Resources) check(read);
  else checkResource(read);
  return read;
}

/** checkResource has SCIMMY read a user or a group, as what a service answers. */
function checkResource(read) {
  if (read.meta?.resourceType === "User") new User(structuredClone(read), "out");
  if (read.meta?.resourceType === "Group") new Group(structuredClone(read), "out");
}

/** check has SCIMMY read a list. */
function check(list) {
  assert.deepEqual(list.schemas, [`${messages}:ListResponse`]);
  const read = new SCIMMY.Messages.ListResponse(structuredClone(list));
  assert.equal(read.totalResults, list.totalResults);
  assert.equal(read.Resources.length, list.Resources.length);
  list.Resources.forEach(checkResource);
}

const patch = (...Operations) => ({ schemas: [`${messages}:PatchOp`], Operations });
const find = (kind, filter, more = "") => request(200, "GET", `/${kind}?filter=${encodeURIComponent(filter)}${more}`);

test("An independent implementation understands what the service says of itself", async () => {
  const config = await request(200, "GET", "/ServiceProviderConfig");
  const read = new ServiceProviderConfig(structuredClone(config), "out");
  assert.deepEqual([read.patch.supported, read.bulk.supported, read.etag.supported, read.filter.supported], [true, false, true, true]);
  for (const one of (await request(200, "GET", "/ResourceTypes")).Resources) new ResourceType(structuredClone(one), "out");
  const schemas = (await request(200, "GET", "/Schemas")).Resources;
  assert.deepEqual(schemas.map((s) => s.id).sort(), [`${core}:Group`, `${core}:User`, enterprise].sort());
  // Every attribute is one that RFC 7643 has, of the same type.
  const known = { [`${core}:User`]: User.definition, [`${core}:Group`]: Group.definition, [enterprise]: EnterpriseUser.definition };
  for (const schema of schemas)
    for (const attribute of schema.attributes) {
      const expected = known[schema.id].attribute(attribute.name);
      assert.equal(attribute.type, expected.type, `${schema.id}:${attribute.name}`);
    }
});

test("Okta provisions a user and a group", async () => {
  const email = "test.user@okta.example";
  assert.equal((await find("Users", `userName eq "${email}"`, "&startIndex=1&count=100")).totalResults, 0);
  const user = await request(201, "POST", "/Users", {
    schemas: [`${core}:User`], userName: email, name: { givenName: "Test", familyName: "User" }, displayName: "Test User",
    emails: [{ primary: true, value: email, type: "work" }], locale: "en-US", externalId: "00ujl29u0le5T6Aj10h7", groups: [], password: "1mz050nq", active: true,
  });
  assert.equal(user.userName, email);
  const again = await request(409, "POST", "/Users", { schemas: [`${core}:User`], userName: email, displayName: "Other" });
  assert.equal(again.scimType, "uniqueness");
  const put = await request(200, "PUT", `/Users/${user.id}`, { ...user, name: { givenName: "Another", familyName: "User" }, displayName: undefined });
  assert.equal(put.name.givenName, "Another");
  const off = await request(200, "PATCH", `/Users/${user.id}`, patch({ op: "replace", value: { active: false } }));
  assert.equal(off.active, false);
  assert.equal((await request(200, "PUT", `/Users/${user.id}`, { ...put, active: true })).active, true);

  const group = await request(201, "POST", "/Groups", { schemas: [`${core}:Group`], displayName: "Okta's", members: [] });
  await request(204, "PATCH", `/Groups/${group.id}`, patch({ op: "add", path: "members", value: [{ value: user.id }] }));
  let read = await request(200, "GET", `/Groups/${group.id}`);
  assert.deepEqual(read.members.map((m) => m.value), [user.id]);
  assert.deepEqual((await request(200, "GET", `/Users/${user.id}`)).groups.map((g) => g.value), [group.id]);
  await request(204, "PATCH", `/Groups/${group.id}`, patch({ op: "replace", value: { id: group.id, displayName: "Okta's other" } }));
  assert.equal((await find("Groups", `displayName eq "Okta's other" and members eq "${user.id}"`)).totalResults, 1);
  await request(204, "PATCH", `/Groups/${group.id}`, patch({ op: "remove", path: `members[value eq "${user.id}"]` }));
  read = await request(200, "GET", `/Groups/${group.id}`);
  assert.deepEqual(read.members ?? [], []);
  await request(204, "DELETE", `/Groups/${group.id}`);
  await request(404, "GET", `/Groups/${group.id}`);
});

test("Entra provisions a user and a group", async () => {
  const email = "test_user@entra.example";
  const user = await request(201, "POST", "/Users", {
    schemas: [`${core}:User`, enterprise], externalId: "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", userName: email, active: true,
    emails: [{ primary: true, type: "work", value: email }], meta: { resourceType: "User" }, name: { formatted: "givenName familyName", familyName: "familyName", givenName: "givenName" }, roles: [],
  });
  const boss = (await find("Users", `userName co "example"`, "&count=1")).Resources[0];
  await request(200, "PATCH", `/Users/${user.id}`, patch(
    { op: "Replace", path: "displayName", value: "Updated Name" },
    { op: "Add", path: `${enterprise}:department`, value: "Research" },
    { op: "Add", path: `${enterprise}:manager`, value: boss.id },
    { op: "Add", path: `phoneNumbers[type eq "work"].value`, value: "+49 30 1234567" },
  ));
  let read = await request(200, "GET", `/Users/${user.id}`);
  assert.deepEqual([read.displayName, read[enterprise].department, read[enterprise].manager.value, read.phoneNumbers[0].value], ["Updated Name", "Research", boss.id, "+49 30 1234567"]);
  assert.equal((await find("Users", `externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`)).Resources[0].id, user.id);
  await request(200, "PATCH", `/Users/${user.id}`, patch({ op: "Replace", path: "active", value: "False" }));
  read = await request(200, "GET", `/Users/${user.id}`);
  assert.equal(read.active, false);

  const group = await request(201, "POST", "/Groups", { schemas: [`${core}:Group`, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"], displayName: "Entra's", meta: { resourceType: "Group" } });
  await request(204, "PATCH", `/Groups/${group.id}`, patch({ op: "Add", path: "members", value: [{ $ref: null, value: user.id }] }));
  assert.equal((await request(200, "GET", `/Groups/${group.id}?excludedAttributes=members`)).members, undefined);
  assert.equal((await find("Groups", `displayName eq "Entra's"`, "&excludedAttributes=members")).Resources[0].id, group.id);
  await request(204, "PATCH", `/Groups/${group.id}`, patch({ op: "Remove", path: "members", value: [{ $ref: null, value: user.id }] }));
  await request(204, "DELETE", `/Users/${user.id}`);
  assert.equal((await request(200, "GET", `/Users/${user.id}`)).active, false);
});

test("Of two changes with the same ETag one is refused", async () => {
  const { Resources: [user] } = await request(200, "GET", "/Users?count=1");
  const headers = { "If-Match": user.meta.version };
  await request(200, "PATCH", `/Users/${user.id}`, patch({ op: "replace", path: "title", value: "First" }), headers);
  await request(412, "PATCH", `/Users/${user.id}`, patch({ op: "replace", path: "title", value: "Second" }), headers);
});

test("All pages together have everybody once, by index and by cursor", async () => {
  const { totalResults } = await request(200, "GET", "/Users?count=0");
  const byIndex = new Set();
  for (let startIndex = 1; startIndex <= totalResults; startIndex += 100)
    for (const user of (await request(200, "GET", `/Users?startIndex=${startIndex}&count=100&attributes=userName`)).Resources) byIndex.add(user.id);
  const byCursor = [];
  for (let cursor = ""; cursor !== undefined; ) {
    const page = await request(200, "GET", `/Users?cursor=${encodeURIComponent(cursor)}&count=100&attributes=userName`);
    byCursor.push(...page.Resources.map((user) => user.id));
    cursor = page.nextCursor;
  }
  assert.deepEqual([byIndex.size, byCursor.length, new Set(byCursor).size], [totalResults, totalResults, totalResults]);
});

test("What is wrong is told as RFC 7644 has it", async () => {
  const wrong = async (status, scimType, ...rest) => assert.equal((await request(status, ...rest)).scimType, scimType);
  await wrong(400, "invalidFilter", "GET", `/Users?filter=${encodeURIComponent('userName eq')}`);
  await wrong(400, "invalidSyntax", "POST", "/Users", { schemas: ["x"], userName: 5 });
  await wrong(400, "invalidValue", "POST", "/Users", { schemas: [`${core}:User`], userName: "no address", displayName: "X" });
  const { Resources: [user] } = await request(200, "GET", "/Users?count=1");
  await wrong(400, "invalidPath", "PATCH", `/Users/${user.id}`, patch({ op: "replace", path: "shoeSize", value: 1 }));
  await wrong(400, "mutability", "PATCH", `/Users/${user.id}`, patch({ op: "replace", path: "id", value: "User:7" }));
  await wrong(404, undefined, "GET", "/Users/User:999999");
  await wrong(501, undefined, "GET", "/Me");
});
