// The inspector's page: a live list, counts, and for one exchange why it came out so.
//
// Everything that came over the wire is set as text, never as markup: origins, paths and ids are whatever somebody sent.

const MOST_KEPT = 1000;
const MOST_SHOWN = 400;
const RECONNECT_MS = 2000;
const ANNOUNCE_MS = 12000;
const SECONDS = 60;

const OUTCOMES = {
  refused: ['Refused', 'The policy says no: 403, or a preflight that the browser fails.'],
  hidden: ['Hidden', 'It reached the API, and the browser keeps the answer from the script.'],
  failed: ['Failed', 'Something else went wrong: the upstream, a limit, the client.'],
  allowed: ['Allowed', 'The browser lets the script go on.'],
  passed: ['Passed', 'CORS has no say in it: no Origin, the same origin, or passthrough.'],
};
const BAD = new Set(['refused', 'hidden', 'failed']);
const KINDS = new Set(['preflight', 'websocket', 'actual']);
// An icon, and what a screen reader says.
const CHECKS = {passed: ['allowed', 'passed'], failed: ['refused', 'failed'], noted: ['noted', 'noted'], unreached: ['noted', 'not reached'], open: ['open', 'up to the upstream']};

const byId = (id) => document.getElementById(id);
const page = {
  name: '',
  address: '',
  entries: new Map(),
  rows: new Map(),
  titles: new Map(),
  held: [],
  counts: null,
  isPaused: false,
  selected: '',
  filter: () => true,
  explained: 0,
  unheard: {all: 0, bad: 0},
  seconds: Array.from({length: SECONDS}, () => ({all: 0, bad: 0})),
};

// --- making elements ---

