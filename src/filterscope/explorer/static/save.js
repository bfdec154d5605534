// All panes as one PNG, with their titles, scales and where they come from.
import { css, signedColour, signedText, theme, toned } from "./colours.js";
import { paint } from "./pane.js";

const SIDE = 480, GAP = 24, TOP = 64, TEXT = 30, SCALE = 44, MOST = 960;

/** A canvas with the panes side by side. */
export function drawSheet(panes, { title, line, tone }) {
  const shown = panes.filter((pane) => pane.drawing), colours = theme(), ink = css(colours.ink);
  const width = ({ rows, columns }) => Math.max(8, Math.round(Math.min(SIDE, (MOST * columns) / rows)));
  const height = (picture) => Math.round((width(picture) * picture.rows) / picture.columns);
  const across = 2, down = Math.ceil(shown.length / across), high = Math.max(...shown.map(({ drawing }) => height(drawing.picture)));
  const canvas = document.createElement("canvas");
  canvas.width = GAP + across * (SIDE + GAP);
  canvas.height = TOP + down * (TEXT + high + SCALE) + GAP;
  const context = canvas.getContext("2d");
  const write = (text, x, y, font, most = canvas.width - x - GAP) => {
    context.fillStyle = ink;
    context.font = `${font} system-ui, sans-serif`;
    context.fillText(text, x, y, most);
  };
  context.fillStyle = css(colours.paper);
  context.fillRect(0, 0, canvas.width, canvas.height);
  write(title, GAP, 28, "600 20px");
  write(line, GAP, 52, "15px");
  shown.forEach((pane, i) => {
    const x = GAP + (i % across) * (SIDE + GAP), y = TOP + Math.floor(i / across) * (TEXT + high + SCALE);
    write(pane.title, x, y + 20, "600 16px");
    const box = { x, y: y + TEXT, width: width(pane.drawing.picture), height: height(pane.drawing.picture) };
    paint(context, pane.drawing, pane.part, box, pane.marks);
    (pane.drawing.legend ?? []).forEach(({ name, colour }, k) => {
      const place = x + (k % 3) * (SIDE / 3), under = box.y + box.height + 4 + 18 * Math.floor(k / 3);
      context.fillStyle = colour;
      context.fillRect(place, under, 10, 10);
      write(name, place + 15, under + 10, "13px", SIDE / 3 - 22);
    });
    if (pane.drawing.scale !== null) {
      for (let k = 0; k < SIDE; k++) {
        const share = toned((2 * k) / (SIDE - 1) - 1, 1, tone), grey = 128 + 127 * share;
        context.fillStyle = css(pane.drawing.inColours ? [grey, grey, grey] : signedColour(share, colours));
        context.fillRect(x + k, box.y + box.height + 4, 1, 10);
      }
      const under = box.y + box.height + 30;
      write(signedText(-pane.drawing.scale), x, under, "13px");
      write("0", x + SIDE / 2 - 3, under, "13px");
      const most = signedText(pane.drawing.scale);
      write(most, x + SIDE - context.measureText(most).width, under, "13px");
    }
  });
  return canvas;
}

/** Offer a canvas as a file. */
export async function download(canvas, name) {
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new Error("the browser could not write the PNG");
  const anchor = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}
