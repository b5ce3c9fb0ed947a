// What the report does in a browser beyond showing itself: classes are switched on and off, values are read under the
// pointer, and pictures are enlarged. Without this script all of it is there, only still.
"use strict";
{
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const made = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const VOID = 255;

  // Before and after, one picture on the other, with a slider between them.
  for (const article of all("article[data-compared]")) {
    const [before, after] = all("img[data-view]", article);
    const copies = [before, after].map(view => made("img", { src: view.src, alt: view.alt, width: view.width, height: view.height }));
    const slider = made("input", { type: "range", min: 0, max: 100, value: 50 });
    slider.setAttribute("aria-label", `Share of the picture that shows the ${before.dataset.view}`);
    const said = `${before.dataset.view} on the left, ${after.dataset.view} on the right`;
    const figure = made("figure", { className: "compared" }, made("div", {}, ...copies), slider, made("figcaption", { textContent: said }));
    const move = () => figure.style.setProperty("--at", slider.value + "%");
    slider.addEventListener("input", move);
    move();
    article.querySelector(".views").before(figure);
  }

  // Classes: their names and colors stand in the legend.
  const classes = new Map();
  for (const item of all("li[data-class]")) {
    const color = item.dataset.color.match(/\w\w/g).map(part => parseInt(part, 16));
    classes.set(Number(item.dataset.class), { name: item.textContent.trim(), color, on: true, item });
  }
  const named = number => classes.get(number)?.name ?? "-";
  const labelled = all("article[data-alpha]");
  let alpha = labelled.length ? Number(labelled[0].dataset.alpha) : 1;
  for (const number of labelled[0]?.dataset.bare.match(/\d+/g) ?? [])
    if (classes.has(Number(number))) classes.get(Number(number)).on = false;

  // The pixels of a picture, which is decoded once.
  const decoded = new Map();
  const pixels = source => {
    if (!decoded.has(source)) {
      const image = made("img", { src: source });
      decoded.set(source, image.decode().then(() => {
        const canvas = made("canvas", { width: image.naturalWidth, height: image.naturalHeight });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, canvas.width, canvas.height);
      }));
    }
    return decoded.get(source);
  };
  const at = (data, x, y) => {
    const column = Math.min(Math.floor(x * data.width), data.width - 1);
    const row = Math.min(Math.floor(y * data.height), data.height - 1);
    const place = 4 * (row * data.width + column);
    return [...data.data.slice(place, place + 3)];
  };

  // Labels over the image, of the classes that are on.
  const painted = async (view, base) => {
    const [below, labels] = await Promise.all([pixels(base.src), pixels(view.dataset.labels)]);
    const canvas = made("canvas", { width: labels.width, height: labels.height, className: "painted" });
    canvas.setAttribute("aria-hidden", "true");
    const context = canvas.getContext("2d");
    const picture = context.createImageData(labels.width, labels.height);
    for (let i = 0; i < picture.data.length; i += 4) {
      const entry = classes.get(labels.data[i]);
      const share = entry?.on ? alpha : 0;
      for (let channel = 0; channel < 3; channel++)
        picture.data[i + channel] = (1 - share) * below.data[i + channel] + share * (entry?.color[channel] ?? 0);
      picture.data[i + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
    return canvas;
  };
  let drawing = 0;
  const draw = async () => {
    const turn = ++drawing;
    for (const article of labelled) {
      const base = article.querySelector("img[data-view]");
      for (const view of all("img[data-labels]", article)) {
        const canvas = await painted(view, base);
        if (turn !== drawing) return; // another change came meanwhile
        view.parentNode.querySelector("canvas")?.remove();
        view.after(canvas);
      }
    }
  };
  if (labelled.length && classes.size) {
    for (const entry of classes.values()) {
      const button = made("button", { type: "button" }, ...entry.item.childNodes);
      button.setAttribute("aria-pressed", String(entry.on));
      button.addEventListener("click", () => {
        entry.on = !entry.on;
        button.setAttribute("aria-pressed", String(entry.on));
        draw();
      });
      entry.item.append(button);
    }
    const slider = made("input", { type: "range", min: 0, max: 100, value: 100 * alpha });
    slider.addEventListener("input", () => { alpha = slider.value / 100; draw(); });
    all(".legend")[0].append(made("li", {}, made("label", {}, "Opacity of labels ", slider)));
  }

  // Values under the pointer: those of the data, where a picture says which of them are black and white.
  const valued = (view, shown) => {
    const scales = view.dataset.scales?.split(";").map(pair => pair.split(",").map(Number)) ?? [];
    const gray = shown[0] === shown[1] && shown[1] === shown[2];
    const channels = shown.slice(0, scales.length > 1 ? scales.length : gray ? 1 : 3);
    return channels.map((value, channel) => {
      if (!scales.length) return String(value);
      const [low, high] = scales[channel] ?? scales[0];
      const bound = { 0: "≤ ", 255: "≥ " }[value] ?? "";
      return bound + Number((low + (value / 255) * (high - low)).toPrecision(3));
    }).join(", ");
  };
  const spoken = async (article, x, y) => {
    const { rows, columns } = article.dataset;
    const words = [];
    if (rows > 1) words.push(`row ${Math.min(Math.floor(y * rows), rows - 1)}`);
    if (columns) words.push(`${rows > 1 ? "column" : "position"} ${Math.min(Math.floor(x * columns), columns - 1)}`);
    for (const view of all("img[data-view]", article)) {
      const name = view.dataset.view;
      if (view.dataset.labels) words.push(`${name} ${named(at(await pixels(view.dataset.labels), x, y)[0])}`);
      else if (name !== "errors" && !("drawn" in view.dataset)) words.push(`${name} ${valued(view, at(await pixels(view.src), x, y))}`);
    }
    return words.join(" · ");
  };
  const place = (event, element) => {
    const box = element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map(share => Math.min(Math.max(share, 0), 0.9999));
  };
  for (const article of all("article")) {
    const frames = all(".views .frame", article);
    if (!frames.length) continue;
    const readout = made("p", { className: "readout quiet", textContent: "Point at a picture to read values, or click to enlarge it." });
    frames[0].closest(".views").after(readout);
    const crosses = frames.map(frame => made("span", { className: "cross", hidden: true }));
    frames.forEach((frame, number) => {
      frame.append(crosses[number]);
      const view = frame.querySelector("img");
      frame.addEventListener("pointermove", async event => {
        const [x, y] = place(event, frame);
        for (const cross of crosses) {
          const other = cross.parentNode.querySelector("img");
          cross.hidden = Math.abs(other.naturalWidth * view.naturalHeight - view.naturalWidth * other.naturalHeight) > view.naturalHeight * 2;
          cross.style.left = 100 * x + "%";
          cross.style.top = 100 * y + "%";
        }
        readout.textContent = await spoken(article, x, y);
      });
      frame.addEventListener("pointerleave", () => crosses.forEach(cross => (cross.hidden = true)));
      const button = made("button", { type: "button", className: "enlarge", textContent: "+" });
      button.setAttribute("aria-label", `Enlarge ${view.alt}`);
      button.addEventListener("click", event => { event.stopPropagation(); enlarge(article, number); });
      frame.addEventListener("click", () => enlarge(article, number));
      frame.append(button);
    });
  }

  // One picture as large as the window, or larger.
  const tabs = made("div", { className: "tabs" });
  const readout = made("p", { className: "readout" });
  const ground = made("div", { className: "ground", tabIndex: 0 });
  const tool = (text, label, act) => {
    const button = made("button", { type: "button", textContent: text });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    return button;
  };
  const dialog = made("dialog", { className: "large" });
  const bar = made("div", { className: "bar" }, tabs, tool("−", "Smaller", () => zoom(1 / 1.5)), tool("+", "Larger", () => zoom(1.5)), tool("Close", "Close", () => dialog.close()));
  dialog.append(bar, ground, readout);
  dialog.setAttribute("aria-label", "Enlarged picture");
  let sheet = null, scale = 1, open = null;
  const zoom = (factor, event) => {
    if (!sheet) return;
    const box = ground.getBoundingClientRect();
    const [x, y] = event ? [event.clientX - box.left, event.clientY - box.top] : [box.width / 2, box.height / 2];
    const before = scale;
    scale = Math.min(Math.max(scale * factor, 0.05), 40);
    const [left, top] = [ground.scrollLeft, ground.scrollTop];
    sheet.style.width = sheet.width * scale + "px";
    sheet.style.imageRendering = scale > 1.5 ? "pixelated" : "auto";
    ground.scrollLeft = ((left + x) * scale) / before - x;
    ground.scrollTop = ((top + y) * scale) / before - y;
  };
  const enlarge = async (article, number) => {
    const views = all(".views img[data-view]", article);
    const view = views[number];
    const kept = open?.article === article ? [ground.scrollLeft, ground.scrollTop] : null;
    open = { article, number, count: views.length };
    await view.decode();
    const old = sheet?.width;
    sheet = made("canvas", { width: view.naturalWidth, height: view.naturalHeight, role: "img" });
    sheet.setAttribute("aria-label", view.alt);
    const context = sheet.getContext("2d");
    for (const layer of [view, view.parentNode.querySelector("canvas")].filter(Boolean))
      context.drawImage(layer, 0, 0, sheet.width, sheet.height);
    tabs.replaceChildren(...views.map((other, index) => {
      const button = tool(other.dataset.view, `Show ${other.alt}`, () => enlarge(article, index));
      button.setAttribute("aria-pressed", String(index === number));
      return button;
    }));
    ground.replaceChildren(sheet);
    if (!dialog.open) dialog.showModal();
    if (!kept || old !== sheet.width) {
      scale = Math.min(ground.clientWidth / sheet.width, ground.clientHeight / sheet.height);
      zoom(1);
    } else {
      zoom(1);
      [ground.scrollLeft, ground.scrollTop] = kept;
    }
  };
  dialog.addEventListener("close", () => { open = null; readout.textContent = ""; });
  dialog.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && open) { event.preventDefault(); enlarge(open.article, (open.number + step + open.count) % open.count); }
    if (event.key === "+") zoom(1.5);
    if (event.key === "-") zoom(1 / 1.5);
  });
  ground.addEventListener("wheel", event => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.25 : 0.8, event); }, { passive: false });
  ground.addEventListener("pointerdown", event => { if (event.pointerType === "mouse") { event.preventDefault(); ground.setPointerCapture(event.pointerId); } });
  ground.addEventListener("pointermove", async event => {
    if (event.pointerType === "mouse" && event.buttons) { ground.scrollLeft -= event.movementX; ground.scrollTop -= event.movementY; }
    if (open && sheet) readout.textContent = await spoken(open.article, ...place(event, sheet));
  });
  document.body.append(dialog);
}
