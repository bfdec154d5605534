// Reads the messages in which pictures travel; the format is written down in boxes.py.

/** A picture (channels, height, width) of which only a box is held; all else is zero. */
export class Picture {
  constructor(box, values) {
    Object.assign(this, box);
    [this.channels, this.rows, this.columns] = box.shape;
    this.values = values;
  }

  /** The number of a channel at a pixel. */
  at(channel, row, column) {
    const r = row - this.top, c = column - this.left;
    if (r < 0 || c < 0 || r >= this.height || c >= this.width) return 0;
    return this.values[(channel * this.height + r) * this.width + c];
  }

  /** All channels at a pixel. */
  pixel(row, column) {
    return Array.from({ length: this.channels }, (_, channel) => this.at(channel, row, column));
  }
}

/** Header and pictures of a message. */
export function readBoxes(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0) !== 0x46534231) {
    throw new Error("the answer is no message of boxes");
  }
  const first = 8 + view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, first - 8)));
  const pictures = {};
  for (const [name, box] of Object.entries(header.boxes)) {
    const count = box.shape[0] * box.height * box.width;
    const Kind = box.type === "uint8" ? Uint8Array : Float32Array;
    pictures[name] = new Picture(box, new Kind(buffer, first + box.offset, count));
  }
  return { header, pictures };
}
