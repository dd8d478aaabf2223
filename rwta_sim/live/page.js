"use strict";
// The page of a live simulation: draws what the server tells, and asks it for what the user wants.

const $ = (id) => document.getElementById(id);
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const FAINT = "#777", LINE = "#ddd", LEFT = 62;

let socket = null, hello = null, state = {}, circuits = null, held = null, dirty = true;
let decisions = [], episodes = [], modulations = new Map();

// -- the server ---------------------------------------------------------------------------------------

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket${location.search}`);
  socket.binaryType = "blob";
  socket.onmessage = ({ data }) => (data instanceof Blob ? showPicture(data) : hear(JSON.parse(data)));
  socket.onclose = () => {
    stand("closed", "the simulation has ended, or cannot be reached; trying again");
    setTimeout(connect, 2000);
  };
}

const ask = (what) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(what));

function hear(told) {
  if (told.kind === "refused") return say(told);
  if (told.kind === "hello") {
    hello = told;
    decisions = [];
    modulations.clear();
    if (hello.task) build();
  } else {
    state = told.state;
    circuits = told.circuits;
    decisions = decisions.concat(told.decisions).slice(-(hello.window || 60));
    for (const [n, value] of told.modulations) modulations.set(n, value);
    for (const n of modulations.keys()) if (!decisions.length || n < decisions[0].n) modulations.delete(n);
    if (told.first === 0) episodes = [];
    episodes = episodes.concat(told.episodes).slice(-5000);
    told.messages.forEach(say);
    if (hello.task) showState();
  }
  dirty = true;
}

function say({ kind, text }) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  $("messages").prepend(line);
  while ($("messages").children.length > 50) $("messages").lastChild.remove();
}

async function showPicture(blob) {
  const image = await createImageBitmap(blob), canvas = $("picture");
  if (canvas.width !== image.width || canvas.height !== image.height)
    Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  image.close();
}

// -- controls -----------------------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Controls for what this system declares. */
function build() {
  document.title = `${hello.name}: rwta-sim live`;
  $("title").textContent = hello.name;
  const engine = hello.engine === "none" ? "" : `, ${hello.engine} engine`;
  $("facts").textContent = `${hello.task}, ${hello.model}${engine}, seed ${hello.seed}, ${hello.begins}`;
  $("dials").replaceChildren(...hello.dials.map(dial));
  $("missing").textContent = hello.missing.length
    ? `Not here, as this system does not declare it: ${hello.missing.join(", ")}.` : "";
  $("learning").disabled = hello.unlearned !== null;
  $("learning").parentElement.title = hello.unlearned || "";
  const known = typeof hello.perturbations === "string" ? {} : hello.perturbations;
  $("perturbation").replaceChildren(...Object.keys(known).map((name) => element("option", { textContent: name })));
  for (const part of $("perturb").elements) part.disabled = !Object.keys(known).length;
  describePerturbation();
  const matrices = Object.keys(hello.matrices);
  $("block").replaceChildren(...matrices.map((name) => element("option", { textContent: name })));
  for (const part of $("synapse").elements) part.disabled = !matrices.length;
  $("record").title = `Into ${hello.recordings}, from the next episode on`;
  $("hand").replaceChildren(...Array.from({ length: Math.min(hello.actions, 9) }, (_, n) => handle(n)));
  $("hand-note").textContent = "Hold a button or its key, and that action is carried out in place of the agent's.";
}

function handle(action) {
  const names = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓" };
  const its = Object.keys(hello.keys).filter((key) => hello.keys[key] === action).map((key) => names[key] || key);
  const button = element("button", { textContent: `action ${action} (${its.join(", ")})` });
  button.dataset.action = action;
  button.onpointerdown = () => hold(action);
  button.onpointerup = button.onpointerleave = button.onpointercancel = () => hold(null);
  return button;
}

function hold(action) {
  if (action === held) return;
  held = action;
  ask({ do: "act", action });
}

/** A slider with a number beside it, which may be typed; or a choice. */
function dial(one) {
  const label = one.unit ? `${one.label} (${one.unit})` : one.label;
  const name = element("label", { textContent: label, htmlFor: `dial-${one.key}` });
  const when = element("small", { textContent: one.at_once ? "" : "builds a new network" });
  const row = element("div", { className: "dial" }, name);
  row.dataset.key = one.key;
  const turn = (value) => ask({ do: "turn", key: one.key, value });
  if (one.options.length) {
    const choice = element("select", { id: `dial-${one.key}` });
    choice.append(...one.options.map((option) => element("option", { textContent: option })));
    choice.onchange = () => turn(choice.value);
    row.append(choice, element("span"), when);
    row.show = (value) => { choice.value = value; };
  } else {
    const slider = element("input", { type: "range", min: 0, max: 1000, id: `dial-${one.key}` });
    const number = element("input", { type: "number", step: "any", ariaLabel: label });
    number.title = `${one.low} to ${one.high} ${one.unit}`;
    const [low, high] = one.log ? [Math.log(one.low), Math.log(one.high)] : [one.low, one.high];
    const at = (place) => {
      const x = low + ((high - low) * place) / 1000;
      return Math.min(Math.max(Number((one.log ? Math.exp(x) : x).toPrecision(3)), one.low), one.high);
    };
    slider.oninput = () => { number.value = at(slider.value); };
    slider.onchange = () => turn(at(slider.value));
    number.onchange = () => turn(number.valueAsNumber);
    row.append(slider, number, ...(one.at_once ? [] : [when]));
    row.show = (value) => {
      if (row.contains(document.activeElement) && state.dials[one.key] === row.shown) return;
      slider.value = (1000 * ((one.log ? Math.log(value) : value) - low)) / (high - low);
      number.value = Number(value.toPrecision(4));
    };
  }
  return row;
}

function describePerturbation() {
  const known = hello.perturbations;
  $("perturbation-note").textContent = typeof known === "string" ? known
    : `${$("perturbation").value}: ${known[$("perturbation").value]}`;
}

function stand(standing, why) {
  $("standing").className = standing;
  $("standing").textContent = { nobody: "waits", building: "building" }[standing] || standing;
  $("standing").title = why || "";
  if (why) $("standing").textContent += `: ${why}`;
}

function showState() {
  stand(state.state, state.why);
  if (state.state === "running") $("standing").textContent += `, ${Math.round(state.speed || 0)} decisions/s`;
  const paused = state.state === "paused";
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("learning").checked = state.learning;
  $("sign").checked = state.sign < 0;
  $("record").classList.toggle("on", Boolean(state.recording));
  $("record").textContent = state.recording ? "Stop recording" : "Record";
  if (document.activeElement !== $("pace")) $("pace").value = state.pace ? placeOf(state.pace) : 100;
  $("pace-value").textContent = state.pace ? `${Number(state.pace.toPrecision(2))}/s` : "as fast as it can";
  for (const row of $("dials").children) {
    if (!(row.dataset.key in state.dials)) continue;
    row.show(state.dials[row.dataset.key]);
    row.shown = state.dials[row.dataset.key];
  }
  $("perturbed").textContent = state.perturbed.length ? `Now: ${state.perturbed.join(", ")}.` : "";
  $("heal").disabled = !state.perturbed.length;
  $("blind").hidden = !state.blind;
  $("blind").textContent = state.blind ? `${state.blind} What is seen, number by number:` : "";
  $("bars").hidden = !state.blind;
  $("picture").hidden = Boolean(state.blind);
  for (const button of $("hand").children) button.classList.toggle("on", Number(button.dataset.action) === state.hand);
  if (state.synapse && !$("synapse").contains(document.activeElement))
    [$("block").value, $("pre").value, $("post").value] = state.synapse;
}

const paceAt = (place) => (place >= 100 ? null : Number((200 ** (place / 99)).toPrecision(2)));
const placeOf = (pace) => (99 * Math.log(pace)) / Math.log(200);

$("pause").onclick = () => ask({ do: "pause", on: state.state !== "paused" });
$("step").onclick = () => ask({ do: "step" });
$("reset").onclick = () => ask({ do: "reset" });
$("learning").onchange = () => ask({ do: "learn", on: $("learning").checked });
$("sign").onchange = () => ask({ do: "sign", value: $("sign").checked ? -1 : 1 });
$("pace").oninput = () => ask({ do: "pace", value: paceAt($("pace").valueAsNumber) });
$("record").onclick = () => ask({ do: "record", on: !state.recording });
$("heal").onclick = () => ask({ do: "heal" });
$("perturbation").onchange = describePerturbation;
$("perturb").onsubmit = (event) => {
  event.preventDefault();
  ask({ do: "perturb", name: $("perturbation").value, target: $("target").value.trim() });
};
$("synapse").onsubmit = (event) => {
  event.preventDefault();
  ask({ do: "synapse", block: $("block").value, pre: $("pre").valueAsNumber, post: $("post").valueAsNumber });
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !hello || !hello.task) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
  if (event.key in hello.keys) {
    event.preventDefault();
    hold(hello.keys[event.key]);
  } else if (event.key === " " && !/^(BUTTON|INPUT)$/.test(event.target.tagName)) {
    event.preventDefault();
    $("pause").click();
  } else if (event.key === ".") $("step").click();
});
document.addEventListener("keyup", (event) => hello && hello.keys && hello.keys[event.key] === held && hold(null));
window.addEventListener("blur", () => hold(null));

// -- drawing ------------------------------------------------------------------------------------------

/** The context of a canvas that has as many pixels as the screen shows of it, cleared, in CSS pixels. */
function paper(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth;
  canvas.dataset.height = canvas.dataset.height || canvas.getAttribute("height");
  const height = Number(canvas.dataset.height);
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    canvas.style.height = `${height}px`;
  }
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = "11px system-ui, sans-serif";
  return [c, width, height];
}

function write(c, text, x, y, colour = FAINT, align = "left") {
  [c.fillStyle, c.textAlign] = [colour, align];
  c.fillText(text, x, y);
}

const short = (x) => (x === undefined || x === null ? "" : Math.abs(x) >= 1e4 || (x && Math.abs(x) < 1e-3)
  ? x.toExponential(1) : String(Number(x.toPrecision(3))));

/** The last decisions that fit, and where each begins. */
function shownDecisions(width) {
  const count = Math.min(Math.max(Math.round((width - LEFT) / 26), 10), 60), wide = (width - LEFT) / count;
  const shown = decisions.slice(-count);
  return [shown, wide, (k) => LEFT + (count - shown.length + k) * wide];
}

function drawRaster() {
  const [c, width, height] = paper($("raster"));
  if (!hello.raster.populations) return write(c, hello.raster, 0, 20);
  const [shown, wide, at] = shownDecisions(width), { populations, decision } = hello.raster;
  $("raster-note").textContent = `of the last ${shown.length} decisions, ${short(decision)} ms each`;
  const gap = 8, least = 22, free = height - 16 - (gap + least) * populations.length;
  const total = populations.reduce((sum, p) => sum + p.stop - p.start, 0);
  let top = 2;
  const places = populations.map((p, k) => {
    const neurons = p.stop - p.start, tall = (least + (free * neurons) / total) / neurons;
    const place = { ...p, top, tall, colour: COLOURS[k % COLOURS.length] };
    write(c, p.name, 0, top + 12, place.colour);
    c.fillStyle = LINE;
    for (const start of p.circuits.slice(1, -1)) c.fillRect(LEFT, top + start * tall - 0.5, width, 1);
    top += tall * neurons + gap;
    return place;
  });
  shown.forEach((moment, k) => {
    c.fillStyle = moment.hand !== null ? "#f6e3c5" : k && shown[k - 1].episode !== moment.episode ? "#bbb" : "#eee";
    c.fillRect(at(k), 0, moment.hand !== null ? wide : 1, height - 16);
    if (moment.reward) write(c, short(moment.reward), at(k) + 2, height - 4, moment.reward > 0 ? COLOURS[2] : COLOURS[1]);
    for (const [group, [i, t]] of Object.entries(moment.spikes || {}))
      for (const p of places.filter((place) => place.group === group)) {
        c.fillStyle = p.colour;
        for (let s = 0; s < i.length; s++)
          if (i[s] >= p.start && i[s] < p.stop)
            c.fillRect(at(k) + (t[s] / decision) * wide, p.top + (i[s] - p.start) * p.tall, 1.2, Math.max(Math.min(p.tall - 0.5, 9), 1.2));
      }
  });
  write(c, "reward", 0, height - 4);
}

function drawCircuits() {
  const [c, width, height] = paper($("circuits"));
  if (!circuits) return write(c, "This system tells of no winners of circuits.", 0, 20);
  const count = circuits.share.length, wide = Math.min((width - LEFT) / count, 60), tall = height / 2 - 20;
  const most = Math.max(1, ...circuits.bits), last = decisions.findLast((moment) => moment.winners)?.winners;
  [["top share", circuits.share, 1, 0], ["bits", circuits.bits, most, height / 2]].forEach(([name, values, top, y], row) => {
    write(c, name, 0, y + 12, COLOURS[row]);
    write(c, `0 … ${short(top)}`, 0, y + 26);
    values.forEach((value, k) => {
      c.fillStyle = "#f0f0f0";
      c.fillRect(LEFT + k * wide, y + 2, wide * 0.8, tall);
      c.fillStyle = COLOURS[row];
      c.fillRect(LEFT + k * wide, y + 2 + tall * (1 - value / top), wide * 0.8, (tall * value) / top);
      if (wide > 14) write(c, row ? String(k) : last ? `#${last[k]}` : "", LEFT + (k + 0.4) * wide, y + tall + 14, FAINT, "center");
    });
  });
  write(c, "last winner", 0, tall + 14);
  write(c, "circuit", 0, height / 2 + tall + 14);
}

