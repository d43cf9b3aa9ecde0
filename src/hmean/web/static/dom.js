// Making elements, and writing numbers.

export const byId = (id) => document.getElementById(id);

/** An HTML element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

/** An SVG element with attributes and, if given, a text. */
export function makeSvg(tag, attributes = {}, text = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** 0.93251 as "93.25". */
export const percent = (share) => (100 * share).toFixed(2);

/** A difference of two shares in points, such as "+0.35" or "−1.20". */
export function signedPoints(difference) {
  const sign = difference < 0 ? "−" : "+";
  return sign + Math.abs(100 * difference).toFixed(2);
}
