"use strict";
// Sort tables, switch between light and dark, and compare two jobs by query. Texts are never set as markup.

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// light and dark

function setUpTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => root.dataset.theme || (system.matches ? "dark" : "light");
  const label = () => { button.textContent = current() === "dark" ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = current() === "dark" ? "light" : "dark"; label(); });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
}

// sortable tables

function compare(left, right, words) {
  return words ? left.localeCompare(right) : Number(left) - Number(right);
}

function sortBy(table, place, head) {
  const body = table.tBodies[0];
  const words = head.classList.contains("word");
  const first = words ? "ascending" : "descending";
  const other = words ? "descending" : "ascending";
  const way = head.getAttribute("aria-sort") === first ? other : first;
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way);
  const order = (row) => row.cells[place].dataset.order;
  const known = (row) => order(row) !== undefined && (words || !Number.isNaN(Number(order(row))));
  const rows = [...body.rows];
  const sign = way === "ascending" ? 1 : -1;
  const sorted = rows.filter(known).sort((a, b) => sign * compare(order(a), order(b), words));
  body.append(...sorted, ...rows.filter((row) => !known(row)));
}

function setUpSorting() {
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => sortBy(table, place, head));
    });
  }
}

// query by query

const STEP = 10; // queries a list, and how many more a click shows
const ANCHOR = "#queries";
const data = JSON.parse(byId("data").textContent);
const choice = { stage: 0, a: 0, b: 0, words: "", shown: STEP };

const stage = () => data.stages[choice.stage];
const value = (job, query) => stage().levels[stage().values[job][query]];
const number = (value) => value.toFixed(3);
const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(3);
const rankWords = (rank) => (rank === null ? "not ranked" : `rank ${rank}`);

function textsOf(stage) {
  stage.byQuery ??= new Map(stage.texts.map(([query, text, ranked]) => [query, { text, ranked }]));
  return stage.byQuery;
}

/** Queries where the jobs differ: the largest difference first, then queries with texts. */
function differing() {
  const texts = textsOf(stage());
  const words = choice.words.toLowerCase().split(/\s+/).filter(Boolean);
  const split = { wins: [], losses: [], ties: 0 };
  stage().ids.forEach((id, query) => {
    const text = (texts.get(query)?.text ?? id).toLowerCase();
    if (!words.every((word) => text.includes(word))) return;
    const difference = value(choice.b, query) - value(choice.a, query);
    if (difference === 0) split.ties += 1;
    else split[difference > 0 ? "wins" : "losses"].push({ query, difference });
  });
  const order = (x, y) =>
    Math.abs(y.difference) - Math.abs(x.difference) || texts.has(y.query) - texts.has(x.query) || x.query - y.query;
  split.wins.sort(order);
  split.losses.sort(order);
  return split;
}

function passage(place, ranks, relevant) {
  const [id, text] = data.passages[place];
  return make("dd", relevant ? { class: "relevant" } : {}, text, make("small", {}, `${id}; ${ranks}`));
}

function rankOf(known, job, place) {
  // the first stage has no answers of its own; each job has the first stage's ranks of its passages
  const shown = known.ranked.filter(Boolean).flat().filter((row) => row && row[0] === place);
  if (job === 0) return shown.length ? rankWords(shown[0][2]) : "rank not kept";
  const own = (known.ranked[job] ?? []).find((row) => row && row[0] === place);
  return own ? rankWords(own[1]) : "rank not kept";
}

function ranks(known, place) {
  const jobs = [...new Set([0, choice.a, choice.b])];
  const name = (job) => (job === 0 ? stage().first : job === choice.b ? "B" : "A");
  return jobs.map((job) => `${name(job)}: ${rankOf(known, job, place)}`).join(", ");
}

function details(known) {
  const list = make("dl");
  const shown = new Set();
  for (const job of [choice.a, choice.b, ...known.ranked.keys()]) {
    const relevant = known.ranked[job]?.[0];
    if (!relevant || shown.has(relevant[0]) || (shown.size && ![choice.a, choice.b].includes(job))) continue;
    shown.add(relevant[0]);
    list.append(make("dt", {}, "Relevant passage"), passage(relevant[0], ranks(known, relevant[0]), true));
  }
  if (!shown.size) list.append(make("dt", {}, "Relevant passage"), make("dd", {}, "none is judged"));
  for (const [name, job] of [["A", choice.a], ["B", choice.b]]) {
    if (job === 0) continue;
    const top = known.ranked[job]?.[1];
    list.append(make("dt", {}, `${name} ranked first${top?.[3] ? ": relevant" : ""}`));
    if (!top) list.append(make("dd", {}, "not kept"));
    else if (top[3] && shown.has(top[0])) list.append(make("dd", { class: "relevant" }, "the passage above"));
    else list.append(passage(top[0], `${stage().first}: ${rankWords(top[2])}`, Boolean(top[3])));
  }
  return list;
}

function card({ query, difference }) {
  const known = textsOf(stage()).get(query);
  const heading = make("h4", {}, make("span", {}, known?.text ?? stage().ids[query]), make("b", {}, signed(difference)));
  const firstStage = choice.a && choice.b ? [[stage().first, 0]] : [];
  const values = [["A", choice.a], ["B", choice.b], ...firstStage]
    .map(([name, job]) => `${name} ${number(value(job, query))}`).join(", ");
  const body = known ? details(known) : make("p", { class: "values" }, "Its texts are not kept on this page.");
  return make("li", { class: "card", tabindex: "-1" }, heading, make("p", { class: "values" }, `${data.measure}: ${values}`), body);
}

