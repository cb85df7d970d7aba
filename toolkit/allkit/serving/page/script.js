"use strict";
// Images to rows: one request for each, a few at a time; rows appear as they are done, in the order of the images.
const AT_ONCE = 4, RETRY_MS = 1000;
// Pictures and maps take memory: further rows have none, but are all in the CSV.
const MOST_SHOWN = 500;
const at = (id) => document.getElementById(id);
const rows = [];
let waiting = [], stopped = false, working = 0, given = 0, taken = 0, classes = [];

const ready = fetch("about").then((answer) => answer.json()).then((about) => {
  at("model").textContent = about.model;
  classes = about.classes;
  at("maps").hidden = !about.heatmap;
});

at("files").addEventListener("change", (event) => {
  take([...event.target.files].map(image));
  event.target.value = "";
});
at("folder").addEventListener("change", (event) => {
  take(below([...event.target.files].map(image)));
  event.target.value = "";
});
// Anywhere: what is dropped beside the frame must not take the place of the page and its rows.
document.addEventListener("dragover", (event) => { event.preventDefault(); at("drop").classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const files = [...event.dataTransfer.items].filter((item) => item.kind === "file");
  // Items are empty once the event is over: all are asked before the first is awaited.
  const entries = files.map((item) => item.webkitGetAsEntry()).filter(Boolean);
  for (const entry of entries) take(entry.isFile ? [dropped(entry)] : below(await walk(entry)));
});
at("stop").addEventListener("click", () => { stopped = true; waiting = []; tell(); });
at("save").addEventListener("click", save);
at("heatmaps").addEventListener("change", () => rows.forEach((row) => row.picture && show(row)));

// An image is a path and a function that opens its file.
function image(file) { return { path: file.webkitRelativePath || file.name, open: async () => file }; }

function dropped(entry) {
  return { path: entry.fullPath.slice(1), open: () => new Promise((done, fail) => entry.file(done, fail)) };
}

// All files below a folder; the folder itself where it cannot be read.
async function walk(folder) {
  const reader = folder.createReader(), found = [];
  try {
    // It is read in parts.
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) break;
      for (const entry of some) found.push(...(entry.isFile ? [dropped(entry)] : await walk(entry)));
    }
  } catch (error) {
    found.push({ path: folder.fullPath.slice(1), open: async () => { throw error; }, closed: true });
  }
  return found;
}

// What `allkit classify` takes of a folder, in its order: no hidden files and no heat maps, 2 before 10.
function below(found) {
  const inside = ({ path }) => path.slice(path.indexOf("/") + 1);
  const wanted = (one) => /\.(jpe?g|png|bmp|tiff?|webp)$/i.test(one.path) && !one.path.endsWith(".heatmap.png")
    && !/(^|\/)\./.test(inside(one));
  const runs = (one) => inside(one).split(/(\d+)/).filter(Boolean).map((run) => (/\d/.test(run) ? Number(run) : run));
  return found.filter((one) => one.closed || wanted(one)).map((one) => ({ ...one, runs: runs(one) })).sort(natural);
}

function natural({ runs: left }, { runs: right }) {
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [a, b] = [left[i], right[i]];
    if (typeof a !== typeof b) return typeof a === "string" ? -1 : 1;
    if (a !== b) return a < b ? -1 : 1;
  }
  return left.length - right.length;
}

function take(images) {
  waiting.push(...images.map((one) => ({ ...one, number: taken++ })));
  // Without those that an earlier stop has left.
  given = rows.length + working + waiting.length;
  stopped = false;
  at("work").hidden = !given;
  tell();
  while (working < AT_ONCE && waiting.length) work();
}

async function work() {
  working += 1;
  while (waiting.length) {
    const row = waiting.shift();
    row.result = await classified(row);
    if (row.result) { rows.push(row); add(row); }
    tell();
  }
  working -= 1;
  tell();
}

// The row of an image, or null where the user does not wait for it any more.
async function classified(row) {
  try {
    row.file = await row.open();
  } catch (error) {
    return { error: `the browser cannot read it (${error.message})` };
  }
  try {
    await ready;
    const answer = await asked("classify", row.file);
    return answer.status === 503 ? null : await answer.json();
  } catch (error) {
    return { error: `no answer from the server (${error.message})` };
  }
}

