// The viewer: films, maps and findings in the browser, without a rerun. Joined with viewer_maps.js,
// viewer_list.js and viewer_canvas.js, which stand before it, into one module; streamlit calls its default export
// at every rerun.

const VIEWS = ["heat", "contour", "signed"];
const FINEST = 8; // canvas pixels per film pixel, at most
const STEP = { zoom: 1.25, pan: 0.1, window: 0.02 };

/** What the reader has set; kept while the film is the same. */
const untouched = () => ({ zoom: 1, x: 0.5, y: 0.5, level: 0.5, width: 1, invert: false });
const fresh = () => ({ ...untouched(), opacity: 0.55, view: "heat", shown: null, last: null, drag: "pan", unfolded: false });
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const percent = (share) => Math.round(100 * share);

const remembered = new Map(); // viewer's key → {film, state}: survives that the page draws the viewer anew
const viewers = new WeakMap(); // the element that streamlit gives → its viewer

class Viewer {
  constructor(parent) {
    this.parent = parent;
    this.root = el("div", { class: "viewer", onkeydown: (event) => this.key(event) });
    this.observer = new ResizeObserver(() => this.draw());
    parent.append(this.root);
  }

  /** Show a payload; what the reader has set stays as long as the first film does. */
  show(data) {
    const { text, header, panes } = readPayload(data);
    if (text === this.text) return;
    Object.assign(this, { text, header, panes, words: header.words });
    const kept = remembered.get(header.key);
    this.state = kept?.film === panes[0].digest ? kept.state : fresh();
    remembered.set(header.key, { film: panes[0].digest, state: this.state });
    this.colours = Object.fromEntries(Object.entries(header.colours).map(([view, flat]) => [view, Uint8Array.from(flat)]));
    this.order = panes[0].findings.map((row) => row.observation).filter((name) => panes[0].maps.has(name));
    if (!this.order.includes(this.state.shown)) this.state.shown = null;
    if (!this.order.includes(this.state.last)) this.state.last = null;
    if (!this.views().includes(this.state.view)) this.state.view = "heat";
    this.build();
    this.update();
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    this.root.remove();
  }

  /** Views that the maps allow: one without negative values has no sign to show. */
  views() {
    return this.panes.some((pane) => pane.extent > 0) ? VIEWS : VIEWS.slice(0, 2);
  }

  // --- the page's elements ---

  build() {
    const { words, header } = this;
    this.observer.disconnect();
    this.figures = this.panes.flatMap((pane) => [false, ...(pane.maps.size ? [true] : [])].map((mapped) => this.figure(pane, mapped)));
    this.stage = el("div", { class: "stage", tabindex: "0", role: "group", "aria-label": words.stage }, ...this.figures.map(({ node }) => node));
    this.legends = el("div", { class: "legends" });
    this.caption = el("div", { class: "caption" });
    this.live = el("div", { class: "unseen", "aria-live": "polite" });
    const films = el("div", { class: "films" }, this.order.length ? this.mapBar() : "", this.stage, this.legends, this.caption);
    const body = el("div", { class: "body" }, films);
    this.list = null;
    if (this.panes[0].findings.length) {
      this.list = findingsList(this.panes, words, (name) => this.choose(name === this.state.shown ? null : name));
      this.list.folded.open = this.state.unfolded;
      this.list.folded.addEventListener("toggle", () => (this.state.unfolded = this.list.folded.open));
      body.append(this.list.node);
    }
    this.root.style.setProperty("--height", `${header.height}px`);
    this.root.replaceChildren(this.filmBar(), body, this.help(), this.live);
    for (const { canvas } of this.figures) this.observer.observe(canvas);
  }

  figure(pane, mapped) {
    const title = el("figcaption", {}, pane.title);
    const canvas = el("canvas", { role: "img" });
    const node = el("figure", {}, title, el("div", { class: "surface" }, canvas));
    node.style.setProperty("--shape", `${pane.width} / ${pane.height}`);
    const figure = { pane, mapped, title, canvas, node, scratch: document.createElement("canvas") };
    listen(canvas, figure, this);
    return figure;
  }

