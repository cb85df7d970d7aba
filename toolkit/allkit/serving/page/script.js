"use strict";
// Images to rows: one request for each, a few at a time; rows appear as they are done.
const AT_ONCE = 4, RETRY_MS = 1000;
// Pictures and maps take memory: further rows have none, but are all in the CSV.
const MOST_SHOWN = 500;
const NAMES = /\.(jpe?g|png|bmp|tiff?|webp)$/i;
const at = (id) => document.getElementById(id);
const rows = [];
let waiting = [], stopped = false, working = 0, given = 0, classes = [];

fetch("about").then((answer) => answer.json()).then((about) => {
  at("model").textContent = about.model;
  classes = about.classes;
  at("maps").hidden = !about.heatmap;
});

for (const id of ["files", "folder"]) {
  at(id).addEventListener("change", (event) => { take([...event.target.files].map(named)); event.target.value = ""; });
}
const drop = at("drop");
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  if (entries.some(Boolean)) {
    for (const entry of entries.filter(Boolean)) await walk(entry);
  } else {
    take([...event.dataTransfer.files].map(named));
  }
});
at("stop").addEventListener("click", () => { stopped = true; waiting = []; tell(); });
at("save").addEventListener("click", save);
at("heatmaps").addEventListener("change", () => rows.forEach((row) => row.picture && show(row)));

function named(file) { return { file, path: file.webkitRelativePath || file.name }; }

// A folder that is dropped is read in parts.
async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    take([{ file, path: entry.fullPath.replace(/^\//, "") }]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const one of some) await walk(one);
  }
}

function take(images) {
  const found = images.filter(({ file, path }) => NAMES.test(path) || file.type.startsWith("image/"));
  given += found.length;
  waiting.push(...found);
  stopped = false;
  at("work").hidden = false;
  tell();
  while (working < AT_ONCE && waiting.length) work();
}

async function work() {
  working += 1;
  while (waiting.length) {
    const image = waiting.shift();
    const result = await classified(image);
    if (result) { const row = { ...image, result }; rows.push(row); add(row); }
    tell();
  }
  working -= 1;
  tell();
}

async function classified({ file }) {
  for (;;) {
    try {
      const answer = await fetch("classify", { method: "POST", body: file });
      if (answer.status === 503 && !stopped) { await new Promise((done) => setTimeout(done, RETRY_MS)); continue; }
      return stopped && answer.status === 503 ? null : await answer.json();
    } catch (error) {
      return { error: `no answer from the server (${error.message})` };
    }
  }
}

function add(row) {
  if (rows.length > MOST_SHOWN) return;
  const item = at("row").content.cloneNode(true), { result } = row;
  item.querySelector(".name").textContent = row.path;
  const label = item.querySelector(".label");
  label.textContent = result.label ?? `not read: ${result.error}`;
  label.classList.toggle("error", result.label == null);
  const set = result.prediction_set && result.prediction_set.length ? result.prediction_set.join(" or ") : "none of the classes";
  item.querySelector(".marks").textContent = [
    result.uncertain ? `uncertain: ${set}` : "", result.unfamiliar ? "unfamiliar: the label means little" : "",
  ].filter(Boolean).join("; ");
  const body = item.querySelector("tbody");
  for (const name of result.label == null ? [] : classes) {
    const line = body.insertRow(), head = document.createElement("th"), share = result[name];
    head.scope = "row";
    head.textContent = name;
    line.append(head);
    const bar = line.insertCell(), number = line.insertCell();
    bar.className = "bar";
    bar.append(document.createElement("span"));
    bar.firstChild.style.width = `${100 * share}%`;
    bar.setAttribute("aria-hidden", "true");
    number.className = "number";
    number.textContent = `${(100 * share).toFixed(1)} %`;
  }
  const picture = item.querySelector("img");
  at("rows").append(item);
  if (result.label == null) {
    picture.remove();
  } else {
    picture.alt = `${row.path}: ${result.label}`;
    row.picture = picture;
    show(row);
  }
}

// The image, or the image under its heat map.
async function show(row) {
  let source = row.file;
  if (at("heatmaps").checked) {
    const answer = await fetch("classify?heatmap=png", { method: "POST", body: row.file }).catch(() => null);
    if (answer && answer.ok) source = await answer.blob();
  }
  const before = row.picture.src;
  row.picture.src = URL.createObjectURL(source);
  if (before) URL.revokeObjectURL(before);
}

function tell() {
  const done = rows.length, busy = (working > 0 || waiting.length > 0) && !stopped;
  at("progress").max = Math.max(given, 1);
  at("progress").value = done;
  const count = (mark) => rows.filter(({ result }) => result[mark]).length;
  const failed = rows.filter(({ result }) => result.label == null).length;
  at("status").textContent = `${done} of ${given} images; ${count("uncertain")} uncertain, ${count("unfamiliar")} unfamiliar, `
    + `${failed} not read${stopped ? "; stopped" : busy ? "" : "; done"}`
    + (done > MOST_SHOWN ? `. The first ${MOST_SHOWN} are shown; the CSV has all.` : "");
  at("stop").disabled = !busy;
}

// The columns of `allkit classify`. A field that a spreadsheet would evaluate gets an apostrophe, or ./ if it is a path.
function save() {
  const names = ["label", "confidence", ...classes, "error", "prediction_set", "uncertain", "unfamiliar"];
  const risky = (text) => /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text);
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const field = (value) => {
    if (value == null) return "";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value === "number") return String(value);
    const text = Array.isArray(value) ? value.join("|") : value;
    return quoted(risky(text) ? `'${text}` : text);
  };
  const lines = rows.map(({ path, result }) =>
    [quoted(risky(path) ? `./${path}` : path), ...names.map((name) => field(result[name]))].join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([["path", ...names.map(field)].join(",") + "\n", ...lines.map((line) => line + "\n")],
    { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