/** Make an element; strings among the children are text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

const pill = (outcome) => make('span', {class: 'pill', 'data-outcome': outcome}, icon(outcome), OUTCOMES[outcome][0]);

/** Write a sentence in which `…` is code. */
function sentence(text) {
  return text.split('`').map((part, place) => (place % 2 ? make('code', {}, part) : part));
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// --- values ---

const clock = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'});
const whole = new Intl.NumberFormat();

function took(milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(milliseconds < 10000 ? 1 : 0)} s`;
}

function size(bytes) {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  let place = 0;
  let value = bytes;
  for (; value >= 1000 && place < units.length - 1; place += 1) value /= 1000;
  return `${place && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[place]}`;
}

/** Say why there is no origin to show. */
function unknown({kind, reason}) {
  if (reason === 'cors-passthrough') return 'origin not read';
  return kind === 'actual' || kind === 'preflight' || kind === 'websocket' ? 'malformed origin' : 'no origin';
}

const methodOf = (entry) => entry.asked_method || entry.method;

// --- the filter ---

const FIELDS = {
  origin: (entry) => [entry.origin],
  method: (entry) => [entry.method, entry.asked_method],
  path: (entry) => [entry.path],
  host: (entry) => [entry.host],
  reason: (entry) => [entry.reason, entry.problem],
  route: (entry) => [entry.route],
  policy: (entry) => [entry.policy],
  id: (entry) => [entry.request_id, entry.id],
  client: (entry) => [entry.client],
  header: (entry) => entry.asked_headers,
  status: (entry) => [String(entry.status)],
  is: (entry) => [entry.outcome, entry.kind],
};
// These are compared whole; others by a part.
const WHOLE = new Set(['method', 'status', 'is']);

/** Cut a filter into terms: `key:value`, a word, `-` in front for not, quotes around what has blanks. */
function terms(text) {
  return [...text.matchAll(/(-?)(?:([a-z]+):)?(?:"([^"]*)"|(\S+))/gi)].map(([whole_, minus, key, quoted, bare]) => {
    const value = (quoted ?? bare ?? '').toLowerCase();
    const field = (key ?? '').toLowerCase();
    if (Object.hasOwn(FIELDS, field)) return {field, value, isNot: Boolean(minus)};
    const word = key ? `${field}:${value}` : value;
    if (Object.hasOwn(OUTCOMES, word) || KINDS.has(word)) return {field: 'is', value: word, isNot: Boolean(minus)};
    return {field: '', value: word || whole_.toLowerCase(), isNot: Boolean(minus)};
  });
}

function matches(entry, {field, value}) {
  if (!field) return [entry.path, entry.origin, entry.reason, methodOf(entry), entry.host].some((text) => text.toLowerCase().includes(value));
  const found = FIELDS[field](entry).map((text) => text.toLowerCase());
  if (field === 'status' && /^[1-5]xx$/.test(value)) return found[0].length === 3 && found[0][0] === value[0];
  return found.some((text) => (WHOLE.has(field) ? text === value : text.includes(value)));
}

/** Make a filter of its text: all keys must match, one value of each, and none that has a minus. */
function compile(text) {
  const wanted = new Map();
  const unwanted = [];
  for (const term of terms(text)) {
    if (term.isNot) unwanted.push(term);
    // Free words narrow one after the other.
    else if (!term.field) wanted.set(`word ${wanted.size}`, [term]);
    else {
      // What became of it and what it was are two questions.
      const question = term.field === 'is' && KINDS.has(term.value) ? 'kind' : term.field;
      wanted.set(question, [...(wanted.get(question) ?? []), term]);
    }
  }
  const groups = [...wanted.values()];
  return (entry) => groups.every((group) => group.some((term) => matches(entry, term))) && !unwanted.some((term) => matches(entry, term));
}

const filterText = () => byId('filter').value.trim();

function quoted(text) {
  return /\s/.test(text) ? `"${text}"` : text;
}

/** Take a term out of the filter, or put it in. */
function toggle(key, value, others = []) {
  const mine = `${key}${quoted(value)}`;
  const kept = filterText().split(/\s+(?=(?:[^"]*"[^"]*")*[^"]*$)/).filter(Boolean);
  const isOn = kept.includes(mine);
  setFilter([...kept.filter((term) => term !== mine && !others.includes(term)), ...(isOn ? [] : [mine])].join(' '));
}

function setFilter(text) {
  byId('filter').value = text;
  onFilter();
}

function onFilter() {
  const text = filterText();
  page.filter = compile(text);
  byId('clear').hidden = !byId('filter').value;
  keepInAddress();
  drawChips();
  drawCounts();
  drawAll();
}

// --- the address ---

function addressOf(selected) {
  const parameters = new URLSearchParams();
  if (filterText()) parameters.set('q', filterText());
  if (selected) parameters.set('x', selected);
  const query = parameters.toString();
  return query ? `/?${query}` : '/';
}

function keepInAddress(isStep = false) {
  const address = addressOf(page.selected);
  if (address === location.pathname + location.search) return;
  history[isStep ? 'pushState' : 'replaceState'](null, '', address);
}

function readAddress() {
  const parameters = new URLSearchParams(location.search);
  byId('filter').value = parameters.get('q') ?? '';
  page.selected = parameters.get('x') ?? '';
}

// --- the list ---

function row(entry) {
  const link = make('a', {href: addressOf(entry.id), class: 'request'},
    make('span', {class: 'method'}, methodOf(entry)), ' ',
    make('span', {class: 'path'}, entry.path),
    KINDS.has(entry.kind) && entry.kind !== 'actual' ? make('span', {class: 'tag'}, entry.kind) : '');
  const cell = (name, ...children) => make('td', {role: 'cell', class: `c-${name}`}, ...children);
  const reason = entry.reason === entry.problem && entry.title ? `${entry.problem} ${entry.title}` : entry.reason || entry.problem;
  const element = make('tr', {role: 'row', 'data-id': entry.id, 'data-outcome': entry.outcome},
    cell('outcome', pill(entry.outcome)),
    cell('request', link),
    cell('origin', entry.origin ? make('span', {title: entry.origin}, entry.origin) : make('span', {class: 'quiet'}, unknown(entry))),
    cell('reason', make('span', {title: entry.because}, reason || entry.title)),
    cell('status', make('span', {'data-class': String(entry.status)[0]}, entry.status ? String(entry.status) : '–')),
    cell('took', took(entry.total_ms)),
    cell('time', make('time', {datetime: new Date(entry.time * 1000).toISOString()}, clock.format(entry.time * 1000))));
  if (entry.id === page.selected) mark(element);
  return element;
}

function mark(element) {
  element?.setAttribute('aria-current', 'true');
}

/** Draw the whole list anew. */
function drawAll() {
  const shown = [...page.entries.values()].filter(page.filter).reverse().slice(0, MOST_SHOWN);
  page.rows = new Map(shown.map((entry) => [entry.id, row(entry)]));
  byId('rows').replaceChildren(...page.rows.values());
  drawEmpty();
}

/** Put new ones on top of the list; `missed` is how many more there were. */
function drawNew(entries, missed = 0) {
  const rows = byId('rows');
  if (missed && rows.childElementCount) {
    rows.prepend(make('tr', {role: 'row', class: 'gap'}, make('td', {role: 'cell', colspan: '7'}, `${whole.format(missed)} more in between are not shown`)));
  }
  for (const entry of entries.filter(page.filter)) {
    const element = row(entry);
    page.rows.set(entry.id, element);
    rows.prepend(element);
  }
  while (rows.childElementCount > MOST_SHOWN) {
    page.rows.delete(rows.lastElementChild.dataset.id);
    rows.lastElementChild.remove();
  }
  drawEmpty();
}

function drawEmpty() {
  const isEmpty = !byId('rows').childElementCount;
  document.body.toggleAttribute('data-empty', isEmpty);
  byId('empty').hidden = !isEmpty;
  if (!isEmpty) return;
  const command = byId('empty-command');
  command.hidden = true;
  if (page.entries.size) {
    byId('empty-title').textContent = 'Nothing matches this filter';
    byId('empty-text').textContent = `${whole.format(page.entries.size)} exchanges are kept, and none of them fits. Esc clears the filter.`;
  } else if (page.name) {
    byId('empty-title').textContent = 'No exchange yet';
    byId('empty-text').textContent = 'Each call through the proxy appears here as it ends. Make one:';
    command.textContent = `curl -i -H 'Origin: https://app.example.com' ${page.address || 'http://localhost:8080'}/`;
    command.hidden = false;
  } else {
    byId('empty-title').textContent = 'Connecting…';
    byId('empty-text').textContent = '';
  }
}

function keep(entries) {
  for (const entry of entries) {
    page.entries.set(entry.id, entry);
    if (entry.problem) page.titles.set(entry.problem, entry.title);
  }
  if (page.entries.size <= MOST_KEPT) return;
  // Those that deserve a look stay longer, as in the proxy.
  const spare = [...page.entries.values()].sort((one, other) => BAD.has(one.outcome) - BAD.has(other.outcome) || one.time - other.time);
  for (const entry of spare.slice(0, page.entries.size - MOST_KEPT)) page.entries.delete(entry.id);
}

// --- counts ---

function drawChips() {
  const chosen = new Set(terms(filterText()).filter((term) => term.field === 'is' && !term.isNot).map((term) => term.value));
  const names = Object.keys(OUTCOMES);
  const chips = byId('chips');
  if (!chips.childElementCount) {
    for (const name of names) {
      const button = make('button', {type: 'button', class: 'chip', 'data-outcome': name}, icon(name), OUTCOMES[name][0]);
      button.addEventListener('click', () => toggle('', name, names.filter((other) => other !== name)));
      chips.append(button);
    }
  }
  for (const button of chips.children) button.setAttribute('aria-pressed', String(chosen.has(button.dataset.outcome)));
}

function drawCounts() {
  if (!page.counts) return;
  const {total, bad, origins, other_origins: [others], reasons} = page.counts;
  const totals = byId('totals');
  totals.replaceChildren(make('strong', {}, whole.format(total)), ` exchange${total === 1 ? '' : 's'} `);
  byId('look').hidden = !bad;
  byId('look').textContent = `${whole.format(bad)} to look at`;
  drawTop('origins', 'origin:', origins, others);
  drawTop('reasons', 'reason:', reasons, 0);
}

function drawTop(id, key, counts, others) {
  if (!counts.length) return;
  const list = byId(id);
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  const most = counts[0][1];
  const on = new Set(terms(filterText()).map((term) => `${term.field}:${term.value}`));
  const items = counts.slice(0, 12).map(([name, all, bad]) => {
    const bar = make('span', {class: 'bar-of', 'aria-hidden': 'true'}, make('span', {class: 'fine'}), make('span', {class: 'bad'}));
    const [fine, worse] = bar.children;
    fine.style.width = `${Math.max(1, (100 * (all - bad)) / most)}%`;
    fine.hidden = all === bad;
    worse.style.width = `${Math.max(1, (100 * bad) / most)}%`;
    worse.hidden = !bad;
    const title = page.titles.get(name);
    const button = make('button', {type: 'button', title: name, 'aria-pressed': String(on.has(`${key}${name.toLowerCase()}`))},
      make('span', {class: 'name'}, title ? `${name} ${title}` : name), make('span', {class: 'number'}, whole.format(all)), bar,
      make('span', {class: 'unseen'}, bad ? `, ${whole.format(bad)} to look at` : ''));
    button.dataset.name = name;
    button.addEventListener('click', () => toggle(key, name));
    return make('li', {}, button);
  });
  if (others) items.push(make('li', {class: 'quiet rest'}, `and ${whole.format(others)} exchanges of others`));
  list.replaceChildren(...items);
  if (focused !== null) [...list.querySelectorAll('button')].find((each) => each.dataset.name === focused)?.focus();
}

// --- the rate ---

function count(counts) {
  const last = page.counts;
  page.counts = counts;
  drawCounts();
  const current = page.seconds.at(-1);
  if (last && current && counts.total >= last.total) {
    current.all += counts.total - last.total;
    current.bad += counts.bad - last.bad;
  }
}

function drawRate() {
  page.seconds.push({all: 0, bad: 0});
  page.seconds.splice(0, page.seconds.length - SECONDS);
  const svg = byId('rate');
  const most = Math.max(4, ...page.seconds.map((second) => second.all));
  const bar = (place, bottom, height, name) => {
    const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    const values = {class: name, x: place * 3, y: bottom - height, width: 2, height};
    for (const [key, value] of Object.entries(values)) rect.setAttribute(key, String(value));
    return rect;
  };
  const bars = [];
  page.seconds.forEach((second, number) => {
    const place = SECONDS - page.seconds.length + number;
    const bad = second.bad ? Math.max(2, (27 * second.bad) / most) : 0;
    const fine = second.all > second.bad ? Math.max(1.5, (27 * (second.all - second.bad)) / most) : 0;
    if (bad) bars.push(bar(place, 28, bad, 'bad'));
    if (fine) bars.push(bar(place, 28 - bad, fine, 'fine'));
    if (!second.all) bars.push(bar(place, 28, 1, 'none'));
  });
  svg.replaceChildren(...bars);
}

// --- one exchange ---

async function open(id, {focus = true, isStep = true} = {}) {
  page.rows.get(page.selected)?.removeAttribute('aria-current');
  page.selected = id;
  mark(page.rows.get(id));
  keepInAddress(isStep);
  document.body.toggleAttribute('data-open', true);
  const turn = (page.explained += 1);
  let found = null;
  let said = 'This exchange is not kept any more: only the last ones are.';
  try {
    const answer = await fetch(`/inspector/exchanges/${encodeURIComponent(id)}`);
    if (answer.ok) found = await answer.json();
    else if (answer.status !== 404) said = `The proxy answered ${answer.status}. Try again in a moment.`;
  } catch {
    said = 'The proxy does not answer.';
  }
  // Another one was chosen meanwhile.
  if (turn !== page.explained) return;
  drawDetail(found, said, id);
  if (focus) byId('detail-title').focus();
}

function close({isStep = true} = {}) {
  if (!page.selected) return;
  const element = page.rows.get(page.selected);
  element?.removeAttribute('aria-current');
  page.selected = '';
  page.explained += 1;
  document.body.removeAttribute('data-open');
  byId('detail').hidden = true;
  byId('detail').replaceChildren();
  keepInAddress(isStep);
  (element?.querySelector('a') ?? byId('exchanges')).focus({preventScroll: !element});
}

function drawDetail(found, said, id) {
  const detail = byId('detail');
  const exit = make('button', {type: 'button', class: 'round', 'aria-label': 'Close'}, icon('close'));
  exit.addEventListener('click', () => close());
  detail.hidden = false;
  detail.scrollTop = 0;
  if (!found) {
    detail.replaceChildren(make('header', {}, make('h2', {id: 'detail-title', tabindex: '-1'}, 'Gone'), exit), make('p', {}, said), make('p', {class: 'quiet'}, id));
    return;
  }
  const entry = found.entry;
  detail.replaceChildren(
    make('header', {}, pill(entry.outcome), exit),
    make('h2', {id: 'detail-title', tabindex: '-1'}, make('span', {class: 'method'}, methodOf(entry)), ' ', entry.path),
    make('p', {class: 'from'}, ...whoAndWhen(entry)),
    ...why(found),
    ...section('The browser’s console shows', consoles(found.explained?.consoles)),
    ...section('What would allow it', change(found.explained?.change)),
    ...section('Checks, in the browser’s order', checks(found.explained?.checks)),
    ...section('See it again', command(found)),
    ...section('CORS fields of the answer', sent(found.sent)),
    ...section('The exchange', facts(entry)),
  );
}

function section(title, content) {
  return content ? [make('section', {}, make('h3', {}, title), content)] : [];
}

function whoAndWhen(entry) {
  const kind = {preflight: 'a preflight', websocket: 'a WebSocket'}[entry.kind];
  const time = new Date(entry.time * 1000);
  return [
    kind ? `${capital(kind)} ` : '',
    entry.origin ? make('span', {}, kind ? 'from ' : 'From ', make('code', {}, entry.origin)) : make('span', {}, capital(unknown(entry))),
    `, answered `, make('strong', {}, entry.status ? String(entry.status) : 'nothing'), ` in ${took(entry.total_ms)} at `,
    make('time', {datetime: time.toISOString()}, clock.format(time))];
}

function why({entry, now}) {
  const because = entry.because || (entry.reason ? entry.reason.replaceAll('-', ' ') : entry.title);
  const parts = [];
  if (because) parts.push(make('p', {class: 'because', 'data-outcome': entry.outcome}, ...sentence(`${capital(because)}.`)));
  if (entry.failure && entry.failure !== because) parts.push(make('p', {class: 'failure'}, entry.failure));
  if (entry.place) parts.push(place(entry));
  parts.push(make('p', {class: 'codes'}, ...[entry.reason, entry.problem].filter((code, at, all) => code && all.indexOf(code) === at).map((code) => make('code', {}, code))));
  if (now) {
    parts.push(make('div', {class: 'now', role: 'note'},
      make('p', {}, make('strong', {}, 'The file has changed since. '), ...sentence(`Now ${now.because}.`), ' ', make('code', {}, now.reason)),
      now.place ? place(now) : ''));
  }
  return parts;
}

/** Show a line of the file, with the part of it that decided. */
function place({place: where, line, part: [from, to]}) {
  const code = make('code', {}, line.slice(0, from), make('mark', {}, line.slice(from, to)), line.slice(to));
  return make('figure', {class: 'line'}, make('figcaption', {}, where), line ? make('pre', {}, code) : '');
}

function checks(found) {
  if (!found?.length) return null;
  return make('ol', {class: 'checks'}, ...found.map(({check, result, words, rule, place: where}) => make('li', {'data-result': result},
    make('span', {class: 'mark'}, icon(CHECKS[result]?.[0] ?? 'passed')),
    make('div', {},
      make('p', {class: 'check-name'}, capital(check.replaceAll('-', ' ')), make('span', {class: 'unseen'}, `: ${CHECKS[result]?.[1] ?? result}`)),
      words ? make('p', {class: 'words'}, ...sentence(capital(words))) : '',
      result === 'unreached' ? '' : make('p', {class: 'rule'}, rule, where ? make('span', {}, '; ', make('code', {}, where)) : '')))));
}

const said = ({messages, script}) => make('div', {},
  make('pre', {class: 'console'}, messages.join('\n')),
  script ? make('p', {class: 'quiet note'}, 'The script gets ', ...sentence(script.includes('`') ? script : `\`${script}\``), '.') : '');

function consoles(found) {
  if (!found?.chromium?.messages.length) return null;
  const others = [['Firefox', found.firefox], ['Safari', found.safari]].filter(([, each]) => each?.messages.length);
  return make('div', {}, said(found.chromium), ...others.map(([name, each]) => make('details', {}, make('summary', {}, name), said(each))));
}

function change(found) {
  if (!found) return null;
  if (!found.possible) return make('p', {}, ...sentence(`${capital(found.words)}.`));
  const lines = found.lines.flatMap(({old, new: fresh}) => [
    ...old.map((line) => make('del', {}, make('span', {class: 'unseen'}, 'removed: '), line)),
    ...fresh.map((line) => make('ins', {}, make('span', {class: 'unseen'}, 'added: '), line))]);
  const where = found.file && found.lines.length ? `${found.file}:${found.lines[0].line}` : '';
  return make('div', {},
    make('p', {}, ...sentence(`${capital(found.words)}.`)),
    lines.length ? make('figure', {class: 'diff'}, make('figcaption', {}, where), make('pre', {}, ...lines)) : '',
    found.flags.length ? copied(found.flags.join(' '), 'flags') : '',
    found.elsewhere && !lines.length ? make('p', {class: 'quiet note'}, `The policy comes from ${found.elsewhere}.`) : '',
    found.risks.length ? make('div', {class: 'risk'}, make('strong', {}, 'What it risks'), make('ul', {}, ...found.risks.map((risk) => make('li', {}, ...sentence(`${capital(risk)}.`))))) : '',
    found.routes.length > 1 ? make('p', {class: 'quiet note'}, `The policy speaks for ${found.routes.join(', ')}.`) : '');
}

function command(found) {
  if (!found.command) return null;
  const curl = found.explained?.curl ?? [];
  return make('div', {}, copied(found.command, 'command', true), found.command_note ? make('p', {class: 'quiet note'}, found.command_note) : '',
    curl.length ? make('details', {}, make('summary', {}, 'With curl, which judges nothing'), ...curl.map((line) => copied(line, 'curl line'))) : '');
}

/** Text with a button that copies it. */
function copied(text, what, isMain = false) {
  const button = make('button', {type: 'button', class: 'copy', 'aria-label': `Copy the ${what}`}, icon('copy'), make('span', {}, 'Copy'));
  // Lines break between flags, not within them; what is copied is the text.
  const words = text.split(/ (?=-)/);
  const code = make('code', isMain ? {id: 'command'} : {}, ...words.flatMap((word, number) => [number ? ' ' : '', make('span', {class: 'word'}, word)]));
  button.addEventListener('click', async () => {
    const isDone = await copy(text, code);
    button.querySelector('span').textContent = isDone ? 'Copied' : 'Press Ctrl+C';
    tell(isDone ? `The ${what} is copied.` : `The ${what} is selected.`);
    setTimeout(() => (button.querySelector('span').textContent = 'Copy'), 2000);
  });
  return make('div', {class: 'copied'}, make('pre', {}, code), button);
}

async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https, and on another machine, there is no clipboard: select it for the reader.
    getSelection().selectAllChildren(element);
    return false;
  }
}