  button(word, act, { label, ...attributes } = {}) {
    const name = label === undefined ? {} : { "aria-label": label, title: label };
    return el("button", { type: "button", ...name, ...attributes, onclick: act }, word);
  }

  slider(word, key, low, high, set) {
    const output = el("output", { for: key });
    const input = el("input", { type: "range", id: key, min: low, max: high, step: 1, oninput: (event) => set(event.target.value / 100) });
    return { input, output, node: el("label", { class: "slider", for: key }, el("span", {}, word), input, output) };
  }

  filmBar() {
    const { words, state } = this;
    this.zoomed = el("output", { class: "zoomed", "aria-label": words.zoom });
    this.level = this.slider(words.level, "level", 0, 100, (level) => this.set({ level }));
    this.width = this.slider(words.width, "width", 1, 200, (width) => this.set({ width }));
    this.inverted = this.button(words.invert, () => this.set({ invert: !state.invert }));
    this.windowing = this.button(words.drag, () => this.set({ drag: state.drag === "pan" ? "window" : "pan" }), { title: words.dragHelp });
    return el(
      "div",
      { class: "bar", role: "group", "aria-label": words.filmTools },
      el(
        "span",
        { class: "group" },
        this.button("−", () => this.zoomBy(1 / STEP.zoom), { label: words.zoomOut }),
        this.zoomed,
        this.button("+", () => this.zoomBy(STEP.zoom), { label: words.zoomIn }),
        this.button(words.fit, () => this.set({ zoom: 1 })),
        this.button("1:1", () => this.zoomTo(1 / this.fitScale()), { label: words.actual }),
      ),
      el("span", { class: "group" }, this.level.node, this.width.node),
      el("span", { class: "group" }, this.windowing, this.inverted, this.button(words.reset, () => this.reset())),
    );
  }

  mapBar() {
    const { words, state } = this;
    this.toggle = this.button(words.map, () => this.toggleMap());
    this.viewButtons = new Map(this.views().map((view) => [view, this.button(words[view], () => this.set({ view }))]));
    this.opacity = this.slider(words.opacity, "opacity", 0, 100, (opacity) => this.set({ opacity }));
    this.whenShown = el("span", { class: "group wide" }, el("span", { class: "group joined" }, ...this.viewButtons.values()), this.opacity.node);
    return el(
      "div",
      { class: "bar", role: "group", "aria-label": words.mapTools },
      el(
        "span",
        { class: "group" },
        this.toggle,
        this.button("‹", () => this.step(-1), { label: words.previous }),
        this.button("›", () => this.step(1), { label: words.next }),
      ),
      this.whenShown,
    );
  }

  help() {
    const rows = this.words.keys.flatMap(([keys, does]) => [el("dt", {}, keys), el("dd", {}, does)]);
    return el("details", { class: "help" }, el("summary", {}, this.words.help), el("p", {}, this.words.helpNote), el("dl", {}, ...rows));
  }

  // --- what the reader does ---

  set(change) {
    Object.assign(this.state, change);
    if (this.state.zoom === 1) Object.assign(this.state, { x: 0.5, y: 0.5 });
    this.update();
  }

  reset() {
    this.set(untouched());
    this.say(this.words.wasReset);
  }

  /** Show the map of a finding, or none. */
  choose(name) {
    this.state.shown = name;
    if (name) this.state.last = name;
    this.update();
    if (!name) return this.say(this.words.mapOff);
    const button = this.list?.buttons.get(name);
    if (button?.closest("details")) this.list.folded.open = true;
    button?.scrollIntoView({ block: "nearest" });
    // On a phone the list lies below the films: what was asked for has to come into sight.
    this.figures.find(({ mapped, node }) => mapped && !node.hidden)?.node.scrollIntoView({ block: "nearest" });
    return this.say(this.described(this.panes[0], name));
  }

  toggleMap() {
    if (this.order.length) this.choose(this.state.shown ? null : (this.state.last ?? this.order[0]));
  }

  step(by) {
    if (!this.order.length) return;
    const at = this.order.indexOf(this.state.shown ?? this.state.last);
    const next = at < 0 ? (by > 0 ? 0 : this.order.length - 1) : (at + by + this.order.length) % this.order.length;
    this.choose(this.order[next]);
  }

