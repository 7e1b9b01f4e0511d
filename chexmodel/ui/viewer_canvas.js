// A film on its canvas: drawn by its state, and listening to mouse, wheel and fingers. Joined with the other parts
// of viewer.js.

const RATIO = 2; // canvas pixels per CSS pixel, at most: a phone's third costs time and shows nothing more

/**
 * Draw a film as it is set, with its map where it has one to show.
 * @param {{pane: object, mapped: boolean, canvas: HTMLCanvasElement, scratch: HTMLCanvasElement}} figure
 * @param {object} state of the viewer
 * @param {{heat: Uint8Array, signed: Uint8Array}} colours 256 × RGB each
 */
function paintFigure({ pane, mapped, canvas, scratch }, state, colours) {
  const ratio = Math.min(window.devicePixelRatio, RATIO);
  const size = { width: Math.round(canvas.clientWidth * ratio), height: Math.round(canvas.clientHeight * ratio) };
  if (!size.width || !size.height) return;
  if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
  const exact = placed(state, pane, canvas);
  // Whole pixels: at 1:1 a film pixel is a screen pixel, not a blur of two.
  const { scale, left, top } = { scale: exact.scale, left: Math.round(exact.left), top: Math.round(exact.top) };
  const halving = Math.min(pane.levels.length - 1, Math.max(0, Math.floor(Math.log2(1 / scale))));
  const level = pane.levels[halving];
  const step = 2 ** halving;
  const part = seen(level, { left, top, scale: scale * step }, canvas);
  const map = mapped ? pane.maps.get(state.shown) : null;
  const heat = map && state.view !== "contour" ? shades(pane, map, state, colours) : null;
  if (scratch.width !== part.width || scratch.height !== part.height) Object.assign(scratch, { width: part.width, height: part.height });
  const brush = scratch.getContext("2d");
  const pixels = brush.createImageData(part.width, part.height);
  paintPart(pixels.data, level, step, part, greys(pane.bits, state), heat);
  brush.putImageData(pixels, 0, 0);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.save();
  context.beginPath();
  context.rect(left, top, pane.width * scale, pane.height * scale);
  context.clip();
  const drawn = scale * step;
  context.drawImage(scratch, left + part.x * drawn, top + part.y * drawn, part.width * drawn, part.height * drawn);
  if (map && state.view === "contour") trace(context, pane, map, colours.heat, { scale, left, top, ratio, alpha: state.opacity });
  context.restore();
}

/** The part of a film that its canvas shows, and one pixel more on each side for the interpolation at the edges. */
function seen(film, { left, top, scale }, canvas) {
  const along = (corner, room, size) => {
    const from = Math.max(0, Math.floor(-corner / scale) - 1);
    return [from, Math.min(size, Math.ceil((room - corner) / scale) + 1) - from];
  };
  const [x, width] = along(left, canvas.width, film.width);
  const [y, height] = along(top, canvas.height, film.height);
  return { x, y, width, height };
}

function shades(pane, map, state, colours) {
  const signed = state.view === "signed";
  const [low, high] = signed ? [-pane.extent, pane.extent] : [0, pane.scale];
  return { map, film: pane, low, high, colours: signed ? colours.signed : colours.heat, alpha: state.opacity };
}

function trace(context, pane, map, colours, { scale, left, top, ratio, alpha }) {
  context.lineCap = "round";
  context.globalAlpha = Math.min(1, 2 * alpha); // a thin line half transparent is hard to see
  for (const { share, width, shade } of LINES) {
    const path = new Path2D();
    const segments = keptLines(pane, map, share);
    for (let i = 0; i < segments.length; i += 4) {
      path.moveTo(left + segments[i] * scale, top + segments[i + 1] * scale);
      path.lineTo(left + segments[i + 2] * scale, top + segments[i + 3] * scale);
    }
    for (const [colour, rim] of [["rgb(0 0 0)", 2], [rgb(colours, shade), 0]]) {
      context.strokeStyle = colour; // a dark rim: the lines have to show on white bone too
      context.lineWidth = (width + rim) * ratio;
      context.stroke(path);
    }
  }
}

const traced = new WeakMap(); // map → its iso-lines by share of the scale

function keptLines(pane, map, share) {
  if (!traced.has(map)) traced.set(map, new Map());
  const lines = traced.get(map);
  if (!lines.has(share)) lines.set(share, isoLines(map, pane, share * pane.scale));
  return lines.get(share);
}

/** Mouse, wheel and fingers on a canvas. */
function listen(canvas, figure, viewer) {
  const held = new Map(); // pointer → its last place
  const ratio = () => canvas.width / canvas.clientWidth;
  const place = (event) => ({ x: event.offsetX * ratio(), y: event.offsetY * ratio() });
  const spread = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) });
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    if (held.size === 2) {
      const old = spread([...held.values()]);
      held.set(event.pointerId, now);
      const middle = spread([...held.values()]);
      viewer.zoomBy(middle.apart / Math.max(1, old.apart), { figure, x: old.x, y: old.y });
      viewer.pan(middle.x - old.x, middle.y - old.y, figure);
      return;
    }
    held.set(event.pointerId, now);
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    // As at the workstation: sideways widens the window, upwards makes the film brighter by lowering its level.
    if (event.buttons & 2 || viewer.state.drag === "window") viewer.window(dy / canvas.height, dx / canvas.width);
    else viewer.pan(dx, dy, figure);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  // Two fingers are the film's; `touch-action` would give a two-finger scroll to the page.
  canvas.addEventListener("touchstart", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (viewer.state.zoom === 1 && event.deltaY > 0 && !event.ctrlKey) return; // nothing to zoom out of: the page scrolls
      event.preventDefault();
      viewer.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), { figure, ...place(event) });
    },
    { passive: false },
  );
}