function sent(found) {
  if (!found) return null;
  const lines = found.fields.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value)));
  return make('div', {},
    lines.length ? make('dl', {class: 'fields'}, ...lines) : make('p', {class: 'quiet'}, 'None.'),
    found.from_upstream ? make('p', {class: 'quiet note'}, 'Written into the upstream’s answer, whose own Access-Control fields are removed; its Vary is kept beside.') : '');
}

function facts(entry) {
  const given = [
    ['Host', entry.host],
    ['Client', entry.client],
    ['Route', entry.route && `${entry.route}${entry.policy ? `, policy ${entry.policy}` : ''}`],
    ['Upstream', entry.upstream && `${entry.upstream}${entry.reused ? ', on a kept connection' : ''}${entry.retries ? `, ${entry.retries} retried` : ''}`],
    ['Asks for headers', entry.asked_headers.join(', ')],
    ['Credentials', [entry.has_cookie && 'Cookie', entry.has_authorization && 'Authorization'].filter(Boolean).join(' and ')],
    ['Problem', entry.problem && `${entry.problem} ${entry.title}`],
    ['Received', entry.received ? size(entry.received) : ''],
    ['Sent', entry.sent ? size(entry.sent) : ''],
    ['Request id', entry.request_id],
    ['Trace id', entry.trace_id],
  ];
  const lines = given.filter(([, value]) => value).map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value)));
  return make('div', {}, make('dl', {class: 'fields'}, ...lines), timing(entry) ?? '');
}