function drawFactors() {
  const [c, width, height] = paper($("factors"));
  if (!state.synapse) return write(c, "This system has no matrix of weights.", 0, 20);
  const [shown, wide, at] = shownDecisions(width);
  const part = (name) => shown.map((moment) => moment.synapse && moment.synapse[name]);
  const rows = [
    ["trace (pre)", [part("trace")]],
    ["spikes, q (post)", [part("spikes"), part("q")]],
    ["eligibility", [part("eligibility")]],
    ["modulation", [shown.map((moment) => modulations.get(moment.n))]],
    ["weight", [part("weight")]],
  ].filter(([name, lines]) => name === "modulation" || lines.some((line) => line.some((x) => x !== undefined)));
  const tall = height / rows.length;
  rows.forEach(([name, lines], row) => {
    const known = lines.flat().filter((x) => x !== undefined), top = row * tall;
    const low = Math.min(name === "weight" ? Infinity : 0, ...known), high = Math.max(name === "weight" ? -Infinity : 0, ...known);
    const y = (x) => top + 16 + (tall - 20) * (high > low ? 1 - (x - low) / (high - low) : 0.5);
    c.fillStyle = LINE;
    c.fillRect(0, top, width, 1);
    write(c, `${name}  ${lines.map((line) => short(line[line.length - 1])).join(", ")}`, 2, top + 12, COLOURS[row]);
    if (name !== "weight" && known.length) c.fillRect(LEFT, y(0), width, 1);
    lines.forEach((line, k) => {
      c.strokeStyle = k ? FAINT : COLOURS[row];
      c.lineWidth = 1.5;
      c.beginPath();
      line.forEach((x, n) => {
        if (x === undefined) return;
        c[n && line[n - 1] !== undefined ? "lineTo" : "moveTo"](at(n), y(x));
        c.lineTo(at(n) + wide, y(x));
      });
      c.stroke();
    });
  });
}

