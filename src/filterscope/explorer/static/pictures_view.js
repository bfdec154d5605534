// Networks that give a picture: input, output, row and column.
import { drawColours, drawSigned, drawnNumbers, numbersAt, percentText, signedText } from "./colours.js";
import { Pane } from "./pane.js";

const text = (place, said) => `row ${place.row}, column ${place.column}\n${said}`;

/** Four panes; the probe is one pixel of the input and the one of the output at the same place. */
export class PicturesView {
  constructor(viewport, on, settings) {
    this.settings = settings;
    const make = (name, title, says, more) => new Pane({ name, title, says, viewport, on, ...more });
    this.panes = {
      input: make("input", "Input", "what the network is given", { probes: true }),
      output: make("output", "Output", "what it makes of it", { probes: true }),
      row: make("row", "Row", "what the output pixel reads", { isFilter: true }),
      column: make("column", "Column", "what the input pixel paints", { isFilter: true }),
    };
    this.filters = null;
  }

  open({ header, pictures }) {
    Object.assign(this, { header, pictures, filters: null });
    const { input, output } = pictures;
    this.sizes = { input: [input.rows, input.columns], output: [output.rows, output.columns] };
    this.panes.output.say(`|r| is ${percentText(header.residual_share)} of |y|`);
    for (const name of ["row", "column"]) this.panes[name].clear();
    this.usualLens = output.columns > input.columns ? 4 : 1;
  }

  /** Both pixels of a probe. */
  places({ side, row, column }) {
    const other = side === "input" ? "output" : "input";
    const across = (k, i) => Math.min(Math.floor(((2 * k + 1) * this.sizes[other][i]) / (2 * this.sizes[side][i])), this.sizes[other][i] - 1);
    return { [side]: { row, column }, [other]: { row: across(row, 0), column: across(column, 1) } };
  }

  place(pane, probe) {
    if (!probe) return null;
    return this.places(probe)[pane.name === "input" || pane.name === "row" ? "input" : "output"];
  }

  /** Draw the pictures themselves. */
  drawBase() {
    const { pictures, settings } = this;
    this.panes.input.show(drawColours(pictures.input), { read: (row, column) => text({ row, column }, `RGB ${pictures.input.pixel(row, column).join(" ")}`) });
    const part = pictures[settings.part], isNumbers = settings.part !== "output";
    this.panes.output.show(isNumbers ? drawSigned(part, settings.show, settings.tone) : drawColours(part), {
      read: (row, column) => text({ row, column }, isNumbers ? part.pixel(row, column).map(signedText).join(" ") : `RGB ${part.pixel(row, column).join(" ")}`),
    });
  }

  drawFilters(probe) {
    if (!this.filters) return;
    for (const name of ["row", "column"]) {
      const picture = this.filters.pictures[name], { show, tone } = this.settings;
      this.panes[name].show(drawSigned(picture, show, tone), { read: (row, column) => text({ row, column }, numbersAt(picture, show, row, column)) });
    }
    this.mark(probe);
  }

  mark(probe, held) {
    if (!probe || !this.sizes) return;
    const places = this.places(probe);
    const middle = (side) => ({ x: (places[side].column + 0.5) / this.sizes[side][1], y: (places[side].row + 0.5) / this.sizes[side][0] });
    for (const [name, side] of [["row", "input"], ["column", "output"], ["input", "input"], ["output", "output"]]) {
      const pane = this.panes[name];
      pane.lens = pane.isFilter ? this.settings.lens : 1;
      pane.point = middle(side);
      const marks = [{ kind: "pixel", ...places[side], held, room: pane.isFilter ? 4 : 0 }];
      if (!pane.isFilter && this.settings.lens > 1) marks.push({ kind: "lens", ...this.panes[side === "input" ? "row" : "column"].part });
      pane.setMarks(marks);
    }
  }

  describe() {
    if (!this.filters) return "";
    const { input, output } = this.filters.header, { row, column } = this.filters.pictures, { show } = this.settings;
    const size = (picture) => signedText(drawnNumbers(picture, show).scale).slice(1);
    return `Output row ${output[0]}, column ${output[1]} reads ${row.height} by ${row.width} pixels, weights up to ${size(row)}. Input row ${input[0]}, column ${input[1]} paints ${column.height} by ${column.width} pixels, up to ${size(column)}.`;
  }
}
