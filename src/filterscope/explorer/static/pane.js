// One picture on the page: its canvas, pointer, keys, value read-out and colour scale.
import { css, signedColour, signedText, theme, toned } from "./colours.js";
import { seenPart } from "./viewport.js";

const DRAG = 5;

/** A figure with a canvas; tells of probes, zooms and drags by the functions in `on`. */
export class Pane {
  constructor({ name, title, says, viewport, on, isFilter = false, probes = false }) {
    Object.assign(this, { name, title, viewport, on, isFilter, probes, lens: 1, point: null, marks: [], drawing: null, read: () => "", hover: null, pointers: new Map() });
    this.figure = document.createElement("figure");
    this.figure.className = "pane";
    this.figure.dataset.pane = name;
    this.figure.innerHTML = `<figcaption><h2></h2><p class="says"></p></figcaption><div class="frame"><canvas tabindex="0"></canvas></div><div class="under"><p class="value"></p><div class="scale" hidden><i></i><span><b></b><b>0</b><b></b></span></div></div>`;
    this.figure.querySelector("h2").textContent = title;
    this.figure.querySelector(".says").textContent = says;
    this.canvas = this.figure.querySelector("canvas");
    this.value = this.figure.querySelector(".value");
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", `${title}: ${says}`);
    this.canvas.setAttribute("aria-describedby", "help");
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(this.figure);
  }

  /** Show a drawing (see colours.js); `read` tells what is at a pixel, `point` where the lens is. */
  show(drawing, { read, marks = this.marks, point = this.point } = {}) {
    Object.assign(this, { drawing, marks, point });
    if (read) this.read = read;
    this.#showScale();
    this.draw();
  }

  /** What the pane shows, in words. */
  say(says) {
    this.figure.querySelector(".says").textContent = says;
  }

  setMarks(marks, point = this.point) {
    Object.assign(this, { marks, point });
    this.draw();
  }

  get part() {
    return seenPart(this.viewport, this.lens, this.point);
  }

  /** Show nothing, until there is something. */
  clear() {
    this.drawing = null;
    this.value.textContent = "";
    this.figure.querySelector(".scale").hidden = true;
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw() {
    const { drawing, canvas } = this;
    if (!drawing) return;
    const { picture } = drawing;
    canvas.style.setProperty("--ratio", picture.columns / picture.rows);
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round((width * picture.rows) / picture.columns);
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    paint(canvas.getContext("2d"), drawing, this.part, { x: 0, y: 0, width, height }, this.marks);
    this.#readOut();
  }

  #showScale() {
    const box = this.figure.querySelector(".scale"), { scale, inColours } = this.drawing;
    box.hidden = scale === null;
    if (box.hidden) return;
    const [least, , most] = box.querySelectorAll("b");
    least.textContent = signedText(-scale);
    most.textContent = signedText(scale);
    const tone = this.on.tone();
    const stops = Array.from({ length: 21 }, (_, i) => {
      const share = toned(i / 10 - 1, 1, tone), grey = 128 + 127 * share;
      return css(inColours ? [grey, grey, grey] : signedColour(share, theme()));
    });
    box.querySelector("i").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  }

  #readOut() {
    const place = this.hover ?? this.on.place(this);
    this.value.textContent = place && this.drawing ? this.read(place.row, place.column) : "";
  }

  /** The pixel, and the point from 0 to 1, under a pointer. */
  pixelAt(event) {
    const box = this.canvas.getBoundingClientRect(), part = this.part, { picture } = this.drawing;
    const x = part.left + ((event.clientX - box.left) / box.width) * part.size;
    const y = part.top + ((event.clientY - box.top) / box.height) * part.size;
    const clip = (at, count) => Math.max(0, Math.min(count - 1, Math.floor(at * count)));
    return { x, y, row: clip(y, picture.rows), column: clip(x, picture.columns) };
  }

  #listen() {
    const { canvas, pointers } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.drawing || event.button > 0) return;
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, far: 0 });
      if (event.pointerType !== "mouse" && pointers.size === 1) this.#probe(event);
    });
    canvas.addEventListener("pointermove", (event) => this.drawing && this.#moved(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => {
      const pointer = pointers.get(event.pointerId);
      pointers.delete(event.pointerId);
      if (kind === "pointerup" && pointer && event.pointerType === "mouse" && pointer.far < DRAG && this.probes) this.on.hold(this, this.pixelAt(event));
    });
    canvas.addEventListener("pointerleave", () => {
      this.hover = null;
      this.draw();
    });
    canvas.addEventListener("wheel", (event) => {
      if (!this.drawing) return;
      event.preventDefault();
      const { x, y } = this.pixelAt(event);
      this.viewport.zoomAt(x, y, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.on.key(this, event));
  }

  #probe(event) {
    this.hover = this.pixelAt(event);
    if (this.probes) this.on.probe(this, this.hover);
    this.#readOut();
  }

  #moved(event) {
    const pointer = this.pointers.get(event.pointerId), box = this.canvas.getBoundingClientRect();
    if (!pointer || (event.pointerType !== "mouse" && this.pointers.size === 1)) {
      this.#probe(event);
      return;
    }
    const dx = event.clientX - pointer.x, dy = event.clientY - pointer.y;
    pointer.far += Math.hypot(dx, dy);
    if (event.pointerType === "mouse" && pointer.far < DRAG) return;
    const share = this.part.size / this.pointers.size;
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const before = Math.hypot(pointer.x - other.x, pointer.y - other.y);
      const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      const middle = this.pixelAt({ clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 });
      if (before > 0) this.viewport.zoomAt(middle.x, middle.y, after / before);
    }
    this.viewport.move((-dx / box.width) * share, (-dy / box.height) * share);
    Object.assign(pointer, { x: event.clientX, y: event.clientY });
  }
}

/** Paint the seen part of a drawing, and the marks, into a rectangle. */
export function paint(context, drawing, part, { x, y, width, height }, marks) {
  const { picture, canvas, ground } = drawing;
  const across = width / part.size / picture.columns, down = height / part.size / picture.rows;
  const left = x - part.left * picture.columns * across, top = y - part.top * picture.rows * down;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.clearRect(x, y, width, height);
  context.fillStyle = ground;
  context.fillRect(x, y, width, height);
  context.imageSmoothingEnabled = false;
  if (picture.width && picture.height) context.drawImage(canvas, left + picture.left * across, top + picture.top * down, picture.width * across, picture.height * down);
  for (const mark of marks) {
    if (mark.kind === "pixel") frame(context, left + mark.column * across, top + mark.row * down, across, down, { held: mark.held, room: mark.room });
    else frame(context, x + ((mark.left - part.left) / part.size) * width, y + ((mark.top - part.top) / part.size) * height, (mark.size / part.size) * width, (mark.size / part.size) * height, { dash: [4, 4] });
  }
  context.restore();
}

/** A frame around something, seen on light and on dark ground; `room` keeps clear of it. */
function frame(context, x, y, width, height, { held = false, dash = [], room = 0 }) {
  const unit = Math.max(1, devicePixelRatio), grow = Math.max(room * unit, (9 * unit - width) / 2);
  for (const [colour, line] of [["#000000", held ? 4 : 3], [held ? "#ffd24a" : "#ffffff", held ? 2 : 1.2]]) {
    context.setLineDash(dash.map((length) => length * unit));
    context.strokeStyle = colour;
    context.lineWidth = line * unit;
    context.strokeRect(x - grow, y - grow, width + 2 * grow, height + 2 * grow);
  }
}