  cycleView() {
    const views = this.views();
    this.set({ view: views[(views.indexOf(this.state.view) + 1) % views.length] });
  }

  fitScale(figure = this.figures[0]) {
    return fitting(figure.pane, figure.canvas);
  }

  zoomBy(factor, at = null) {
    this.zoomTo(this.state.zoom * factor, at);
  }

  /** Zoom so that the film's point under `at` {figure, x, y} (canvas pixels) stays where it is; else the centre's. */
  zoomTo(zoom, at = null) {
    const { figure, x, y } = at ?? { figure: this.figures[0] };
    const canvas = figure.canvas;
    const [toX, toY] = at ? [x, y] : [canvas.width / 2, canvas.height / 2];
    const before = placed(this.state, figure.pane, canvas);
    const point = [(toX - before.left) / before.scale, (toY - before.top) / before.scale];
    this.state.zoom = clamp(zoom, 1, Math.max(1, FINEST / this.fitScale(figure)));
    const scale = this.fitScale(figure) * this.state.zoom;
    const centre = [point[0] - (toX - canvas.width / 2) / scale, point[1] - (toY - canvas.height / 2) / scale];
    this.centre(figure, centre[0] / figure.pane.width, centre[1] / figure.pane.height);
  }

  /** Move by canvas pixels. */
  pan(dx, dy, figure = this.figures[0]) {
    const { scale } = placed(this.state, figure.pane, figure.canvas);
    const { x, y } = this.state;
    this.centre(figure, x - dx / (scale * figure.pane.width), y - dy / (scale * figure.pane.height));
    return this.state.x !== x || this.state.y !== y;
  }

  centre({ pane, canvas }, x, y) {
    const scale = fitting(pane, canvas) * this.state.zoom;
    const half = (room, size) => Math.min(0.5, room / (2 * size * scale));
    const [across, down] = [half(canvas.width, pane.width), half(canvas.height, pane.height)];
    this.set({ x: clamp(x, across, 1 - across), y: clamp(y, down, 1 - down) });
  }

  window(level, width) {
    this.set({ level: clamp(this.state.level + level, 0, 1), width: clamp(this.state.width + width, 0.01, 2) });
  }

  key(event) {
    // French and German keyboards type [ ] { } with AltGr, which Windows reports as Ctrl and Alt, macOS as Alt.
    const typed = event.altKey && "[]{}".includes(event.key);
    if (event.metaKey || ((event.ctrlKey || event.altKey) && !typed)) return;
    const target = event.composedPath()[0];
    const sliding = target.type === "range" && /^(Arrow|Page|Home|End)/.test(event.key);
    const act = sliding ? undefined : this.actions()[event.key];
    if (!act || act() === false) return;
    event.preventDefault();
    event.stopPropagation(); // the page has keys of its own: its "r" runs everything again
  }

  /** Keys → what they do; false says that there was nothing to do, and leaves the key to the page. */
  actions() {
    const { state } = this;
    const by = (dx, dy) => () => {
      const { width, height } = this.figures[0].canvas;
      return this.pan(dx * STEP.pan * width, dy * STEP.pan * height);
    };
    return {
      n: () => this.step(1),
      p: () => this.step(-1),
      m: () => this.toggleMap(),
      v: () => this.cycleView(),
      i: () => this.set({ invert: !state.invert }),
      f: () => this.set({ zoom: 1 }),
      r: () => this.reset(),
      "+": () => this.zoomBy(STEP.zoom),
      "=": () => this.zoomBy(STEP.zoom),
      "-": () => this.zoomBy(1 / STEP.zoom),
      "[": () => this.window(-STEP.window, 0),
      "]": () => this.window(STEP.window, 0),
      "{": () => this.window(0, -STEP.window),
      "}": () => this.window(0, STEP.window),
      "<": () => this.set({ opacity: clamp(state.opacity - 0.05, 0, 1) }),
      ">": () => this.set({ opacity: clamp(state.opacity + 0.05, 0, 1) }),
      ArrowLeft: by(1, 0),
      ArrowRight: by(-1, 0),
      ArrowUp: by(0, 1),
      ArrowDown: by(0, -1),
    };
  }

