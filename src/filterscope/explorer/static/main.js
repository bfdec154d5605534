// The page: what is chosen, what is asked of the server, and when it is drawn.
import { askLabel, askOpen, askProbe, askState, askVotes, keepToken, upload } from "./api.js";
import { scheme } from "./colours.js";
import { LabelsView } from "./labels_view.js";
import { Latest } from "./latest.js";
import { readLink, writeLink } from "./link.js";
import { PicturesView } from "./pictures_view.js";
import { download, drawSheet } from "./save.js";
import { Viewport } from "./viewport.js";

const byId = (id) => document.getElementById(id);
const viewport = new Viewport();
const settings = { colour: "white", show: "sum", tone: "linear", lens: 1, part: "output" };
const page = { networks: [], images: [], limits: {}, network: null, image: null, view: null, probe: null, held: false, label: null, started: 0, byKeys: false, isOpen: false, failed: null };

/* messages */

function tell(id, message) {
  const box = byId(id);
  box.querySelector("p").textContent = message;
  box.hidden = !message;
}
for (const id of ["error", "notice"]) byId(id).querySelector("button").onclick = () => tell(id, "");

function fail(error) {
  document.body.dataset.state = "error";
  page.failed = null;
  setBusy(false);
  if (error.kind === "token") {
    byId("token").hidden = false;
    byId("token").querySelector("input").focus();
    return;
  }
  tell("error", error.message);
}

function setBusy(isBusy) {
  for (const pane of Object.values(page.view?.panes ?? {})) pane.canvas.parentElement.classList.toggle("busy", isBusy);
}

/* what is asked */

/** Asks for the latest wish; an answer takes back what was said when the one before it failed. */
function asking(ask, show, failed = fail) {
  const latest = new Latest(ask, (answer, asked) => {
    if (page.failed === latest) tell("error", "");
    show(answer, asked);
  }, (error) => {
    failed(error);
    page.failed = latest;
  });
  return latest;
}

const opening = asking(askOpen, opened, closed);
const probing = asking(askProbe, probed);
const labelling = asking(askLabel, (answer) => page.view.showLabel?.(answer));
const voting = asking(askVotes, (answer) => page.view.showVotes?.(answer));
const place = () => ({ network: page.network.id, image: page.image.id });

function open(wish = {}) {
  for (const asked of [probing, labelling, voting]) asked.drop();
  page.wish = wish;
  page.isOpen = false;
  document.body.dataset.state = "opening";
  setBusy(true);
  byId("network").value = page.network.id;
  byId("image").value = page.image.id;
  byId("subject").textContent = `${page.network.name} · ${page.network.source}`;
  byId("subject").title = page.network.source;
  opening.want(place());
}

/** Nothing may stay on the page that belongs to another network or picture than it names. */
function closed(error) {
  page.view = page.probe = page.label = null;
  setHeld(false);
  for (const id of ["panes", "side"]) byId(id).replaceChildren();
  fail(error);
}

function opened(answer) {
  tell("error", "");
  page.isOpen = true;
  const isNew = page.view?.kind !== page.network.kind;
  if (isNew) makeView();
  page.view.classes = page.network.classes;
  page.view.open(answer);
  const { wish, view } = page, side = wish.side === "output" && view.sizes.output ? "output" : "input";
  const [rows, columns] = view.sizes[side];
  const fits = Number.isInteger(wish.row) && Number.isInteger(wish.column) && wish.row >= 0 && wish.column >= 0 && wish.row < rows && wish.column < columns;
  page.probe = fits ? { side, row: wish.row, column: wish.column } : { side: "input", row: view.sizes.input[0] >> 1, column: view.sizes.input[1] >> 1 };
  setHeld(fits);
  if (wish.lens === undefined) settings.lens = view.usualLens;
  fillControls(answer.header);
  view.drawBase();
  askForProbe();
  if (page.network.kind === "labels") {
    choose(Number.isInteger(wish.label) && wish.label >= 0 && wish.label < answer.header.outputs ? wish.label : answer.header.scores[0].label);
    voting.want(place());
  } else {
    page.label = null;
  }
}

function askForProbe() {
  document.body.dataset.state = "probing";
  page.started = performance.now();
  page.view.mark(page.probe, page.held);
  const { side, row, column } = page.probe;
  probing.want({ ...place(), side, row, column, colour: settings.colour });
  remember();
}

