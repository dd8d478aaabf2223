"use strict";
// The network in WebAssembly, and its training as rwta_sim/lab/training.py has it. Runs in a page and under node.

const PURPOSE = { training: 1, validation: 2, evaluation: 3 }; // rwta_sim/seeding.py

class Network {
  // The module's bytes; `shown` are the numbers of the preset.
  static async of(bytes, shown) {
    const imports = { wasi_snapshot_preview1: { proc_exit: (code) => { throw new Error(`the module ended: ${code}`); } } };
    const { instance } = await WebAssembly.instantiate(bytes, imports);
    instance.exports._initialize();
    return new Network(instance.exports, shown);
  }

  constructor(native, shown) {
    this.native = native;
    this.shown = shown;
    this.build(0, shown.circuits);
  }

  build(seed, circuits) {
    this.seed = seed;
    this.circuits = circuits;
    this.hidden = circuits * this.shown.size;
    this.neurons = this.hidden + 2;
    this.native.rwta_build(seed, circuits);
  }

  numbers(where, count) { return new Float64Array(this.native.memory.buffer, where, count); }
  get state() { return this.numbers(this.native.rwta_state(), 4); }
  get sh() { return this.numbers(this.native.rwta_sh(), this.shown.inputs * this.hidden); }
  get ha() { return this.numbers(this.native.rwta_ha(), 2 * this.hidden); }
  get b() { return this.numbers(this.native.rwta_b(), this.neurons); }
  get theta() { return this.numbers(this.native.rwta_theta(), this.native.rwta_features()); } // of the critic
  get told() { return this.numbers(this.native.rwta_told(), 2); } // TD error, modulation
  get post() { return this.numbers(this.native.rwta_post(), this.neurons); }
  get trace() { return this.numbers(this.native.rwta_rows() + 8 * 5 * this.neurons, this.neurons); }

  // Spikes of the last decision: times (s) and numbers, of inputs and of neurons; copies.
  spikes() {
    const { native } = this, memory = native.memory.buffer;
    const [inputs, neurons] = [...new BigInt64Array(memory, native.rwta_spikes(), 2)].map(Number);
    const t = new Float64Array(memory, native.rwta_times(), inputs + neurons);
    const i = new Int32Array(memory, native.rwta_who(), inputs + neurons);
    return { inputT: t.slice(0, inputs), inputI: i.slice(0, inputs), t: t.slice(inputs), i: i.slice(inputs) };
  }
}

// A training: episodes with learning, validations without, at the end an evaluation of the best weights; then play goes
// on, and learns if it is to.
class Course {
  constructor(network) {
    const { shown } = network;
    this.network = network;
    this.shown = shown;
    this.knobs = { rate: shown.rate, entropy: shown.entropy, sign: 1, learn: true };
    this.phase = "training";
    this.episode = 0;
    this.decisions = 0;
    this.returns = []; // of episodes of training
    this.validations = []; // [episode, mean return]
    this.evaluation = null; // mean return
    this.best = null;
    this.streak = 0;
    this.after = 0;
    this.played = [];
    this.begin();
  }

  begin() {
    const number = { training: this.episode, validation: this.validations.length * this.shown.validations + this.played.length,
      evaluation: this.played.length, after: this.episode + this.after }[this.phase];
    this.learns = this.phase === "training" || this.phase === "after";
    this.network.native.rwta_begin(PURPOSE[this.phase] ?? PURPOSE.training, number, this.learns ? 1 : 0);
    this.total = 0;
    const done = Math.min(this.episode / this.shown.episodes, 1);
    this.fade = [this.shown.finalRate, this.shown.finalEntropy].map((final) => 1 - (1 - final) * done);
  }

  // One decision, and what follows from it; `push` is a force on the cart besides its own. Whether the episode ended.
  decide(push = 0) {
    const { native } = this.network, { knobs } = this;
    this.action = native.rwta_decide(0);
    const over = native.rwta_move(push);
    this.decisions += 1;
    this.total += 1;
    if (this.learns && knobs.learn)
      native.rwta_learn(knobs.sign, over === 1 ? 1 : 0, knobs.entropy * this.fade[1], knobs.rate * this.fade[0]);
    return over > 0;
  }

  // After an episode, what is next.
  next() {
    const { phase, shown } = this;
    if (phase === "training" || phase === "after") this.returns.push(this.total);
    else this.played.push(this.total);
    if (phase === "training" && (++this.episode % shown.every === 0 || this.episode >= shown.episodes)) this.phase = "validation";
    if (phase === "after") this.after += 1;
    if (phase === "validation" && this.played.length === shown.validations) this.validated();
    if (phase === "evaluation" && this.played.length === Course.EVALUATION) {
      this.evaluation = this.mean();
      this.phase = "after";
      this.knobs.learn = false;
    }
    this.begin();
  }

  mean() {
    const sum = this.played.reduce((a, b) => a + b, 0), count = this.played.length;
    this.played = [];
    return sum / count;
  }

  validated() {
    const { shown } = this, mean = this.mean();
    this.validations.push([this.episode, mean]);
    if (this.best === null || mean >= this.best) {
      this.best = mean;
      this.network.native.rwta_keep();
    }
    this.streak = mean >= shown.target ? this.streak + 1 : 0;
    const finished = this.streak >= shown.streak || this.episode >= shown.episodes;
    this.phase = finished ? "evaluation" : "training";
    if (finished) this.network.native.rwta_take();
  }
}
Course.EVALUATION = 100;
