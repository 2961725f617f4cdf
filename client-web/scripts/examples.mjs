// Examples of the HTTP interface from its OpenAPI document: one call in curl, TypeScript and Python for each operation, but for
// those that become a WebSocket. What an example needs comes from the environment, so that each one runs as it stands.
const INTRODUCTION = `# The HTTP interface by example

Generated from \`client-web/openapi.json\` by \`make generate\`; \`client-web/e2e/examples.test.mjs\` runs every example.
They read from the environment what they need: \`NEARLIGHT\` is the node's address (\`http://localhost:8080\`), \`TOKEN\` the
bearer token (the node's for making and listing sessions, else the one in the answer that made the session), and what an
address or body names besides, in capitals. Errors are \`application/problem+json\` (RFC 9457).

A program that lets somebody play asks for a session and hands its \`play_url\` on: that is a playable link, for one
browser. Media is negotiated by WHEP, WebTransport or WebSocket, whose addresses the session names. The two calls that become a
WebSocket are in the OpenAPI document alone (\`/api/v1/openapi.json\`).

What is no JSON is text or bytes. Text is sent from \`BODY\` and printed: an offer in SDP, its answer below the address of the
connection, whose last part is \`CONNECTION\`. Bytes are read from the file that \`FILE\` names, or written to it: posters, saves,
files, and what a game copied, which is text or, where there is none, a PNG.

On a rented node (\`docs/renting.md\`) the token is that of a renter or a guest. What somebody signs comes as it was signed:
\`NEARLIGHT_PROOF\` is the text in base64, \`NEARLIGHT_SIGNATURE\` its signature in hexadecimal digits, and \`BODY\` what is
posted with it, to the byte: a challenge's \`body\`, or a ticket's secret.
`;

const JSON_KIND = 'application/json';
/** The headers of a signed text; one that several sign has others. */
const [PROOF, SIGNATURE] = ['nearlight-proof', 'nearlight-signature'];

/** The whole page. */
export function examples(document) {
  const parts = [INTRODUCTION];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const call = readCall(document, path, method, operation);
      if (call !== undefined) parts.push(section(call));
    }
  }
  return parts.join('\n');
}

/** What an example of this operation does, or undefined where it has none. */
function readCall(document, path, method, operation) {
  const [status, response] = Object.entries(operation.responses).find(([code]) => code.startsWith('2')) ?? [];
  if (response === undefined) return undefined;
  const content = operation.requestBody?.content;
  const parameters = operation.parameters ?? [];
  const isSigned = parameters.some((each) => each.name === PROOF);
  const [kind, schema] = sent(content);
  // What may be left out is.
  const query = parameters.filter((each) => each.in === 'query' && each.required).map((each) => each.name);
  return {
    name: operation.operationId,
    summary: operation.summary.replaceAll(/\s+/g, ' '),
    method: method.toUpperCase(),
    path,
    query,
    headers: parameters.filter((each) => each.in === 'header' && (each.required || each.name === SIGNATURE)).map((each) => each.name),
    kind,
    // What was signed is sent as it is: another order of its fields would be another body.
    body: kind === JSON_KIND && !isSigned ? bodyOf(document, schema) : kind && (isSigned || isText(schema) ? new Variable('body') : FILE),
    answers: answered(response.content),
    // JSON says it itself.
    located: response.headers?.Location !== undefined && response.content[JSON_KIND] === undefined,
    status,
  };
}

/** Type and schema of what is sent, of those that are taken: JSON before text before bytes. */
function sent(content = {}) {
  const schemas = Object.entries(content).map(([kind, { schema }]) => [kind, schema]);
  return schemas.find(([kind]) => kind === JSON_KIND) ?? schemas.find(([, schema]) => isText(schema)) ?? schemas[0] ?? [];
}

/** How an answer is read, whichever of its types it has. */
function answered(content) {
  if (content === undefined) return 'nothing';
  if (content[JSON_KIND] !== undefined) return 'json';
  return Object.values(content).every(({ schema }) => isText(schema)) ? 'text' : 'bytes';
}

const isText = ({ type }) => type === 'string';

/** A value of the schema with what it requires; what nobody can know beforehand is a variable. */
function bodyOf(document, schema) {
  const { required = [], properties = {} } = resolved(document, schema);
  return Object.fromEntries(required.map((name) => [name, valueOf(document, name, properties[name])]));
}

function valueOf(document, name, schema) {
  const { example, enum: choices, type, oneOf } = resolved(document, schema);
  if (example !== undefined) return example;
  if (choices !== undefined) return choices[0];
  if (oneOf !== undefined) return valueOf(document, name, oneOf[0]);
  if (type === 'string' || type === 'integer') return new Variable(name, type === 'integer');
  throw new Error(`no example for ${name}: give its schema one`);
}

function resolved(document, schema) {
  const name = schema.$ref?.replace('#/components/schemas/', '');
  return name === undefined ? schema : resolved(document, document.components.schemas[name]);
}

/** A value that the environment holds. */
class Variable {
  constructor(name, isNumber = false) {
    this.name = name.toUpperCase();
    this.isNumber = isNumber;
  }
}

/** What is in the file of this name. */
const FILE = new Variable('file');

/** What the environment calls the value of a header. */
const variableOf = (header) => header.toUpperCase().replaceAll('-', '_');

function section(call) {
  const blocks = [['sh', curl(call)], ['ts', typescript(call)], ['python', python(call)]];
  const code = blocks.map(([language, text]) => `\`\`\`${language}\n${text}\n\`\`\`\n`);
  return [`## ${call.name}`, `\`${call.method} ${call.path}\`: ${call.summary}\n`, ...code].join('\n');
}