function timing(entry) {
  if (entry.connected_ms === null || !entry.total_ms) return null;
  const head = entry.head_ms ?? entry.total_ms;
  const parts = [['connect', entry.connected_ms], ['wait', head - entry.connected_ms], ['body', entry.total_ms - head]];
  const bar = make('div', {class: 'timing', 'aria-hidden': 'true'}, ...parts.map(([name]) => make('span', {'data-part': name})));
  [...bar.children].forEach((part, number) => (part.style.flexGrow = String(Math.max(0, parts[number][1]))));
  const legend = make('ul', {class: 'legend'}, ...parts.map(([name, milliseconds]) => make('li', {'data-part': name}, `${name} `, make('b', {}, took(Math.max(0, milliseconds))))));
  return make('div', {}, bar, legend);
}

// --- news for screen readers ---

function tell(text) {
  byId('news').textContent = text;
}

setInterval(() => {
  const {all, bad} = page.unheard;
  page.unheard = {all: 0, bad: 0};
  if (all && !page.isPaused) tell(`${all} new exchange${all === 1 ? '' : 's'}, ${bad} to look at.`);
}, ANNOUNCE_MS);

// --- the stream ---

function setState(state, text) {
  if (document.body.dataset.state === state) return;
  document.body.dataset.state = state;
  byId('state-text').textContent = text;
  if (state === 'lost') tell('The connection to the proxy is lost.');
  drawNotice();
}

