"use strict";
// What one sees, and what one can do to it.

const KEPT = 400; // decisions that are recorded
const IN_FACTORS = 80; // decisions
const CHOSEN_EVERY = 25; // episodes, if the strongest synapse is shown
const PUSH = 10, CURRENT = 20; // N besides the cart's own 10; in units of potentials
const BUDGET = 14; // ms of computing in a frame, of 16.7
const GOAL = 475;
const INK = "#1b1b1b", SOFT = "#6b6b6b", LINE = "#d4d4d4", BLUE = "#0072b2", RED = "#d55e00", GREEN = "#00795a";
const SIDES = ["push left", "push right"];

const at = (id) => document.getElementById(id);

class View {
  constructor(network) {
    this.network = network;
    this.shown = network.shown;
    this.running = false;
    this.push = 0;
    this.cut = null;
    this.stimulated = false;
    this.fill();
    this.listen();
    this.rebuild();
    new ResizeObserver(() => this.draw()).observe(document.body);
  }

  // -- a network and its course ---------------------------------------------------------------------

  rebuild() {
    const seed = this.seed();
    if (seed === null) return;
    this.network.build(seed, Number(at("circuits").value));
    this.course = new Course(this.network);
    this.record = [];
    this.seconds = 0; // that it ran
    this.since = this.running ? performance.now() : null;
    this.learned = null;
    this.number = 0;
    this.debt = 0;
    this.last = null;
    this.cut = null;
    this.pressed();
    at("learn").checked = true;
    this.listNeurons();
    this.stimulate(false);
    this.turn();
    this.draw();
  }

  seed() {
    const text = at("seed").value.trim(), good = /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32;
    at("trouble").hidden = good;
    if (!good) at("trouble").textContent = `seed “${text}”: expected a whole number from 0 to 4294967295`;
    return good ? Number(text) : null;
  }

  // One decision: its spikes and factors are recorded.
  decide() {
    const { course, network } = this;
    const { phase, episode } = course, state = [...network.state], step = course.total;
    const over = course.decide(this.push), learned = course.learns && course.knobs.learn;
    const [error, modulation] = learned ? network.told : [0, 0], j = this.neuron, k = network.hidden + 1;
    this.record.push({ number: this.number++, phase, episode, step, state, action: course.action, spikes: network.spikes(),
      from: j, pre: network.trace[j], post: learned ? network.post[k] : 0, learned, error, modulation, w: network.ha[2 * j + 1] });
    if (this.record.length > KEPT + 100) this.record.splice(0, 100);
    if (over) this.episodeEnded();
  }

  episodeEnded() {
    const { course } = this, before = course.validations.length;
    course.next();
    if (course.validations.length > before && this.learned === null && course.validations.at(-1)[1] >= GOAL)
      this.learned = [course.episode, course.validations.at(-1)[1], this.time()];
    at("learn").checked = course.knobs.learn;
    if (at("neuron").value === "" && course.episode % CHOSEN_EVERY === 0) this.neuron = this.strongest();
  }

  // The hidden neuron with the strongest synapse onto "push right".
  strongest() {
    const { ha } = this.network;
    let found = 0;
    for (let j = 0; j < this.network.hidden; j++) if (Math.abs(ha[2 * j + 1]) > Math.abs(ha[2 * found + 1])) found = j;
    return found;
  }

  time() { return this.seconds + (this.since ? (performance.now() - this.since) / 1000 : 0); }

  run(on) {
    this.running = on;
    at("start").textContent = on ? "Pause" : "Start";
    if (on) {
      this.since = performance.now();
      this.frame = requestAnimationFrame((now) => this.tick(now));
    } else {
      this.seconds = this.time();
      this.since = null;
      cancelAnimationFrame(this.frame);
      this.draw();
    }
  }

  tick(now) {
    const speed = at("speed").value;
    if (speed === "fast") for (const end = performance.now() + BUDGET; performance.now() < end; ) this.decide();
    else {
      this.debt += (Math.min(now - (this.last ?? now), 100) / 1000) * Number(speed);
      for (; this.debt >= 1; this.debt--) this.decide();
    }
    this.last = now;
    this.draw();
    if (this.running) this.frame = requestAnimationFrame((next) => this.tick(next));
  }

