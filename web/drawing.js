"use strict";
// What one sees: the world, spikes, returns, one synapse's factors.

const GOAL = 475, IN_FACTORS = 80; // decisions
const INK = "#1b1b1b", SOFT = "#6b6b6b", LINE = "#d4d4d4", BLUE = "#0072b2", RED = "#d55e00", GREEN = "#00795a";
const SIDES = ["push left", "push right"];

// A canvas cleared, in CSS pixels.
function paper(canvas) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) (canvas.width = w), (canvas.height = h);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return { pen, width, height };
}

function write(pen, text, x, y, colour = SOFT, align = "left") {
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.fillText(text, x, y);
}

function line(pen, x0, y0, x1, y1, colour = LINE, width = 1, dash = []) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
  pen.setLineDash([]);
}

function drawWorld(canvas, state, last, push) {
  const { pen, width, height } = paper(canvas), [x, , angle] = state, scale = width / 5.2, ground = height - 26;
  const centre = width / 2 + x * scale, reach = Math.min(scale, 130);
  line(pen, 0, ground, width, ground, "#8a8a8a");
  for (const end of [-2.4, 2.4]) line(pen, width / 2 + end * scale, ground - 8, width / 2 + end * scale, ground + 8, RED, 2);
  pen.fillStyle = INK;
  pen.fillRect(centre - 24, ground - 26, 48, 22);
  line(pen, centre, ground - 26, centre + Math.sin(angle) * reach, ground - 26 - Math.cos(angle) * reach, RED, 6);
  pen.fillStyle = BLUE;
  pen.beginPath();
  pen.arc(centre, ground - 26, 4, 0, 7);
  pen.fill();
  if (last) write(pen, last.action ? "▶" : "◀", centre, ground - 14, "#fff", "center");
  if (push) write(pen, push > 0 ? "you ▶" : "◀ you", centre + Math.sign(push) * 48, ground - 14, GREEN, "center");
  write(pen, "the cart may not leave here", width / 2 + 2.4 * scale, ground + 16, SOFT, "right");
}

// Of the raster: what is below the hidden neurons, and a row of these.
const BELOW = 22, ACTIONS = 44, GAP = 8;
function rowHeight(height, hidden) { return (height - BELOW - ACTIONS - GAP) / hidden; }

function drawRaster(canvas, all, { network, shown, cut, neuron, stimulated }) {
  const { pen, width, height } = paper(canvas), left = 68, bottom = BELOW, actions = ACTIONS, count = width < 480 ? 10 : 20;
  const row = rowHeight(height, network.hidden), record = all.slice(-count);
  const top = (i) => i < network.hidden ? i * row : height - bottom - actions + (i - network.hidden) * (actions / 2);
  const first = record.length ? record.at(-1).number - count + 1 : 0, per = (width - left) / count;
  for (let c = 0; c < network.circuits; c++) {
    const y = c * shown.size * row, tall = shown.size * row;
    pen.fillStyle = c % 2 ? "#fff" : "#f1f3f5";
    pen.fillRect(left, y, width - left, tall);
    const gone = cut === "actions" || (cut === "circuits" && c < network.circuits / 2);
    write(pen, gone ? `${c + 1} cut` : network.circuits > 8 ? `${c + 1}` : `circuit ${c + 1}`, 0, y + tall / 2, gone ? RED : SOFT);
  }
  SIDES.forEach((side, a) => write(pen, side, 0, top(network.hidden + a) + actions / 4, a ? BLUE : RED));
  pen.fillStyle = "#fff7ec";
  pen.fillRect(left, height - bottom - actions, width - left, actions);
  for (const { number, spikes, action, phase } of record) {
    const from = left + (number - first) * per;
    line(pen, from, 0, from, height - bottom, "#e3e3e3");
    let deciding = -1;
    spikes.i.forEach((i, n) => {
      const x = from + (spikes.t[n] / shown.time) * per, acts = i >= network.hidden;
      if (acts) deciding = x;
      pen.fillStyle = acts ? (i - network.hidden ? BLUE : RED) : i === neuron ? GREEN : phase === "training" || phase === "after" ? INK : SOFT;
      pen.fillRect(x, top(i) + (acts ? 3 : 0.5), acts ? 2 : 1.5, acts ? actions / 2 - 6 : Math.max(row - 1, 1.5));
    });
    if (deciding >= 0) {
      pen.strokeStyle = INK;
      pen.lineWidth = 1.5;
      pen.strokeRect(deciding - 2, top(network.hidden + action) + 1, 6, actions / 2 - 2);
    }
  }
  write(pen, `${count * shown.time} s; boxed: the spike that decided`, width, height - 9, SOFT, "right");
  if (stimulated) write(pen, "▸", left - 8, top(neuron) + row / 2, GREEN, "right");
}

function drawReturns(canvas, course) {
  const { pen, width, height } = paper(canvas), left = 34, bottom = 20, most = Math.max(course.returns.length, 100);
  const x = (episode) => left + (episode / most) * (width - left - 6), y = (value) => 6 + (1 - value / 500) * (height - bottom - 6);
  for (const value of [0, 250, 500]) {
    line(pen, left, y(value), width, y(value));
    write(pen, value, left - 5, y(value), SOFT, "right");
  }
  line(pen, left, y(GOAL), width, y(GOAL), GREEN, 1.5, [6, 4]);
  pen.fillStyle = "#8a8a8a";
  course.returns.forEach((value, k) => pen.fillRect(x(k + 1) - 1.5, y(value) - 1.5, 3, 3));
  pen.fillStyle = BLUE;
  for (const [episode, value] of course.validations) {
    pen.beginPath();
    for (const [dx, dy] of [[0, -7], [7, 0], [0, 7], [-7, 0]]) pen.lineTo(x(episode) + dx, y(value) + dy);
    pen.fill();
  }
  write(pen, "0", left, height - 8, SOFT, "center");
  write(pen, `${most} episodes`, width, height - 8, SOFT, "right");
}

function drawFactors(canvas, all) {
  const record = all.slice(-IN_FACTORS), { pen, width, height } = paper(canvas), left = 118, tall = height / 4;
  if (record.length && !record.at(-1).learned) write(pen, "now it does not learn", width, tall, SOFT, "right");
  const rows = [["presynaptic trace", "pre", GREEN], ["postsynaptic", "post", BLUE], ["modulation", "modulation", RED], ["weight", "w", INK]];
  rows.forEach(([name, key, colour], k) => {
    const values = record.map((d) => d[key]), largest = Math.max(1e-9, ...values.map(Math.abs)), middle = k * tall + tall / 2;
    const x = (n) => left + ((n + IN_FACTORS - values.length) / IN_FACTORS) * (width - left), y = (v) => middle - (v / largest) * (tall / 2 - 5);
    line(pen, left, middle, width, middle);
    write(pen, name, 0, middle - 8, colour);
    write(pen, values.length ? values.at(-1).toFixed(3) : "–", 0, middle + 8, SOFT);
    pen.fillStyle = pen.strokeStyle = colour;
    if (key === "w") {
      pen.lineWidth = 2;
      pen.beginPath();
      values.forEach((v, n) => pen.lineTo(x(n), y(v)));
      pen.stroke();
    } else values.forEach((v, n) => pen.fillRect(x(n), Math.min(middle, y(v)), Math.max((width - left) / IN_FACTORS - 1, 1), Math.max(Math.abs(y(v) - middle), 0.5)));
  });
}