// The answer of the server; while it has too much to do, it is asked again, until the user stops.
async function asked(place, file) {
  for (;;) {
    const answer = await fetch(place, { method: "POST", body: file });
    if (answer.status !== 503 || stopped) return answer;
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

function add(row) {
  if (rows.length > MOST_SHOWN) return;
  const item = at("row").content.cloneNode(true).firstElementChild, { result } = row;
  item.dataset.number = row.number;
  item.querySelector(".name").textContent = row.path;
  const label = item.querySelector(".label");
  if (result.label == null) {
    label.textContent = `not read: ${result.error}`;
    label.classList.add("error");
    for (const unknown of item.querySelectorAll("figure > *, .marks, table")) unknown.remove();
  } else {
    label.textContent = result.label;
    const set = result.prediction_set.join(" or ") || "no class is likely enough";
    item.querySelector(".marks").textContent = [
      result.uncertain ? `uncertain: ${set}` : "", result.unfamiliar ? "unfamiliar: the label means little" : "",
    ].filter(Boolean).join("; ");
    for (const name of classes) bar(item.querySelector("tbody"), name, result[name]);
    row.picture = item.querySelector("img");
    // Browsers do not show every format that is classified.
    row.picture.addEventListener("load", () => preview(row.picture, true));
    row.picture.addEventListener("error", () => preview(row.picture, false));
    show(row);
  }
  // Images before it may still be at work.
  const later = [...at("rows").children].find((other) => Number(other.dataset.number) > row.number);
  at("rows").insertBefore(item, later ?? null);
}

function bar(body, name, share) {
  const line = body.insertRow(), head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  line.append(head);
  const drawn = line.insertCell(), number = line.insertCell();
  drawn.className = "bar";
  drawn.setAttribute("aria-hidden", "true");
  drawn.append(document.createElement("span"));
  drawn.firstChild.style.width = `${100 * share}%`;
  number.className = "number";
  number.textContent = `${(100 * share).toFixed(1)} %`;
}

// The image, or the image under its heat map.
async function show(row) {
  let source = row.file, words = `${row.path}: ${row.result.label}`;
  if (at("heatmaps").checked) {
    const answer = await asked("classify?heatmap=png", row.file).catch(() => null);
    const map = answer?.ok && await answer.blob();
    // Meanwhile it may no longer be wanted.
    if (!at("heatmaps").checked) return;
    if (map) { source = map; words += ", with the evidence for it"; }
  }
  const before = row.picture.src;
  row.picture.src = URL.createObjectURL(source);
  row.picture.alt = words;
  if (before) URL.revokeObjectURL(before);
}

function preview(picture, possible) {
  picture.hidden = !possible;
  picture.nextElementSibling.hidden = possible;
}

function tell() {
  const done = rows.length, busy = (working > 0 || waiting.length > 0) && !stopped;
  at("progress").max = Math.max(given, 1);
  at("progress").value = done;
  const count = (mark) => rows.filter(({ result }) => result[mark]).length;
  const failed = rows.filter(({ result }) => result.label == null).length;
  at("status").textContent = !given ? "No image in this folder." : `${done} of ${given} images; ${count("uncertain")} uncertain, `
    + `${count("unfamiliar")} unfamiliar, ${failed} not read${stopped ? "; stopped" : busy ? "" : "; done"}`
    + (done > MOST_SHOWN ? `. The first ${MOST_SHOWN} are shown; the CSV has all.` : "");
  at("stop").disabled = !busy;
}

// The file that `allkit classify` writes. A field that a spreadsheet would evaluate gets an apostrophe, or ./ if it is a path.
function save() {
  const names = ["label", "confidence", ...classes, "error", "prediction_set", "uncertain", "unfamiliar"];
  const risky = (text) => /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text);
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const field = (value) => {
    if (value == null) return "";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value === "number") return decimal(value);
    const text = Array.isArray(value) ? value.join("|") : value;
    return quoted(risky(text) ? `'${text}` : text);
  };
  const lines = [...rows].sort((a, b) => a.number - b.number).map(({ path, result }) =>
    [quoted(risky(path) ? `./${path}` : path), ...names.map((name) => field(result[name]))]);
  const text = [["path", ...names.map(field)], ...lines].map((fields) => `${fields.join(",")}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A probability as Python writes it: 1.0, 0.25, 3e-05.
function decimal(value) {
  if (Number.isInteger(value)) return value.toFixed(1);
  return value < 1e-4 ? value.toExponential().replace(/-(\d)$/, "-0$1") : String(value);
}
