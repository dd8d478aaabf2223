// A raster that zooms: wheel or +/- to zoom, drag or arrow keys to move, double click to see all.
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

  for (const canvas of document.querySelectorAll("canvas.raster")) {
    const data = JSON.parse(document.getElementById(canvas.dataset.source).textContent);
    const t = new Float32Array(bytes(data.t)), row = new Uint16Array(bytes(data.row));
    const bands = data.bands, colors = ["#777777", "#0072B2", "#D55E00"];
    const rows = bands[bands.length - 1].end, left = 60, bottom = 34, top = 16;
    let from = 0, to = data.stop;

    const color = new Uint8Array(rows);
    bands.forEach((band, n) => color.fill(n, band.start, band.end));

    const draw = () => {
      const ratio = window.devicePixelRatio || 1;
      const width = canvas.clientWidth, height = canvas.clientHeight;
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      const g = canvas.getContext("2d");
      g.scale(ratio, ratio);
      g.clearRect(0, 0, width, height);
      const w = width - left - 24, h = height - bottom - top;
      const x = (s) => left + ((s - from) / (to - from)) * w;
      const y = (r) => top + h - (r / rows) * h;
      g.font = "11px sans-serif";
      const step = data.step, first = Math.max(0, Math.floor(from / step));
      const last = Math.min(data.actions.length, Math.ceil(to / step));
      if (last - first < w / 6) {
        g.fillStyle = "#eeeeee";
        for (let k = first; k <= last; k++) g.fillRect(x(k * step), top, 1, h);
        if (last - first < w / 14) {
          g.textAlign = "center";
          for (let k = first; k < last; k++) {
            g.fillStyle = "#000000";
            g.fillText(data.actions[k], x((k + 0.5) * step), top - 4);
          }
        }
      }
      g.fillStyle = "#CC79A7";
      for (const end of data.ends) if (end * step >= from && end * step <= to) g.fillRect(x(end * step), top, 1.5, h);
      const tick = Math.max(1.2, h / rows);
      for (let k = 0; k < t.length; k++) {
        if (t[k] < from || t[k] > to) continue;
        g.fillStyle = colors[color[row[k]] % colors.length];
        g.fillRect(x(t[k]), y(row[k] + 1), 1, tick);
      }
      g.fillStyle = "#ffffff";
      g.fillRect(0, 0, left - 1, height);
      g.textAlign = "right";
      bands.forEach((band, n) => {
        g.fillStyle = colors[n % colors.length];
        g.fillText(band.name, left - 8, y((band.start + band.end) / 2) + 4);
        g.fillStyle = "#999999";
        g.fillRect(left, y(band.start), w, 0.5);
      });
      g.fillStyle = "#000000";
      g.textAlign = "center";
      const raw = (to - from) / 8, unit = 10 ** Math.floor(Math.log10(raw));
      const tickStep = [1, 2, 5, 10].map((m) => m * unit).find((m) => m >= raw);
      for (let s = Math.ceil(from / tickStep) * tickStep; s <= to; s += tickStep) {
        g.fillText((s * 1e3).toPrecision(6) / 1 + "", x(s), height - 18);
      }
      g.fillText("time (ms); above: actions", left + w / 2, height - 4);
    };

    const show = (a, b) => {
      const span = Math.min(Math.max(b - a, data.step / 10), data.stop);
      from = Math.min(Math.max(a, 0), data.stop - span);
      to = from + span;
      draw();
    };
    const zoom = (factor, at) => {
      const middle = at === undefined ? (from + to) / 2 : at;
      show(middle - (middle - from) * factor, middle + (to - middle) * factor);
    };
    const seconds = (event) => {
      const box = canvas.getBoundingClientRect();
      return from + ((event.clientX - box.left - left) / (canvas.clientWidth - left - 24)) * (to - from);
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, seconds(event));
    }, { passive: false });
    let held = null;
    canvas.addEventListener("pointerdown", (event) => { held = seconds(event); canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (held !== null) { const move = held - seconds(event); show(from + move, to + move); }
    });
    canvas.addEventListener("pointerup", () => { held = null; });
    canvas.addEventListener("dblclick", () => show(0, data.stop));
    canvas.addEventListener("keydown", (event) => {
      const move = (to - from) / 5;
      const does = { "+": () => zoom(0.8), "-": () => zoom(1.25), "0": () => show(0, data.stop),
        ArrowLeft: () => show(from - move, to - move), ArrowRight: () => show(from + move, to + move) };
      if (does[event.key]) { does[event.key](); event.preventDefault(); }
    });
    window.addEventListener("resize", draw);
    show(0, Math.min(data.stop, 40 * data.step));
    canvas.dataset.drawn = String(t.length);
  }
})();
