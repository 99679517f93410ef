// Making and changing parts of the page.

/** An element. Children that are no elements become text, so that what a server says is never taken for HTML. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Sets a text only where it differs: a screen reader repeats what was set. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Makes the children of a list those of the items. A child stays the same element as long as its item is there, and keeps its focus. */
export function keyed(list, items, keyOf, make, update) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  const taken = new Set();
  for (const item of items) {
    let key = keyOf(item);
    while (taken.has(key)) key += "'";
    taken.add(key);
    const child = old.get(key) ?? make(item);
    old.delete(key);
    child.dataset.key = key;
    update(child, item);
    const place = previous === null ? list.firstElementChild : previous.nextElementSibling;
    if (child !== place) list.insertBefore(child, place);
    previous = child;
  }
  for (const child of old.values()) child.remove();
}

let colors = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colors = new Map();
});

/** A colour of page.css by its name, as the canvas needs it. */
export function color(name) {
  if (!colors.has(name)) colors.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colors.get(name);
}