  // --- what is seen and heard ---

  say(text) {
    this.live.textContent = text;
  }

  described(pane, name) {
    const row = pane.findings.find((finding) => finding.observation === name);
    return [`${row.said}, ${row.side}.`, this.where(pane, row)].filter(Boolean).join(" ");
  }

  /** Position of the map's peak in words, or that it has none. */
  where(pane, row) {
    if (!pane.maps.get(row.observation).values.some((value) => value > 0)) return this.words.nothing;
    return row.where && fill(this.words.strongest, { where: row.where });
  }

  update() {
    const { state, words } = this;
    const set = ({ input, output }, value) => {
      input.value = percent(value);
      output.textContent = fill(words.percent, { value: percent(value) });
      input.setAttribute("aria-valuetext", output.textContent);
    };
    set(this.level, state.level);
    set(this.width, state.width);
    this.inverted.setAttribute("aria-pressed", state.invert);
    this.windowing.setAttribute("aria-pressed", state.drag === "window");
    this.zoomed.textContent = fill(words.percent, { value: percent(state.zoom) });
    if (this.order.length) {
      set(this.opacity, state.opacity);
      this.whenShown.hidden = state.shown === null;
      this.toggle.setAttribute("aria-pressed", state.shown !== null);
      for (const [view, button] of this.viewButtons) button.setAttribute("aria-pressed", view === state.view);
    }
    for (const [name, button] of this.list?.buttons ?? []) button.setAttribute("aria-pressed", name === state.shown);
    this.arrange();
    this.explain();
    this.draw();
  }

  arrange() {
    const { shown, zoom, drag } = this.state;
    let count = 0;
    for (const { pane, mapped, canvas, title, node } of this.figures) {
      const row = mapped && pane.maps.has(shown) ? pane.findings.find((finding) => finding.observation === shown) : null;
      node.hidden = mapped && !row;
      if (node.hidden) continue;
      count += 1;
      title.textContent = row ? `${pane.title} · ${row.name}` : pane.title;
      const size = { title: pane.title, width: pane.original[0], height: pane.original[1] };
      const label = row ? `${fill(this.words.mapLabel, { title: pane.title, name: row.name })} ${this.described(pane, shown)}` : fill(this.words.filmLabel, size);
      canvas.setAttribute("aria-label", label);
      // A fitted film leaves one finger to the page: a phone's reader has to be able to scroll past it.
      canvas.style.touchAction = zoom === 1 && drag === "pan" ? "pan-x pan-y" : "none";
      canvas.dataset.drag = zoom === 1 && drag === "pan" ? "none" : drag;
    }
    this.stage.dataset.count = count;
  }

  explain() {
    const { state, words, panes } = this;
    const row = panes[0].findings.find((finding) => finding.observation === state.shown);
    const reduced = panes.filter((pane) => pane.width !== pane.original[0]);
    const remarks = reduced.map(({ title, original, width, height }) =>
      el("p", {}, fill(words.reduced, { title, from: original.join(" × "), to: `${width} × ${height}` })),
    );
    if (!row) {
      this.legends.replaceChildren();
      this.caption.replaceChildren(...(this.order.length ? [el("p", {}, words.choose)] : []), ...remarks);
      return;
    }
    const titled = panes.length > 1;
    const drawn = panes.filter((pane) => pane.maps.has(state.shown));
    const palette = this.colours[state.view === "signed" ? "signed" : "heat"];
    this.legends.replaceChildren(...drawn.map((pane) => legend(pane, state, palette, words, titled ? pane.title : "")));
    const first = el("p", {}, el("strong", {}, fill(words.caption, { name: row.name })), ` ${this.where(panes[0], row)}`);
    this.caption.replaceChildren(first, el("p", {}, row.caption), ...remarks);
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      for (const figure of this.figures) if (!figure.node.hidden) paintFigure(figure, this.state, this.colours);
    });
  }
}

export default function ({ parentElement, data }) {
  if (!viewers.has(parentElement)) viewers.set(parentElement, new Viewer(parentElement));
  const viewer = viewers.get(parentElement);
  viewer.show(data);
  return () => {
    viewer.close();
    viewers.delete(parentElement);
  };
}