function drawReturns() {
  const [c, width, height] = paper($("returns")), bottom = height - 8;
  if (!episodes.length) return write(c, "No episode has ended yet.", 0, 20);
  const totals = episodes.map((episode) => episode.total), low = Math.min(0, ...totals), high = Math.max(0, ...totals);
  const x = (k) => LEFT + ((width - LEFT - 6) * (k + 0.5)) / totals.length;
  const y = (value) => 8 + (bottom - 8) * (high > low ? 1 - (value - low) / (high - low) : 0.5);
  for (const value of [low, high]) write(c, short(value), LEFT - 6, y(value) + 4, FAINT, "right");
  c.fillStyle = LINE;
  c.fillRect(LEFT, y(0), width, 1);
  episodes.forEach((episode, k) => {
    c.fillStyle = episode.learned ? "#9cc4de" : "#f0b48c";
    c.fillRect(x(k) - 1.5, y(totals[k]) - 1.5, 3, 3);
  });
  const over = Math.max(1, Math.min(20, Math.floor(totals.length / 4)));
  c.beginPath();
  let sum = 0;
  totals.forEach((value, k) => {
    sum += value - (k >= over ? totals[k - over] : 0);
    c.lineTo(x(k), y(sum / Math.min(k + 1, over)));
  });
  [c.strokeStyle, c.lineWidth] = [COLOURS[0], 2];
  c.stroke();
  $("returns-note").textContent = `${totals.length} (orange: not learned from), the last ${short(totals[totals.length - 1])}; line: mean of ${over}`;
}

