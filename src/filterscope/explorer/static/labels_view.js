// Classifiers: the label's row, discussion and votes beside the picture, and lists under them.
import { drawColours, drawSigned, drawVotes, numbersAt, signedText, theme } from "./colours.js";
import { Pane } from "./pane.js";

const element = (tag, values = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
};

/** Four panes and four lists. */
export class LabelsView {
  constructor(viewport, on, settings, side) {
    Object.assign(this, { settings, on, side, filters: null, label: null, votes: null });
    const make = (name, title, says, more) => new Pane({ name, title, says, viewport, on, ...more });
    this.panes = {
      input: make("input", "Input", "as the network sees it", { probes: true }),
      row: make("row", "Row", "weight of each pixel for the label", { isFilter: true }),
      discussion: make("discussion", "Discussion", "sums to the label's score", { isFilter: true }),
      votes: make("votes", "Votes", "the label it speaks for most", {}),
    };
    this.usualLens = 1;
  }

  open({ header, pictures }) {
    Object.assign(this, { header, pictures, filters: null, label: null, votes: null });
    this.sizes = { input: [pictures.input.rows, pictures.input.columns] };
    for (const name of ["row", "discussion", "votes"]) this.panes[name].clear();
    this.#lists();
  }

  place(pane, probe) {
    return probe && { row: probe.row, column: probe.column };
  }

  drawBase() {
    const { input } = this.pictures;
    const says = (said) => (row, column) => `row ${row}, column ${column}\n${said(row, column)}`;
    this.panes.input.show(drawColours(input), { read: says((row, column) => `RGB ${input.pixel(row, column).join(" ")}`) });
    if (this.label) {
      const { show, tone } = this.settings, { row, discussion } = this.label.pictures;
      this.panes.row.show(drawSigned(row, show, tone), { read: says((r, c) => numbersAt(row, show, r, c)) });
      this.panes.discussion.show(drawSigned(discussion, "sum", tone), { read: says((r, c) => signedText(discussion.at(0, r, c))) });
    }
    if (this.votes) {
      const { winners } = this.votes.pictures, order = this.votes.header.counts.map((one) => one.label);
      const { votes } = theme(), legend = this.votes.header.counts.slice(0, votes.length).map(({ name }, i) => ({ name, colour: votes[i] }));
      this.panes.votes.show({ ...drawVotes(winners, order), legend }, { read: says((r, c) => this.nameOf(winners.at(0, r, c))) });
    }
  }

  drawFilters(probe) {
    this.mark(probe);
    const list = this.side.querySelector("[data-list=effects]");
    if (this.filters && list) bars(list, this.filters.header.effects.map((one) => ({ name: one.name, value: one.effect })));
  }

  mark(probe, held) {
    if (!probe) return;
    for (const pane of Object.values(this.panes)) pane.setMarks([{ kind: "pixel", row: probe.row, column: probe.column, held, room: pane.isFilter ? 4 : 0 }]);
  }

  showLabel(answer) {
    this.label = answer;
    this.drawBase();
    const { header } = answer, parts = this.side.querySelector("[data-list=parts]");
    const share = header.residual_share === null ? "" : `; constants of ${header.layers.length} layers: ${(100 * header.residual_share).toFixed(0)} % of |F x₀| + |r|`;
    this.side.querySelector("[data-says=parts]").textContent = `${header.label.name}: score ${signedText(header.score)}${share}`;
    bars(parts, [{ name: "the image, F x₀", value: header.image_part }, ...header.layers.map(({ name, value }) => ({ name: name || "the network", value }))]);
    this.#press(header.label.label);
    this.#showFilters(header.filters);
  }

  showVotes(answer) {
    this.votes = answer;
    this.drawBase();
    const { counts, voters, is_preview } = answer.header, colours = theme();
    this.side.querySelector("[data-says=votes]").textContent = is_preview ? `a preview among the ${voters} labels with the best scores` : `among all ${voters} labels`;
    this.side.querySelector("[data-list=votes]").replaceChildren(...counts.map((one, i) => element("li", { className: "bar" },
      element("span", { className: "name" }, Object.assign(element("i", { className: "swatch" }), { style: `background:${colours.votes[i] ?? colours.other}` }), one.name),
      barOf(one.share, 1), element("span", { className: "number", textContent: `${(100 * one.share).toFixed(1)} %` }))));
  }