function onEntries({entries, all, missed}) {
  if (all) {
    page.entries.clear();
    page.held = [];
    keep(entries);
    drawAll();
    return;
  }
  page.unheard.all += entries.length + missed;
  page.unheard.bad += entries.filter((entry) => BAD.has(entry.outcome)).length;
  if (page.isPaused) {
    page.held = [...page.held, ...entries].slice(-MOST_KEPT);
    drawNotice();
    return;
  }
  keep(entries);
  drawNew(entries, missed);
}

/** Say above the list why it stands still, if it does. */
function drawNotice() {
  const notice = byId('waiting');
  const isLost = document.body.dataset.state === 'lost';
  notice.hidden = !page.isPaused && !isLost;
  if (isLost) notice.textContent = 'The proxy does not answer; what it has seen meanwhile will follow';
  else notice.textContent = page.held.length ? `Paused: ${whole.format(page.held.length)} new` : 'Paused';
}

function setPaused(isPaused) {
  page.isPaused = isPaused;
  const button = byId('pause');
  const said = isPaused ? 'Resume' : 'Pause';
  button.setAttribute('aria-label', said);
  button.replaceChildren(icon(isPaused ? 'play' : 'pause'), make('span', {}, said));
  document.body.toggleAttribute('data-paused', isPaused);
  const held = page.held;
  page.held = [];
  if (!isPaused && held.length) {
    keep(held);
    drawNew(held);
  }
  drawNotice();
}

