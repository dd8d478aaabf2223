// Does jobs with the network that a page holds: node page_in_node.mjs PAGE < jobs.json > found.json
import { readFileSync } from "node:fs";
import vm from "node:vm";

const page = readFileSync(process.argv[2], "utf8");
const part = (id) => page.match(new RegExp(`<script[^>]* id="${id}"[^>]*>([^]*?)</script>`))[1];
const { Network, Course } = vm.runInThisContext(`${part("network")}; ({ Network, Course })`);
const network = await Network.of(Buffer.from(part("module"), "base64"), JSON.parse(part("shown")));
const { native } = network;
const plain = (object) => Object.fromEntries(Object.entries(object).map(([name, array]) => [name, [...array]]));
const weights = () => ({ sh: [...network.sh], ha: [...network.ha], b: [...network.b], theta: [...network.theta] });

const kinds = {
  // Episodes of a training from its start; `keep`: what every decision came to. `against`: somebody turns every push
  // of the network round.
  train({ seed, episodes, keep = true, against = false, circuits = network.shown.circuits }) {
    network.build(seed, circuits);
    const course = new Course(network), initial = weights(), decisions = [];
    while (course.returns.length < episodes) {
      const { phase } = course, state = [...network.state];
      let over;
      if (against) {
        course.action = native.rwta_decide(0);
        over = native.rwta_move(course.action ? -20 : 20) > 0;
        course.total += 1;
      } else over = course.decide();
      if (keep && phase === "training") decisions.push({ episode: course.returns.length, state, action: course.action, ...plain(network.spikes()) });
      if (over) course.next();
    }
    return { initial, decisions, returns: course.returns, validations: course.validations, learned: weights() };
  },
  // Answers to drives, each from nothing, with given weights.
  answer({ seed, ha, drives, kernel, stimulated = -1, cut = null }) {
    network.build(seed, network.shown.circuits);
    network.ha.set(ha);
    native.rwta_kernel(...kernel);
    native.rwta_stimulate(stimulated, 5);
    if (cut !== null) native.rwta_cut(cut);
    native.rwta_begin(1, 0, 1);
    const spikes = drives.map((drive) => {
      network.numbers(native.rwta_drive(), drive.length).set(drive);
      const action = native.rwta_decide(1);
      return { action, ...plain(network.spikes()) };
    });
    const damaged = weights();
    native.rwta_learn(1, 1, 0.02, 0.003);
    const learned = weights();
    native.rwta_keep();
    native.rwta_take();
    const taken = weights();
    native.rwta_heal();
    return { spikes, damaged, learned, taken, healed: weights() };
  },
};

const jobs = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(jobs.map(({ kind, ...job }) => kinds[kind](job))));