  // -- controls ---------------------------------------------------------------------------------------

  fill() {
    const { shown } = this;
    at("lasts").textContent = `${Math.round(shown.time * 1000)} ms`;
    at("each").textContent = shown.validations;
    at("kept").textContent = KEPT;
    at("circuits").value = shown.circuits;
    at("entropy").value = shown.entropy;
    at("rho").value = shown.rho;
  }

  listNeurons() {
    const { size } = this.shown, name = (j) => `${(j % size) + 1} of circuit ${Math.floor(j / size) + 1}`;
    const each = Array.from({ length: this.network.hidden }, (_, j) => new Option(name(j), j));
    at("neuron").replaceChildren(new Option("with the strongest", ""), ...each);
    this.neuron = 0;
  }

  // What the knobs say, to the network and beside them.
  turn() {
    const { shown, course } = this, tau = shown.tau, rho = Number(at("rho").value), kind = at("kernel").value;
    const rise = kind === "double" ? tau / 3 : 0, told = (id, text) => (at(id).parentElement.querySelector("output").textContent = text);
    course.knobs.rate = shown.rate * 10 ** Number(at("rate").value);
    course.knobs.entropy = Number(at("entropy").value);
    course.knobs.sign = at("sign").checked ? -1 : 1;
    course.knobs.learn = at("learn").checked;
    this.network.native.rwta_kernel(tau, rise, kind === "rectangular" ? tau : 0, rho);
    told("rate", course.knobs.rate.toPrecision(2));
    told("entropy", course.knobs.entropy.toFixed(3));
    told("rho", `${rho} Hz`);
    told("kernel", `${Math.round(tau * 1000)} ms${rise ? `, rise ${Math.round(rise * 1000)}` : ""}`);
  }

  choose(neuron) {
    at("neuron").value = neuron;
    this.neuron = neuron === "" ? this.strongest() : Number(neuron);
    if (this.stimulated) this.stimulate(true);
    this.draw();
  }

  pressed() {
    at("lesion").setAttribute("aria-pressed", String(this.cut !== null));
    at("lesion").textContent = this.cut ? "Undo the lesion" : "Lesion";
    at("stimulate").setAttribute("aria-pressed", String(this.stimulated));
  }

  lesion() {
    const { native } = this.network;
    if (this.cut) native.rwta_heal();
    this.cut = this.cut ? null : at("what").value;
    if (this.cut) native.rwta_cut(this.cut === "circuits" ? 1 : 0);
    this.pressed();
    this.draw();
  }

  stimulate(on) {
    this.stimulated = on;
    this.network.native.rwta_stimulate(on ? this.neuron : -1, CURRENT);
    if (on) at("neuron").value = this.neuron; // which stays
    this.pressed();
  }

  listen() {
    const on = (id, event, action) => at(id).addEventListener(event, action);
    on("start", "click", () => this.run(!this.running));
    on("step", "click", () => { if (this.running) this.run(false); this.decide(); this.draw(); });
    on("reset", "click", () => this.rebuild());
    on("fresh", "click", () => { at("seed").value = crypto.getRandomValues(new Uint32Array(1))[0] % 1000000; this.rebuild(); });
    on("seed", "change", () => this.rebuild());
    on("circuits", "change", () => this.rebuild());
    for (const id of ["rate", "entropy", "rho", "kernel", "sign", "learn"]) on(id, "input", () => this.turn());
    on("neuron", "change", () => this.choose(at("neuron").value));
    on("raster", "click", (event) => {
      const j = Math.floor(event.offsetY / rowHeight(at("raster").clientHeight, this.network.hidden));
      if (j < this.network.hidden) this.choose(j);
    });
    on("lesion", "click", () => this.lesion());
    on("stimulate", "click", () => this.stimulate(!this.stimulated));
    on("csv", "click", () => save("spikes.csv", "text/csv", this.csv()));
    on("json", "click", () => save("recording.json", "application/json", this.json()));
    const pushes = (id, by) => {
      on(id, "pointerdown", () => (this.push = by));
      for (const end of ["pointerup", "pointerleave", "pointercancel"]) on(id, end, () => (this.push = 0));
    };
    pushes("left", -PUSH), pushes("right", PUSH);
    const keys = { ArrowLeft: -PUSH, ArrowRight: PUSH }, used = (event) => event.key in keys && !/INPUT|SELECT/.test(event.target.tagName);
    addEventListener("keydown", (event) => { if (used(event)) { this.push = keys[event.key]; event.preventDefault(); } });
    addEventListener("keyup", (event) => { if (event.key in keys) this.push = 0; });
    addEventListener("blur", () => (this.push = 0));
    document.addEventListener("visibilitychange", () => { // a page that is not seen stands still, and so does its clock
      this.seconds = this.time();
      this.since = this.running && !document.hidden ? performance.now() : null;
    });
  }

