"use strict";
// A network that learns, and what one can do to it.

const KEPT = 400; // decisions that are recorded
const CHOSEN_EVERY = 25; // episodes, if the strongest synapse is shown
const PUSH = 10, CURRENT = 100; // N besides the cart's own 10; in units of potentials
const BUDGET = 14; // ms of computing in a frame, of 16.7

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
    drawFactors(at("factors"), this.record.filter((d) => d.from === this.neuron));
  }

  tell() {
    const { course } = this, status = at("status"), seconds = this.time();
    const doing = { training: course.knobs.learn ? "learns" : "plays, and does not learn", validation: "is tested, without learning", evaluation: "is evaluated, with its best weights",
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