function probed(answer, asked) {
  page.view.filters = answer;
  requestAnimationFrame(() => {
    if (!page.isOpen || page.view.filters !== answer) return; // another one is being opened
    page.view.drawFilters(page.probe);
    page.view.mark(page.probe, page.held);
    const isLatest = asked.row === page.probe.row && asked.column === page.probe.column && asked.side === page.probe.side;
    if (!isLatest) return;
    setBusy(false);
    performance.measure("filterscope-probe", { start: page.started, end: performance.now() });
    if (performance.getEntriesByName("filterscope-probe").length > 1000) performance.clearMeasures("filterscope-probe");
    document.body.dataset.state = "ready";
    document.body.dataset.probe = `${asked.side} ${asked.row} ${asked.column}`;
    if (page.byKeys) byId("status").textContent = page.view.describe();
  });
}

function choose(label) {
  page.label = label;
  labelling.want({ ...place(), label });
  remember();
}

/* what is seen */

const on = {
  tone: () => settings.tone,
  place: (pane) => page.view.place(pane, page.probe),
  label: choose,
  probe(pane, { row, column }) {
    page.byKeys = false;
    if (!page.held) moveTo(pane.name, row, column);
  },
  hold(pane, { row, column }) {
    setHeld(!page.held);
    moveTo(pane.name, row, column);
    page.view.mark(page.probe, page.held);
  },
  key(pane, event) {
    const [rows, columns] = page.view?.sizes[pane.name === "output" || pane.name === "column" ? "output" : "input"] ?? [1, 1];
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const now = page.view && page.view.place(pane, page.probe);
    if (event.ctrlKey || event.metaKey || event.altKey || !now) return;
    if (steps) {
      const far = event.shiftKey ? 8 : 1, clip = (k, count) => Math.max(0, Math.min(count - 1, k));
      page.byKeys = true;
      pane.hover = null;
      const side = page.view.sizes.output && (pane.name === "output" || pane.name === "column") ? "output" : "input";
      moveTo(side, clip(now.row + far * steps[0], rows), clip(now.column + far * steps[1], columns));
      viewport.show((page.probe.column + 0.5) / columns, (page.probe.row + 0.5) / rows);
    } else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-" || event.key === "_") zoom(1 / 1.5);
    else if (event.key === "0") viewport.set(0.5, 0.5, 1);
    else if (event.key === "Enter" || event.key === " ") setHeld(!page.held);
    else if (event.key === "Escape") setHeld(false);
    else return;
    event.preventDefault();
  },
};

function moveTo(side, row, column) {
  const { probe } = page;
  if (!page.isOpen || (probe.side === side && probe.row === row && probe.column === column)) return;
  page.probe = { side, row, column };
  askForProbe();
}

function setHeld(isHeld) {
  page.held = isHeld;
  byId("held").hidden = !isHeld;
  page.view?.mark(page.probe, isHeld);
}

function zoom(factor) {
  if (!page.isOpen) return;
  const { side, row, column } = page.probe, [rows, columns] = page.view.sizes[side];
  viewport.zoomAt((column + 0.5) / columns, (row + 0.5) / rows, factor);
}

function makeView() {
  const { kind } = page.network;
  byId("side").replaceChildren();
  page.view = kind === "pictures" ? new PicturesView(viewport, on, settings) : new LabelsView(viewport, on, settings, byId("side"));
  page.view.kind = kind;
  byId("panes").replaceChildren(...Object.values(page.view.panes).map((pane) => pane.figure));
}

let isDue = false;
function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    if (!page.view?.pictures) return;
    page.view.drawBase();
    page.view.drawFilters(page.probe);
    page.view.mark(page.probe, page.held);
  });
}
viewport.addEventListener("change", () => {
  byId("level").textContent = `×${viewport.zoom < 10 ? Number(viewport.zoom.toFixed(1)) : Math.round(viewport.zoom)}`;
  remember();
  if (page.view?.pictures) page.view.mark(page.probe, page.held);
});
scheme.addEventListener("change", redraw);

/* controls */

function fillControls(header) {
  const isPictures = page.network.kind === "pictures", inColour = header.channels === 3 || !isPictures;
  byId("colour-label").hidden = header.channels !== 3;
  byId("show-label").hidden = !inColour;
  byId("lens-label").hidden = byId("part-label").hidden = !isPictures;
  if (header.channels !== 3) settings.colour = "white";
  if (!inColour) Object.assign(settings, { colour: "white", show: "sum" });
  for (const name of ["colour", "show", "tone", "lens", "part"]) byId(name).value = String(settings[name]);
}