  nameOf(label) {
    return this.classes[label] ?? `label ${label}`;
  }

  describe() {
    if (!this.filters) return "";
    const [first] = this.filters.header.effects, [row, column] = this.filters.header.input;
    return `Row ${row}, column ${column} moves ${first.name} most: ${signedText(first.effect)}.`;
  }

  #lists() {
    const part = (title, key, extra = []) => element("section", {}, element("h2", { textContent: title }), Object.assign(element("p", { className: "soft" }), { id: `says-${key}` }), ...extra, element("ol"));
    const sections = ["Scores", "Under the pointer", "Contributions by layer", "Votes", "Filters"].map((title, i) => {
      const key = ["scores", "effects", "parts", "votes", "filters"][i], made = part(title, key);
      made.querySelector("p").dataset.says = key;
      made.querySelector("ol").dataset.list = key;
      made.dataset.section = key;
      return made;
    });
    this.side.replaceChildren(...sections);
    this.side.querySelector("[data-says=scores]").textContent = "bars: scores; numbers: probabilities. Choose the label that is looked at";
    this.side.querySelector("[data-says=effects]").textContent = "what this pixel paints: its part in each score, for a value of one";
    this.side.querySelector("[data-says=votes]").textContent = "being computed";
    const most = Math.max(...this.header.scores.map((one) => Math.abs(one.score)));
    this.side.querySelector("[data-list=scores]").replaceChildren(...this.header.scores.map((one) => {
      const button = element("button", { type: "button", className: "bar", onclick: () => this.on.label(one.label) },
        element("span", { className: "name", textContent: one.name }), barOf(one.score, most),
        element("span", { className: "number", textContent: `${(100 * one.probability).toFixed(1)} %` }));
      button.dataset.label = one.label;
      button.title = `${one.name}: score ${signedText(one.score)}, probability ${(100 * one.probability).toFixed(2)} %`;
      return element("li", {}, button);
    }), element("li", {}, this.#others()));
  }

  #others() {
    const select = element("select", { ariaLabel: "Another label" }, element("option", { value: "", textContent: "another label…" }));
    select.append(...this.classes.map((name, label) => element("option", { value: label, textContent: name })));
    select.onchange = () => select.value !== "" && this.on.label(Number(select.value));
    return select;
  }

  #press(label) {
    for (const button of this.side.querySelectorAll("button[data-label]")) button.setAttribute("aria-pressed", String(Number(button.dataset.label) === label));
  }

  #showFilters(found) {
    const section = this.side.querySelector("[data-section=filters]");
    section.hidden = !found;
    if (!found) return;
    section.querySelector("p").textContent = `of ${found.layer}, the ${found.top.length} of ${found.count} that speak most for the label${found.gated ? "; with the classes that their gate is open for" : ""}`;
    bars(section.querySelector("ol"), found.top.map((one) => ({ name: `${one.filter}${one.classes.length ? ` · ${one.classes.join(", ")}` : ""}`, value: one.value })));
  }
}

/** A list of signed bars around one axis. */
function bars(list, items) {
  const most = Math.max(...items.map(({ value }) => Math.abs(value)), 1e-30);
  list.replaceChildren(...items.map(({ name, value }) => element("li", { className: "bar", title: name },
    element("span", { className: "name", textContent: name }), barOf(value, most, true), element("span", { className: "number", textContent: signedText(value) }))));
}

function barOf(value, most, isSigned = false) {
  const share = most ? value / most : 0, zero = isSigned ? 50 : share < 0 ? 100 : 0, size = Math.abs(share) * (isSigned ? 50 : 100);
  const holder = document.createElement("span");
  holder.innerHTML = `<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="${share < 0 ? "minus" : "plus"}" x="${share < 0 ? zero - size : zero}" width="${size}" height="8"/>${isSigned ? '<line class="axis" x1="50" x2="50" y1="-1" y2="9"/>' : ""}</svg>`;
  return holder.firstChild;
}
