// The viewer's pure part: the payload taken apart, where a film lies on a canvas, how grey values, heat and
// iso-lines become pixels. Nothing here touches the page. Joined with viewer_list.js and viewer.js.

const MAGIC = "CXV1";
const PREFIX = 8; // bytes before the header: magic, and the header's length

/**
 * Take a payload apart (chexmodel/payload.py has the layout).
 * @param {Uint8Array} data
 * @returns {{text: string, header: object, panes: object[]}} the header as text and parsed, and its panes with
 *   `levels` (the film and its halvings) and `maps` (observation → {values, rows, columns}) in place of offsets
 */
function readPayload(data) {
  // Typed arrays of 2 and 4 bytes need an aligned start, which a slice of a message has only by chance.
  const bytes = data.byteOffset % 8 === 0 ? data : data.slice();
  if (new TextDecoder().decode(bytes.subarray(0, 4)) !== MAGIC) throw new Error("no payload of this viewer");
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  const text = new TextDecoder().decode(bytes.subarray(PREFIX, PREFIX + length));
  const header = JSON.parse(text);
  const start = bytes.byteOffset + PREFIX + length;
  const panes = header.panes.map((pane) => {
    const Kind = pane.bits === 8 ? Uint8Array : Uint16Array;
    const pixels = new Kind(bytes.buffer, start + pane.pixels, pane.width * pane.height);
    const maps = Object.entries(pane.maps).map(([name, [offset, rows, columns]]) => {
      const values = new Float32Array(bytes.buffer, start + offset, rows * columns);
      return [name, { values, rows, columns }];
    });
    return { ...pane, levels: halvings({ pixels, width: pane.width, height: pane.height }), maps: new Map(maps) };
  });
  return { text, header, panes };
}

/** The film at 1, 1/2, 1/4 … of its size, so that drawing costs by the screen and not by the film. */
function halvings(film) {
  const levels = [film];
  while (Math.max(levels.at(-1).width, levels.at(-1).height) > 256) levels.push(halved(levels.at(-1)));
  return levels;
}

function halved({ pixels, width, height }) {
  const columns = (width + 1) >> 1;
  const rows = (height + 1) >> 1;
  const means = new pixels.constructor(rows * columns);
  for (let y = 0; y < rows; y++) {
    const upper = 2 * y * width;
    const lower = Math.min(2 * y + 1, height - 1) * width;
    for (let x = 0; x < columns; x++) {
      const left = 2 * x;
      const right = Math.min(left + 1, width - 1);
      const sum = pixels[upper + left] + pixels[upper + right] + pixels[lower + left] + pixels[lower + right];
      means[y * columns + x] = (sum + 2) >> 2;
    }
  }
  return { pixels: means, width: columns, height: rows };
}

/**
 * Where a film lies on a canvas.
 * @param {{zoom: number, x: number, y: number}} view zoom 1 fits the film; x and y in [0, 1] are the film's
 *   point at the canvas's centre
 * @returns {{scale: number, left: number, top: number}} canvas pixels per film pixel, and the film's corner
 */
function placed(view, film, canvas) {
  const scale = fitting(film, canvas) * view.zoom;
  const along = (share, size, room) => {
    const half = Math.min(0.5, room / (2 * size * scale)); // the film never leaves an edge of the canvas bare
    return room / 2 - Math.min(1 - half, Math.max(half, share)) * size * scale;
  };
  return { scale, left: along(view.x, film.width, canvas.width), top: along(view.y, film.height, canvas.height) };
}

/** Canvas pixels per film pixel when the whole film fits. */
function fitting(film, canvas) {
  return Math.min(canvas.width / film.width, canvas.height / film.height);
}

/**
 * Grey values as shown: `level` is the middle of the window and `width` its extent, as shares of the film's range.
 * @returns {Uint8Array} shown grey by stored value
 */
function greys(bits, { level, width, invert }) {
  const table = new Uint8Array(2 ** bits);
  const low = level - width / 2;
  for (let value = 0; value < table.length; value++) {
    const share = Math.min(1, Math.max(0, (value / (table.length - 1) - low) / width));
    table[value] = Math.round(255 * (invert ? 1 - share : share));
  }
  return table;
}

/**
 * Which cells of a map lie around each pixel along one axis: `to_film` of chexmodel/geometry.py, bilinear with
 * align_corners=False over the padded square.
 * @param {number} first pixel of the film at which the first sample begins
 * @param {number} step film pixels per sample
 * @param {number} count samples
 * @param {number} before padding before the film, px
 * @param {number} side of the square, px
 * @param {number} cells of the map
 */
function cellsAlong(first, step, count, before, side, cells) {
  const lower = new Int32Array(count);
  const share = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const at = Math.min(cells - 1, Math.max(0, ((first + (i + 0.5) * step + before) * cells) / side - 0.5));
    lower[i] = Math.min(Math.floor(at), Math.max(0, cells - 2));
    share[i] = at - lower[i];
  }
  return { lower, share };
}

