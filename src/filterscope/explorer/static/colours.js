// Turns pictures into pixels: colours as they are, numbers around zero, votes.

export const scheme = matchMedia("(prefers-color-scheme: dark)");
const LIGHT = { paper: [255, 255, 255], plus: [11, 107, 184], minus: [209, 83, 11], ink: [28, 36, 48], votes: ["#0b6bb8", "#d1530b", "#0a8f6c", "#a8478a", "#6b7280"], other: "#dbe1e8" };
const DARK = { paper: [22, 27, 34], plus: [88, 178, 245], minus: [243, 154, 75], ink: [227, 232, 238], votes: ["#58b2f5", "#f39a4b", "#42cfa5", "#e59acb", "#9aa4b2"], other: "#2c3540" };
export const theme = () => (scheme.matches ? DARK : LIGHT);
export const css = (colour) => `rgb(${colour.join(" ")})`;

/** Where a number stands between -1 and 1. */
export function toned(value, scale, tone) {
  const share = scale ? Math.max(-1, Math.min(1, value / scale)) : 0;
  return tone === "root" ? Math.sign(share) * Math.sqrt(Math.abs(share)) : share;
}

/** Colour of a number between -1 and 1, over paper at 0. */
export function signedColour(share, { paper, plus, minus }) {
  const end = share < 0 ? minus : plus, weight = Math.abs(share);
  return paper.map((from, i) => Math.round(from + (end[i] - from) * weight));
}

/** A filter's channels as one number a pixel; null where they are shown as colours. */
export function channelOf(picture, show) {
  if (picture.channels === 1 || show === "sum") return "sum";
  return show === "rgb" ? null : Math.min(Number(show), picture.channels - 1);
}

/** The numbers that are drawn (those of the box), and the largest size among them. */
export function drawnNumbers(picture, show) {
  const channel = channelOf(picture, show);
  if (channel === null) return { numbers: picture.values, scale: picture.scale };
  const count = picture.height * picture.width;
  let numbers;
  if (channel === "sum" && picture.channels > 1) {
    numbers = new Float32Array(count);
    for (let c = 0; c < picture.channels; c++) for (let i = 0; i < count; i++) numbers[i] += picture.values[c * count + i];
  } else {
    const first = channel === "sum" ? 0 : channel * count;
    numbers = picture.values.subarray(first, first + count);
  }
  let scale = 0;
  for (const number of numbers) scale = Math.max(scale, Math.abs(number));
  return { numbers, scale };
}

function canvasOf(picture, paint) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, picture.width);
  canvas.height = Math.max(1, picture.height);
  const pixels = new ImageData(canvas.width, canvas.height);
  paint(pixels.data, picture.height * picture.width);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** What is drawn at a pixel, in words. */
export function numbersAt(picture, show, row, column) {
  const values = picture.pixel(row, column), channel = channelOf(picture, show);
  if (channel === null) return values.map(signedText).join(" ");
  return signedText(channel === "sum" ? values.reduce((sum, value) => sum + value, 0) : values[channel]);
}

/** What a pane draws: a canvas of the box, its place, the ground around it, and the scale. */
export function drawColours(picture) {
  const { values, channels } = picture;
  const canvas = canvasOf(picture, (data, count) => {
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) data[4 * i + c] = values[(channels === 1 ? 0 : c) * count + i];
      data[4 * i + 3] = 255;
    }
  });
  return { canvas, picture, ground: "transparent", scale: null };
}

/** The same for numbers around zero. */
export function drawSigned(picture, show, tone) {
  const colours = theme();
  const { numbers, scale } = drawnNumbers(picture, show);
  const inColours = channelOf(picture, show) === null;
  const table = Array.from({ length: 511 }, (_, i) => signedColour((i - 255) / 255, colours));
  const canvas = canvasOf(picture, (data, count) => {
    for (let i = 0; i < count; i++) {
      if (inColours) {
        for (let c = 0; c < 3; c++) data[4 * i + c] = 128 + 127 * toned(numbers[c * count + i], scale, tone);
      } else {
        data.set(table[Math.round(255 * toned(numbers[i], scale, tone)) + 255], 4 * i);
      }
      data[4 * i + 3] = 255;
    }
  });
  return { canvas, picture, ground: inColours ? "rgb(128 128 128)" : css(colours.paper), scale, inColours };
}

/** The same for the label that each pixel votes for. */
export function drawVotes(picture, order) {
  const { votes, other } = theme();
  const colours = new Map(order.slice(0, votes.length).map((label, i) => [label, parse(votes[i])]));
  const rest = parse(other);
  const canvas = canvasOf(picture, (data, count) => {
    for (let i = 0; i < count; i++) {
      data.set(colours.get(picture.values[i]) ?? rest, 4 * i);
      data[4 * i + 3] = 255;
    }
  });
  return { canvas, picture, ground: other, scale: null };
}

const parse = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** A share as two digits of per cent; whole numbers where it is more than all. */
export function percentText(share) {
  const percent = 100 * share;
  return `${percent >= 99.5 ? Math.round(percent) : percent.toPrecision(2)} %`;
}

/** A number in few characters, with its sign. */
export function signedText(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1000 || size < 0.001 ? size.toExponential(2) : size.toPrecision(3);
  return (value < 0 ? "−" : "+") + text;
}