function list(name, title, queries) {
  const heading = make("h3", {}, title, make("small", {}, `${queries.length.toLocaleString("en")} queries`));
  const cards = make("ol", { class: "cards", id: name, "aria-label": title });
  cards.append(...queries.slice(0, choice.shown).map(card));
  cards.firstElementChild?.setAttribute("tabindex", "0");
  if (!queries.length) cards.append(make("li", { class: "faint" }, "none"));
  const more = make("button", { type: "button", class: "more" }, "More");
  more.hidden = queries.length <= choice.shown;
  more.addEventListener("click", () => {
    const before = choice.shown;
    choice.shown += STEP;
    show();
    write();
    focusCard(byId(name).children[before]);
  });
  return make("div", {}, heading, cards, more);
}

function show() {
  const split = differing();
  const count = (number) => number.toLocaleString("en");
  byId("counts").textContent =
    `B is ahead on ${count(split.wins.length)} queries, A on ${count(split.losses.length)}, ` +
    `equal on ${count(split.ties)}${choice.words ? " (of those with these words)" : ""}.`;
  byId("found").replaceChildren(
    list("wins", "B ahead of A", split.wins),
    list("losses", "A ahead of B", split.losses),
  );
  const kept = stage().texts.length;
  const all = stage().ids.length;
  byId("kept").textContent = kept === all ? "" : kept === 0
    ? "No texts: these jobs have no file of answers (jobs of earlier versions write none)."
    : `Texts are kept for ${count(kept)} of ${count(all)} queries: those on which the jobs differ most, at most ` +
      `${byId("kept").dataset.limit}. The others show their id.`;
}

// the choice in the address

function write() {
  const { jobs, key } = stage();
  const parts = { stage: key, a: jobs[choice.a][0], b: jobs[choice.b][0] };
  if (choice.words) parts.q = choice.words;
  if (choice.shown > STEP) parts.show = choice.shown;
  history.replaceState(null, "", `${ANCHOR}?${new URLSearchParams(parts)}`);
}

function start(place) {
  choice.stage = place;
  [choice.a, choice.b] = data.stages[place].start;
}

function read() {
  start(0);
  choice.words = "";
  choice.shown = STEP;
  if (!location.hash.startsWith(`${ANCHOR}?`)) return;
  const given = new URLSearchParams(location.hash.slice(ANCHOR.length + 1));
  const place = data.stages.findIndex((stage) => stage.key === given.get("stage"));
  if (place >= 0) start(place);
  for (const side of ["a", "b"]) {
    const job = stage().jobs.findIndex(([name]) => name === given.get(side));
    if (job >= 0) choice[side] = job;
  }
  choice.words = given.get("q") ?? "";
  choice.shown = Math.max(STEP, Number.parseInt(given.get("show") ?? "", 10) || STEP);
  byId("queries").scrollIntoView();
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([name, title], place) => make("option", { value: place, title: name }, title)));
  select.selectedIndex = chosen;
}

function fillAll() {
  fill(byId("stage"), data.stages.map((stage) => [stage.key, stage.title]), choice.stage);
  fill(byId("job-a"), stage().jobs, choice.a);
  fill(byId("job-b"), stage().jobs, choice.b);
  byId("filter").value = choice.words;
}

function focusCard(next) {
  if (!next) return;
  for (const card of next.parentElement.children) card.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

function onKey(event) {
  const here = event.target.closest(".card");
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const column = here.parentElement;
  const place = [...column.children].indexOf(here);
  const other = byId(column.id === "wins" ? "losses" : "wins");
  const next = {
    ArrowDown: here.nextElementSibling, j: here.nextElementSibling,
    ArrowUp: here.previousElementSibling, k: here.previousElementSibling,
    ArrowLeft: column.id === "losses" ? other.children[place] : null,
    ArrowRight: column.id === "wins" ? other.children[place] : null,
  }[event.key];
  if (!next?.classList.contains("card")) return;
  event.preventDefault();
  focusCard(next);
}

function setUpQueries() {
  if (!data.stages.length) return;
  const changed = () => { choice.shown = STEP; show(); write(); };
  byId("choice").hidden = false;
  byId("choice").addEventListener("submit", (event) => event.preventDefault());
  byId("stage").addEventListener("change", (event) => {
    start(event.target.selectedIndex);
    fillAll();
    changed();
  });
  for (const side of ["a", "b"]) {
    byId(`job-${side}`).addEventListener("change", (event) => {
      choice[side] = event.target.selectedIndex;
      changed();
    });
  }
  byId("filter").addEventListener("input", (event) => {
    choice.words = event.target.value;
    changed();
  });
  byId("found").addEventListener("keydown", onKey);
  const begin = () => { read(); fillAll(); show(); };
  addEventListener("hashchange", () => { if (location.hash.startsWith(`${ANCHOR}?`)) begin(); });
  begin();
}

setUpTheme();
setUpSorting();
setUpQueries();