function connect() {
  const source = new EventSource('/inspector/events');
  source.addEventListener('hello', ({data}) => {
    const {name, address} = JSON.parse(data);
    if (page.name && page.name !== name) {
      // Another start: numbers and counts began anew.
      page.entries.clear();
      page.held = [];
      page.counts = null;
    }
    Object.assign(page, {name, address});
    setState('live', 'Live');
    drawAll();
  });
  source.addEventListener('exchanges', ({data}) => onEntries(JSON.parse(data)));
  source.addEventListener('counts', ({data}) => count(JSON.parse(data)));
  source.addEventListener('error', () => {
    setState('lost', 'Reconnecting');
    // A refusal ends it for good; a lost connection it mends by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RECONNECT_MS);
  });
}

// --- keys ---

function step(by) {
  const links = [...byId('rows').querySelectorAll('a')];
  if (!links.length) return;
  const here = links.findIndex((link) => link === document.activeElement || link.closest('tr').dataset.id === page.selected);
  const next = links[here < 0 ? 0 : Math.min(links.length - 1, Math.max(0, here + by))];
  next.focus();
  next.scrollIntoView({block: 'nearest'});
  if (page.selected) open(next.closest('tr').dataset.id, {focus: false, isStep: false});
}

const areKeysOn = () => byId('keys-on').checked;

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId('help').open) return;
  const isWriting = event.target.matches?.('input, textarea, select');
  if (event.key === 'Escape') {
    if (page.selected && !isWriting) close();
    else if (byId('filter').value) setFilter('');
    else if (isWriting) byId('exchanges').focus();
    return;
  }
  if (isWriting || !areKeysOn()) return;
  const actions = {
    j: () => step(1),
    k: () => step(-1),
    '/': () => byId('filter').focus(),
    p: () => setPaused(!page.isPaused),
    '?': () => byId('help').showModal(),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

// --- begin ---

function begin() {
  readAddress();
  onFilter();
  for (const [name, [, text]] of Object.entries(OUTCOMES)) byId('outcomes').append(make('div', {}, make('dt', {}, pill(name)), make('dd', {}, text)));
  byId('rows').addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link.closest('tr').dataset.id);
  });
  byId('filter').addEventListener('input', onFilter);
  byId('filter-form').addEventListener('submit', (event) => {
    event.preventDefault();
    byId('rows').querySelector('a')?.focus();
  });
  byId('clear').addEventListener('click', () => {
    setFilter('');
    byId('filter').focus();
  });
  byId('look').addEventListener('click', () => setFilter([...BAD].join(' ')));
  byId('pause').addEventListener('click', () => setPaused(!page.isPaused));
  byId('help-open').addEventListener('click', () => byId('help').showModal());
  byId('help-close').addEventListener('click', () => byId('help').close());
  byId('keys-on').checked = localStorage.getItem('keys') !== 'off';
  byId('keys-on').addEventListener('change', () => localStorage.setItem('keys', areKeysOn() ? 'on' : 'off'));
  document.addEventListener('keydown', onKey);
  addEventListener('popstate', () => {
    const before = page.selected;
    readAddress();
    const selected = page.selected;
    page.selected = before;
    page.filter = compile(filterText());
    drawChips();
    drawAll();
    if (selected) open(selected, {isStep: false});
    else close({isStep: false});
  });
  // On a narrow screen the list is what one came for.
  if (matchMedia('(max-width: 60rem)').matches) for (const each of document.querySelectorAll('.counts details')) each.open = false;
  setInterval(drawRate, 1000);
  drawRate();
  if (page.selected) open(page.selected, {focus: false, isStep: false});
  connect();
}

begin();