/** The address after the node's own, with each name given to `variable`. */
function address({ path, query }, variable) {
  const inPath = path.replaceAll(/\{(\w+)\}/g, (_, name) => variable(name.toUpperCase()));
  const pairs = query.map((name) => `${name}=${variable(name.toUpperCase())}`);
  return pairs.length === 0 ? inPath : `${inPath}?${pairs.join('&')}`;
}

function curl(call) {
  const headers = call.headers.map((name) => `-H "${name}: $${variableOf(name)}"`);
  const lines = [`curl --fail-with-body -sS${call.located ? ' -i' : ''} -X ${call.method} "$NEARLIGHT${address(call, (name) => `$${name}`)}"`, '-H "authorization: Bearer $TOKEN"', ...headers];
  if (call.answers === 'bytes') lines.push(`-o "$${FILE.name}"`);
  if (call.body === undefined) return lines.join(' \\\n  ');
  const kind = `-H 'content-type: ${call.kind}'`;
  if (call.body === FILE) return [...lines, `${kind} --data-binary "@$${FILE.name}"`].join(' \\\n  ');
  if (call.body instanceof Variable) return [...lines, `${kind} --data-raw "$${call.body.name}"`].join(' \\\n  ');
  const fields = Object.entries(call.body).map(([name, value]) =>
    `"${name}":${value instanceof Variable ? (value.isNumber ? `$${value.name}` : `"$${value.name}"`) : JSON.stringify(value)}`);
  return `${[...lines, `${kind} --data @- <<JSON`].join(' \\\n  ')}\n{${fields.join(',')}}\nJSON`;
}

function typescript(call) {
  const named = call.headers.map((name) => `'${name}': ${variableOf(name)}`);
  const headers = ["authorization: `Bearer ${TOKEN}`", ...named, ...(call.body === undefined ? [] : [`'content-type': '${call.kind}'`])];
  const names = new Set(['NEARLIGHT', 'TOKEN', ...call.headers.map(variableOf)]);
  const where = address(call, (name) => { names.add(name); return `\${${name}}`; });
  const taken = (name) => { names.add(name); return name; };
  const value = (body) => (body === FILE ? `await readFile(${taken(FILE.name)})` : body instanceof Variable ? taken(body.name) : `JSON.stringify(${literal(body, taken)})`);
  const body = call.body === undefined ? [] : [`  body: ${value(call.body)},`];
  const read = {
    nothing: () => [],
    json: () => ['console.log(JSON.stringify(await answer.json()));'],
    text: () => ['console.log(await answer.text());'],
    bytes: () => [`await writeFile(${taken(FILE.name)}, Buffer.from(await answer.arrayBuffer()));`],
  }[call.answers]();
  const used = call.body === FILE ? ['readFile'] : call.answers === 'bytes' ? ['writeFile'] : [];
  return [
    ...used.flatMap((name) => [`import { ${name} } from 'node:fs/promises';`, '']),
    `const { ${[...names].map((name) => `${name} = ''`).join(', ')} } = process.env;`,
    `const answer = await fetch(\`\${NEARLIGHT}${where}\`, {`,
    `  method: '${call.method}',`,
    `  headers: { ${headers.join(', ')} },`,
    ...body,
    '});',
    'if (!answer.ok) throw new Error(await answer.text());',
    ...(call.located ? ["console.log(answer.headers.get('location'));"] : []),
    ...read,
  ].join('\n');
}

/** A body in TypeScript. */
function literal(body, variable) {
  const valued = (value) => (value.isNumber ? `Number(${variable(value.name)})` : variable(value.name));
  const each = ([name, value]) => `${name}: ${value instanceof Variable ? valued(value) : `'${value}'`}`;
  return `{ ${Object.entries(body).map(each).join(', ')} }`;
}

function python(call) {
  const named = [];
  const where = address(call, (name) => { named.push(name); return `{environ['${name}']}`; });
  const isWhole = call.body instanceof Variable;
  const valued = (value) => (value.isNumber ? `int(environ["${value.name}"])` : `environ["${value.name}"]`);
  const body = isWhole ? [] : Object.entries(call.body ?? {}).map(([name, value]) =>
    `"${name}": ${value instanceof Variable ? valued(value) : `"${value}"`}`);
  const file = `Path(environ["${FILE.name}"])`;
  const data = call.body === FILE ? `${file}.read_bytes()` : isWhole ? `environ["${call.body.name}"].encode()` : `json.dumps({${body.join(', ')}}).encode()`;
  const more = call.headers.map((name) => `"${name}": environ["${variableOf(name)}"]`);
  const read = {
    nothing: `assert answer.status == ${call.status}`,
    json: 'print(json.dumps(json.load(answer)))',
    text: 'print(answer.read().decode())',
    bytes: `${file}.write_bytes(answer.read())`,
  }[call.answers];
  const headers = ['"authorization": f"Bearer {environ[\'TOKEN\']}"', ...more, ...(call.body === undefined ? [] : [`"content-type": "${call.kind}"`])];
  return [
    ...(call.answers === 'json' || (call.body !== undefined && !isWhole) ? ['import json'] : []),
    'from os import environ',
    ...(call.body === FILE || call.answers === 'bytes' ? ['from pathlib import Path'] : []),
    'from urllib.request import Request, urlopen',
    '',
    'request = Request(',
    `    f"{environ['NEARLIGHT']}${where}",`,
    `    method="${call.method}",`,
    `    headers={${headers.join(', ')}},`,
    ...(call.body === undefined ? [] : [`    data=${data},`]),
    ')',
    'with urlopen(request) as answer:',
    ...(call.located ? ['    print(answer.headers["location"])'] : []),
    `    ${read}`,
  ].join('\n');
}