function drawPolicy() {
  const [c, width, height] = paper($("policy")), last = decisions[decisions.length - 1];
  if (!last) return;
  if (!last.policy) return write(c, `action ${last.action}; this system tells no probabilities`, 0, 20);
  const wide = (width - LEFT) / last.policy.length, tall = height - 28;
  write(c, "policy", 0, 14);
  last.policy.forEach((p, k) => {
    c.fillStyle = k === last.action ? COLOURS[0] : "#b9cfdc";
    c.fillRect(LEFT + k * wide, 4 + tall * (1 - p), wide * 0.85, tall * p);
    if (wide > 24) write(c, `${k}: ${p.toFixed(2)}`, LEFT + (k + 0.42) * wide, height - 10, k === last.action ? COLOURS[0] : FAINT, "center");
  });
}

function drawBars() {
  const [c, width, height] = paper($("bars")), values = state.bars || [];
  if (!values.length) return;
  const most = Math.max(1e-9, ...values.map(Math.abs)), wide = (width - LEFT) / values.length;
  const below = values.some((x) => x < 0), zero = below ? height / 2 - 8 : height - 16;
  write(c, `± ${short(most)}`, 0, 12);
  values.forEach((x, k) => {
    c.fillStyle = x < 0 ? COLOURS[1] : COLOURS[0];
    c.fillRect(LEFT + k * wide, zero, wide * 0.8, (-x / most) * (zero - 4));
    if (wide > 18) write(c, short(x), LEFT + (k + 0.4) * wide, height - 3, FAINT, "center");
  });
  c.fillStyle = LINE;
  c.fillRect(LEFT, zero, width, 1);
}

function draw() {
  if (dirty && hello && hello.task && state.dials) {
    dirty = false;
    drawRaster();
    drawCircuits();
    drawFactors();
    drawReturns();
    drawPolicy();
    if (state.blind) drawBars();
    document.body.dataset.decisions = decisions.length ? decisions[decisions.length - 1].n + 1 : 0;
    document.body.dataset.episodes = episodes.length;
  }
  requestAnimationFrame(draw);
}
window.addEventListener("resize", () => { dirty = true; });
connect();
draw();