  // -- what was recorded --------------------------------------------------------------------------------

  kept() { return this.record.slice(-KEPT); }

  csv() {
    const { size } = this.shown, { hidden } = this.network, lines = ["phase,episode,step,time_s,population,circuit,neuron"];
    for (const { phase, episode, step, spikes } of this.kept()) {
      const add = (t, where) => lines.push(`${phase},${episode},${step},${t},${where}`);
      spikes.inputT.forEach((t, n) => add(t, `inputs,,${spikes.inputI[n]}`));
      spikes.t.forEach((t, n) => {
        const i = spikes.i[n];
        add(t, i < hidden ? `hidden,${Math.floor(i / size)},${i}` : `action,,${i - hidden}`);
      });
    }
    return lines.join("\n") + "\n";
  }

  json() {
    const { course, network } = this, plain = (d) => ({ ...d, spikes: Object.fromEntries(Object.entries(d.spikes).map(([k, v]) => [k, [...v]])) });
    return JSON.stringify({ seed: network.seed, circuits: network.circuits, preset: this.shown, knobs: course.knobs,
      kernel: at("kernel").value, circuit_rate_hz: Number(at("rho").value), lesion: this.cut,
      stimulated: this.stimulated ? this.neuron : null, synapse_from: this.neuron, returns: course.returns,
      validations: course.validations, evaluation: course.evaluation, decisions: this.kept().map(plain) });
  }

  // -- drawing ------------------------------------------------------------------------------------------

  draw() {
    this.tell();
    drawWorld(at("world"), this.network.state, this.record.at(-1), this.push);
    drawRaster(at("raster"), this.record, this);
    drawReturns(at("returns"), this.course);
    drawFactors(at("factors"), this.record.slice(-IN_FACTORS).filter((d) => d.from === this.neuron));
  }

  tell() {
    const { course } = this, status = at("status"), seconds = this.time();
    const doing = { training: "learns", validation: "is tested, without learning", evaluation: "is evaluated, with its best weights",
      after: course.knobs.learn ? "goes on learning" : "plays with its best weights" }[course.phase];
    const parts = [`Episode ${course.episode}: it ${doing}`, `return so far ${course.total}`, `${seconds.toFixed(0)} s`];
    if (this.learned) parts.push(`learned after ${this.learned[2].toFixed(0)} s (tested: ${this.learned[1].toFixed(0)} ≥ ${GOAL})`);
    if (course.evaluation !== null) parts.push(`evaluated in ${Course.EVALUATION} episodes: ${course.evaluation.toFixed(1)}`);
    const text = parts.join(" · ");
    if (status.textContent !== text) status.textContent = text;
    Object.assign(status.dataset, { phase: course.phase, episode: course.episode, decisions: course.decisions,
      learned: this.learned ? this.learned[2] : "", evaluation: course.evaluation ?? "", seconds });
  }
}

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

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

function drawFactors(canvas, record) {
  const { pen, width, height } = paper(canvas), left = 118, tall = height / 4;
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

async function open() {
  const bytes = Uint8Array.from(atob(at("module").textContent.trim()), (c) => c.charCodeAt(0));
  const network = await Network.of(bytes, JSON.parse(at("shown").textContent));
  window.view = new View(network);
  document.body.dataset.ready = "yes";
}

open().catch((error) => {
  at("trouble").hidden = false;
  at("trouble").textContent = `This page needs a browser of 2023 or later, with WebAssembly and its SIMD instructions (${error.message}).`;
});
