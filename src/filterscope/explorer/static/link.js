// What is looked at, in the page's address.

const NUMBERS = ["row", "column", "label", "x", "y", "zoom", "lens"];
const WORDS = ["network", "image", "side", "colour", "show", "tone", "part"];

/** What the address asks for; a token in it is taken out and given apart. */
export function readLink() {
  const given = new URLSearchParams(location.hash.slice(1)), wish = {}, token = given.get("token");
  for (const name of NUMBERS) if (given.has(name) && Number.isFinite(Number(given.get(name)))) wish[name] = Number(given.get(name));
  for (const name of WORDS) if (given.has(name)) wish[name] = given.get(name);
  if (token) {
    given.delete("token");
    history.replaceState(null, "", `#${given}`);
  }
  return { wish, token };
}

/** Put what is looked at into the address. */
export function writeLink(state) {
  const kept = Object.entries(state).filter(([, value]) => value !== null && value !== undefined && value !== "");
  history.replaceState(null, "", `#${new URLSearchParams(kept.map(([name, value]) => [name, typeof value === "number" && !Number.isInteger(value) ? value.toFixed(7) : String(value)]))}`);
}