for (const name of ["colour", "show", "tone", "lens", "part"]) byId(name).onchange = ({ target }) => {
  settings[name] = name === "lens" ? Number(target.value) : target.value;
  if (name === "colour") {
    settings.show = byId("show").value = target.value === "block" ? "rgb" : "sum";
    if (page.isOpen) askForProbe();
  }
  redraw();
  remember();
};
byId("network").onchange = ({ target }) => {
  page.network = page.networks.find(({ id }) => id === target.value);
  settings.part = "output";
  open();
};
byId("image").onchange = ({ target }) => {
  page.image = page.images.find(({ id }) => id === target.value);
  open();
};
byId("in").onclick = () => zoom(1.5);
byId("out").onclick = () => zoom(1 / 1.5);
byId("whole").onclick = () => viewport.set(0.5, 0.5, 1);
byId("release").onclick = () => setHeld(false);
byId("upload").onclick = () => byId("file").click();
byId("file").onchange = ({ target }) => {
  if (target.files[0]) send(target.files[0]);
  target.value = "";
};
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
});

async function send(file) {
  try {
    if (!page.network) throw new Error("the explorer does not answer yet; load the page again");
    if (file.size > page.limits.upload_bytes) throw new Error(`the file is larger than the ${page.limits.upload_bytes / 2 ** 20} MB that are allowed`);
    page.image = await upload(file);
  } catch (error) {
    fail(error);
    return;
  }
  page.images = [...page.images.filter(({ id }) => id !== page.image.id), page.image];
  fillImages();
  tell("notice", "The picture stays on the server that runs the explorer, as pixels alone, and is not part of a link: whoever opens the link sees another picture.");
  open();
}

byId("link").onclick = async () => {
  if (!page.isOpen) return tell("notice", "There is no view yet that a link could hold.");
  remember(true);
  const said = page.image.uploaded ? "Link copied. The uploaded picture is not in it: whoever opens it sees another picture." : "Link copied: it opens this view.";
  try {
    await navigator.clipboard.writeText(location.href);
    tell("notice", said);
  } catch {
    tell("notice", `The browser does not let the page copy; the link is the page's address: ${location.href}`);
  }
};
byId("save").onclick = async () => {
  if (!page.isOpen) return tell("notice", "There is no picture yet that could be saved.");
  const { probe } = page;
  try {
    const line = `${page.image.name}, ${probe.side} row ${probe.row}, column ${probe.column}${page.label === null ? "" : `, label ${page.network.classes[page.label]}`}`;
    const sheet = drawSheet(Object.values(page.view.panes), { title: `${page.network.name} · ${page.network.source}`, line, tone: settings.tone });
    await download(sheet, `${page.network.id}-${probe.side}-${probe.row}-${probe.column}.png`);
  } catch (error) {
    fail(error);
  }
};

/* links */

let timer = 0;
function remember(now = false) {
  clearTimeout(timer);
  const write = () => page.probe && writeLink({
    network: page.network.id, image: page.image.uploaded ? null : page.image.id, ...page.probe, label: page.label,
    ...Object.fromEntries(Object.entries(settings).filter(([name, value]) => name === "lens" || value !== { colour: "white", show: "sum", tone: "linear", part: "output" }[name])),
    ...(viewport.zoom > 1 ? { x: viewport.x, y: viewport.y, zoom: viewport.zoom } : {}),
  });
  if (now) write();
  else timer = setTimeout(write, 300);
}

function follow(wish) {
  const isIn = (name, value) => [...byId(name).options].some((option) => option.value === String(value));
  for (const name of ["colour", "show", "tone", "lens", "part"]) if (wish[name] !== undefined && isIn(name, wish[name])) settings[name] = wish[name];
  page.network = page.networks.find(({ id }) => id === wish.network) ?? page.networks[0];
  const image = page.images.find(({ id }) => id === wish.image);
  page.image = image ?? page.images[0];
  if (wish.network && wish.network !== page.network.id) tell("notice", `This explorer has no network "${wish.network}"; another one is shown.`);
  else if (wish.image && !image) tell("notice", "The picture of the link is not here; another one is shown.");
  viewport.set(wish.x, wish.y, wish.zoom);
  open(wish);
}
addEventListener("hashchange", () => {
  const { wish, token } = readLink();
  if (token) keepToken(token);
  if (page.network) follow(wish);
  else start();
});

/* start */

const option = ({ id, name }) => new Option(name, id);
const fillImages = () => byId("image").replaceChildren(...page.images.map(option));

async function start() {
  const { wish, token } = readLink();
  if (token) keepToken(token);
  try {
    const { networks, images, limits, hint } = await askState();
    Object.assign(page, { networks, images, limits });
    byId("hint").textContent = hint;
  } catch (error) {
    fail(error);
    return;
  }
  byId("token").hidden = true;
  byId("network").replaceChildren(...page.networks.map(option));
  fillImages();
  follow(wish);
}
byId("token").onsubmit = (event) => {
  event.preventDefault();
  keepToken(byId("token").querySelector("input").value);
  start();
};
start();
