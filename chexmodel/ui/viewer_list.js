// What stands beside the films: the findings as a list of buttons, and the legends. Data enters the page as text
// only. Joined with viewer_maps.js and viewer.js.

const MARKS = { above: "▲", indeterminate: "◇", below: "", untrained: "" };
const FOLDED = ["below", "untrained"];

/** Make an element: attributes by name (`class`, `aria-…`, `on…` handlers), children as text or elements. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** Fill the fields of a sentence: "{value} %" with {value: 55}. */
function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
}

/**
 * Draw the findings of the first pane, each with what the other panes' readings say of it.
 * @param {object[]} panes with `findings`, `title` and `maps`
 * @param {object} words
 * @param {(observation: string) => void} choose called on a click
 * @returns {{node: Element, buttons: Map, folded: Element}} by observation the button of each finding with a map
 */
function findingsList(panes, words, choose) {
  const buttons = new Map();
  const rows = (states) =>
    panes[0].findings
      .filter((finding) => states.includes(finding.state))
      .map((finding) => {
        const others = panes.slice(1).flatMap((pane) => {
          const other = pane.findings.find((row) => row.observation === finding.observation);
          return other?.said ? [fill(words.beside, { title: pane.title, said: other.said, side: other.side })] : [];
        });
        return el("li", {}, findingRow(finding, others, panes[0].maps.has(finding.observation)));
      });
  const findingRow = (finding, others, mapped) => {
    const mark = MARKS[finding.state];
    const parts = [
      el("span", { class: "name" }, mark && el("span", { "aria-hidden": "true" }, `${mark} `), finding.said || finding.name),
      el("span", {}, finding.side),
      finding.score === null ? "" : bar(finding),
      ...[finding.operating, ...finding.remarks, ...others].filter(Boolean).map((text) => el("small", {}, text)),
    ];
    if (!mapped) return el("div", { class: `finding ${finding.state}` }, ...parts);
    const onclick = () => choose(finding.observation);
    const button = el("button", { type: "button", class: `finding ${finding.state}`, "aria-pressed": "false", onclick }, ...parts);
    buttons.set(finding.observation, button);
    return button;
  };
  const open = rows(["above", "indeterminate"]);
  const rest = rows(FOLDED);
  const folded = el("details", {}, el("summary", {}, fill(words.folded, { n: rest.length })), el("ul", {}, ...rest));
  const node = el(
    "section",
    { class: "findings", "aria-label": words.findings },
    el("h2", {}, words.findings),
    panes[0].insisted ? el("p", { class: "insisted" }, words.insisted) : "",
    open.length ? el("ul", {}, ...open) : el("p", {}, words.noneAbove),
    rest.length ? folded : "",
    el("p", { class: "key" }, words.barKey),
  );
  return { node, buttons, folded };
}

/** The score as a fill, its threshold as a line, the threshold's own interval as a dashed box. */
function bar({ score, threshold, band }) {
  const percent = (share) => `${(100 * share).toFixed(2)}%`;
  const part = (name, style) => {
    const made = el("span", { class: name });
    Object.assign(made.style, style);
    return made;
  };
  return el(
    "span",
    { class: "score", "aria-hidden": "true" },
    part("fill", { width: percent(score) }),
    band[0] === null ? "" : part("band", { left: percent(band[0]), width: percent(band[1] - band[0]) }),
    part("tick", { left: percent(threshold) }),
  );
}

/**
 * Draw the legend of a pane's map: colours as they lie on black film, or the iso-lines, with their unit.
 * @param {object} pane with `ticks` by view: words at even distances along the scale
 * @param {{view: string, opacity: number}} state
 * @param {Uint8Array} colours 256 × RGB
 */
function legend(pane, { view, opacity }, colours, words, title) {
  const ticks = el("span", { class: "ticks" }, ...pane.ticks[view].map((tick) => el("span", {}, tick)));
  const unit = el("span", { class: "unit" }, title ? `${title} · ${words.unit}` : words.unit);
  if (view === "contour") {
    const lines = pane.ticks.contour.map((tick, k) => {
      const line = el("span", { class: "line" });
      Object.assign(line.style, { height: `${LINES[k].width}px`, background: rgb(colours, LINES[k].shade) });
      return el("span", { class: "sample" }, line, tick);
    });
    return el("div", { class: "legend" }, unit, el("span", { class: "samples" }, ...lines));
  }
  const strip = el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const pixels = new ImageData(256, 1);
  for (let i = 0; i < 256; i++) {
    const strength = opacity * (view === "signed" ? Math.abs(i / 127.5 - 1) : i / 255);
    for (let k = 0; k < 3; k++) pixels.data[4 * i + k] = colours[3 * i + k] * strength;
    pixels.data[4 * i + 3] = 255;
  }
  strip.getContext("2d").putImageData(pixels, 0, 0);
  return el("div", { class: "legend" }, unit, el("span", { class: "scale" }, strip, ticks));
}

/** Iso-lines: at which share of the scale, how wide (px), and with which colour: the heat's own is dark at first. */
const LINES = [0.25, 0.5, 0.75].map((share) => ({ share, width: 1 + 3 * (share - 0.25), shade: 0.45 + 0.55 * share }));

/** A colour of a palette as CSS has it. */
function rgb(colours, share) {
  const from = 3 * Math.round(255 * share);
  return `rgb(${colours.slice(from, from + 3).join(" ")})`;
}