/** Padding (top, left) and side of the square in which a film lies: `_placement` of chexmodel/geometry.py. */
function square({ width, height }) {
  const side = Math.max(width, height);
  return { side, top: Math.floor((side - height) / 2), left: Math.floor((side - width) / 2) };
}

/**
 * Paint a part of the film, with a map over it: the rule of `explain.paint`.
 * @param {Uint8ClampedArray} target RGBA of part.width × part.height
 * @param {object} level one of the film's halvings; `step` film pixels are one of its pixels
 * @param {{x: number, y: number, width: number, height: number}} part in pixels of the level
 * @param {Uint8Array} table of `greys`
 * @param {?object} heat {map, film, low, high, colours, opacity, alpha}: null paints the film alone
 */
function paintPart(target, level, step, part, table, heat) {
  const packed = new Uint32Array(target.buffer);
  for (let y = 0, i = 0; y < part.height; y++) {
    let from = (part.y + y) * level.width + part.x;
    for (let x = 0; x < part.width; x++, i++) packed[i] = 0xff000000 | (table[level.pixels[from++]] * 0x010101);
  }
  if (heat) layHeat(target, step, part, heat);
}

function layHeat(target, step, part, { map, film, low, high, colours, alpha }) {
  const { side, top, left } = square(film);
  const across = cellsAlong(part.x * step, step, part.width, left, side, map.columns);
  const down = cellsAlong(part.y * step, step, part.height, top, side, map.rows);
  const right = Math.min(1, map.columns - 1);
  const row = new Float32Array(map.columns);
  for (let y = 0, i = 0; y < part.height; y++) {
    const upper = down.lower[y] * map.columns;
    const lower = Math.min(down.lower[y] + 1, map.rows - 1) * map.columns;
    for (let c = 0; c < map.columns; c++) {
      row[c] = map.values[upper + c] + (map.values[lower + c] - map.values[upper + c]) * down.share[y];
    }
    for (let x = 0; x < part.width; x++, i += 4) {
      const cell = across.lower[x];
      const value = row[cell] + (row[cell + right] - row[cell]) * across.share[x];
      const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
      // Opacity grows with the evidence, from the zero of the scale: none leaves the film's own grey.
      const strength = alpha * Math.min(1, Math.max(0, Math.abs(low < 0 ? 2 * share - 1 : share)));
      if (strength === 0) continue;
      const colour = 3 * Math.round(share * 255);
      for (let k = 0; k < 3; k++) target[i + k] += (colours[colour + k] - target[i + k]) * strength;
    }
  }
}

/** Steps per cell of a map in which iso-lines are traced: even, so that the cells' middles, its peaks, are met. */
const stepsPerCell = (cells) => 2 * Math.ceil(96 / cells);

/**
 * Trace where a map crosses a value (marching squares on a fine bilinear grid).
 * @returns {Float32Array} segments x0, y0, x1, y1 in film pixels
 */
function isoLines(map, film, value) {
  const { side, top, left } = square(film);
  const axis = (cells) => {
    const count = cells * stepsPerCell(cells);
    const step = side / count;
    return { count, step, ...cellsAlong(-step / 2, step, count + 1, 0, side, cells) };
  };
  const rows = axis(map.rows);
  const columns = axis(map.columns);
  const at = (r, c) => map.values[Math.min(r, map.rows - 1) * map.columns + Math.min(c, map.columns - 1)];
  const grid = Array.from(rows.lower, (r, j) =>
    Float32Array.from(columns.lower, (c, i) => {
      const upper = at(r, c) + (at(r, c + 1) - at(r, c)) * columns.share[i];
      const lower = at(r + 1, c) + (at(r + 1, c + 1) - at(r + 1, c)) * columns.share[i];
      return upper + (lower - upper) * rows.share[j] - value;
    }),
  );
  const segments = [];
  for (let j = 0; j < rows.count; j++) {
    for (let i = 0; i < columns.count; i++) {
      const corners = [
        [i, j, grid[j][i]],
        [i + 1, j, grid[j][i + 1]],
        [i + 1, j + 1, grid[j + 1][i + 1]],
        [i, j + 1, grid[j + 1][i]],
      ];
      const crossings = corners.flatMap(([x, y, a], k) => {
        const [nextX, nextY, b] = corners[(k + 1) % 4];
        if (a > 0 === b > 0) return [];
        const share = a / (a - b);
        return [(x + (nextX - x) * share) * columns.step - left, (y + (nextY - y) * share) * rows.step - top];
      });
      segments.push(...crossings); // two crossings are a segment; a saddle's four are two
    }
  }
  return Float32Array.from(segments);
}
