// The browser of answers. Model output is hostile: it reaches the page as text nodes only.
(() => {
  const PAGE = 40, LONG = 20000;
  // The same characters as in hostile.py; a test holds the two lists together.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\u{e0000}-\u{e007f}]/gu;
  const state = { texts: [], items: [], found: [], at: -1, page: 0, split: false, lower: [] };
  const fields = ["text", "suite", "category", "system", "judge", "verdict", "rater", "rating", "change", "effect", "status"];
  const field = (name) => byId(`f-${name}`);

  function element(tag, css, ...children) {
    const node = document.createElement(tag);
    if (css) node.className = css;
    node.append(...children);
    return node;
  }

  // Appends text; characters that would hide or reorder it are shown by their number.
  function say(node, text) {
    const clean = text.replace(/\r\n/g, "\n");
    let last = 0;
    for (const match of clean.matchAll(HIDDEN)) {
      if (match.index > last) node.append(clean.slice(last, match.index));
      const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      node.append(element("span", "ctl", `U+${code}`));
      last = match.index + match[0].length;
    }
    if (last < clean.length) node.append(clean.slice(last));
    return node;
  }

  const spoken = (tag, css, text) => say(element(tag, css), text);

  // A block of model text. Very long ones start shortened.
  function block(text, css = "") {
    const node = element("div", `text ${css}`);
    node.dir = "auto";
    node.tabIndex = 0;
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", "text");
    if (text === "") node.append(element("em", "fine", "(empty)"));
    else longer(node, text, (part) => say(node, part));
    return node;
  }

  // Where a text may be cut without dividing a surrogate pair.
  const cutAt = (text, most) => most - (/[\ud800-\udbff]/.test(text[most - 1] ?? "") ? 1 : 0);

  function longer(node, text, put) {
    if (text.length <= LONG) return put(text);
    const end = cutAt(text, LONG);
    put(text.slice(0, end));
    const more = element("button", "quiet", `Show all ${text.length.toLocaleString("en")} characters`);
    more.type = "button";
    more.addEventListener("click", () => { more.remove(); put(text.slice(end)); });
    node.append(more);
  }

  // Kept, removed, added lengths in turn; both texts are used up exactly.
  function diffBlock(before, after, lengths) {
    const node = element("div", "text diff");
    node.dir = "auto";
    node.tabIndex = 0;
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", "text with changes marked");
    let i = 0, j = 0, shown = 0;
    const put = (from) => {
      for (let k = from; k < lengths.length; k += 3) {
        const [kept, gone, added] = lengths.slice(k, k + 3);
        if (kept) say(node, after.slice(j, j + kept));
        if (gone) node.append(spoken("del", "", before.slice(i + kept, i + kept + gone)));
        if (added) node.append(spoken("ins", "", after.slice(j + kept, j + kept + added)));
        i += kept + gone;
        j += kept + added;
        shown += kept + gone + added;
        if (shown > LONG && k + 3 < lengths.length) {
          const more = element("button", "quiet", "Show the rest");
          more.type = "button";
          more.addEventListener("click", () => { more.remove(); shown = -Infinity; put(k + 3); });
          node.append(more);
          return;
        }
      }
    };
    put(0);
    return node;
  }

  const percent = (x) => (x === null ? "–" : `${(100 * x).toFixed(0)}\u202f%`);

  function result(verdict) {
    if (verdict.preference === null) return "failed";
    return verdict.preference > 0.5 ? "win" : verdict.preference < 0.5 ? "loss" : "tie";
  }

  async function unpack() {
    const raw = atob(byId("payload").textContent);
    const bytes = Uint8Array.from({ length: raw.length }, (_, i) => raw.charCodeAt(i));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  function effectOf(answer) {
    if (answer.upstream === undefined || answer.correct === null || answer.upstream_correct === null) return "";
    if (answer.correct === answer.upstream_correct) return "kept";
    return answer.correct ? "repaired" : "damaged";
  }

  function changeOf(answer, texts) {
    if (answer.upstream === undefined) return { kind: "", share: 0 };
    if (!answer.diff) return { kind: "unchanged", share: 0 };
    let changed = 0;
    for (let k = 0; k < answer.diff.length; k += 3) changed += answer.diff[k + 1] + answer.diff[k + 2];
    const share = changed / Math.max(texts[answer.text].length + texts[answer.upstream].length, 1);
    return { kind: share < 0.25 ? "small" : "large", share };
  }

  function makeItems(data) {
    const items = [];
    for (const prompt of data.prompts) {
      for (const answer of prompt.answers) {
        const verdicts = prompt.verdicts.filter((v) => v.candidate === answer.system);
        items.push({
          prompt, answer, verdicts, ratings: answer.ratings ?? [], key: permalink(prompt, answer),
          effect: effectOf(answer), change: changeOf(answer, data.texts),
        });
      }
    }
    return items;
  }

  function permalink(prompt, answer) {
    // Lone surrogates have no UTF-8 form, so they are replaced before encoding.
    const part = (text) => encodeURIComponent(text.toWellFormed ? text.toWellFormed() : text.replace(/[\ud800-\udfff]/gu, "\ufffd"));
    return `#a=${part(prompt.suite)}/${part(prompt.id)}/${part(answer.system)}`;
  }

  // Filters --------------------------------------------------------------------------------------------------
  function options(name, first, values) {
    const select = field(name);
    select.replaceChildren();
    for (const [value, label] of [["", first], ...values]) {
      const option = spoken("option", "", label);
      option.value = value;
      select.append(option);
    }
  }

  function fillFilters() {
    const distinct = (pick) => [...new Set(state.items.flatMap(pick))].filter((x) => x !== null && x !== undefined && x !== "");
    const named = (values) => values.map((value) => [value, value]);
    options("suite", "all", named(distinct((item) => item.prompt.suite)));
    options("category", "all", named(distinct((item) => item.prompt.category)));
    options("system", "all", named(distinct((item) => item.answer.system)));
    options("judge", "any", named(distinct((item) => item.verdicts.map((v) => v.judge))));
    options("verdict", "any", [["win", "win"], ["tie", "tie"], ["loss", "loss"], ["inconsistent", "inconsistent orders"], ["failed", "no verdict"]]);
    fillRatings(distinct((item) => item.ratings.map((r) => r.rater)));
    options("change", "any", [["changed", "changed"], ["unchanged", "unchanged"], ["small", "small change"], ["large", "large change"]]);
    options("effect", "any", [["repaired", "repaired"], ["damaged", "damaged"], ["right", "right"], ["wrong", "wrong"]]);
    options("status", "any", named(distinct((item) => item.answer.status)));
  }

  // Runs without raters have neither filter, and one rater need not be chosen.
  function fillRatings(raters) {
    options("rater", "any", raters.map((name) => [name, name]));
    options("rating", "any", RATED.filter(([value]) => state.items.some((item) => item.ratings.some((r) => ratingIs(r, value)))));
    field("rater").parentElement.hidden = raters.length < 2;
    field("rating").parentElement.hidden = !raters.length;
  }

  const byRater = (item) => item.ratings.filter((r) => !field("rater").value || r.rater === field("rater").value);

  function lower(index) {
    return (state.lower[index] ??= state.texts[index].toLowerCase());
  }

  function contains(item, needle) {
    const { prompt, answer } = item;
    return lower(prompt.prompt).includes(needle) || lower(answer.text).includes(needle)
      || (answer.upstream !== undefined && lower(answer.upstream).includes(needle))
      || prompt.id.toLowerCase().includes(needle);
  }

  const CHECKS = {
    text: (item, value) => contains(item, value.toLowerCase()),
    suite: (item, value) => item.prompt.suite === value,
    category: (item, value) => item.prompt.category === value,
    system: (item, value) => item.answer.system === value,
    judge: (item, value) => item.verdicts.some((v) => v.judge === value),
    verdict: (item, value) => item.verdicts.some((v) => (!field("judge").value || v.judge === field("judge").value)
      && (value === "inconsistent" ? v.inconsistent : result(v) === value)),
    rater: (item, value) => item.ratings.some((r) => r.rater === value),
    rating: (item, value) => byRater(item).some((r) => ratingIs(r, value)),
    change: (item, value) => (value === "changed" ? ["small", "large"].includes(item.change.kind) : item.change.kind === value),
    effect: (item, value) => (value === "right" ? item.answer.correct === true
      : value === "wrong" ? item.answer.correct === false : item.effect === value),
    status: (item, value) => item.answer.status === value,
  };

  function filter() {
    const active = fields.map((name) => [CHECKS[name], field(name).value.trim()]).filter(([, value]) => value !== "");
    const current = state.found[state.at];
    state.found = state.items.filter((item) => active.every(([check, value]) => check(item, value)));
    state.at = Math.max(state.found.indexOf(current), state.found.length ? 0 : -1);
    byId("found").textContent = `${state.found.length.toLocaleString("en")} of ${state.items.length.toLocaleString("en")} answers`;
    show(state.at, { keepAddress: true });
  }

  // The list -------------------------------------------------------------------------------------------------
  function badges(item) {
    const judge = field("judge").value;
    const marks = item.verdicts.filter((v) => !judge || v.judge === judge);
    const nodes = [];
    if (item.effect === "repaired" || item.effect === "damaged") nodes.push(element("span", `chip ${item.effect}`, item.effect));
    if (item.change.kind === "unchanged") nodes.push(element("span", "chip", "unchanged"));
    if (byRater(item).some((r) => ratingIs(r, "harmful"))) nodes.push(element("span", "chip bad", "harmful"));
    if (item.answer.status !== "ok") nodes.push(spoken("span", "chip bad", item.answer.status));
    if (judge) for (const v of marks) nodes.push(element("span", `chip ${result(v)}`, result(v)));
    return nodes;
  }

  function listItem(item, index) {
    const link = element("a", "entry");
    link.href = item.key;
    if (index === state.at) link.setAttribute("aria-current", "true");
    const text = state.texts[item.prompt.prompt];
    const question = spoken("span", "question", text.length > 110 ? `${text.slice(0, cutAt(text, 110))}…` : text || "(empty)");
    if (index % PAGE && state.found[index - 1].prompt === item.prompt) link.classList.add("again");
    else link.append(question);
    link.append(element("span", "under", spoken("span", "who", item.answer.system), ...badges(item)));
    link.addEventListener("click", (event) => { event.preventDefault(); show(index); });
    return element("li", "", link);
  }

  function drawList() {
    const start = state.page * PAGE;
    const part = state.found.slice(start, start + PAGE);
    byId("list").replaceChildren(...part.map((item, i) => listItem(item, start + i)));
    byId("list").start = start + 1;
    const pages = Math.max(Math.ceil(state.found.length / PAGE), 1);
    byId("page").textContent = `page ${state.page + 1} of ${pages}`;
    byId("page-back").disabled = state.page === 0;
    byId("page-on").disabled = state.page >= pages - 1;
  }

  function turn(by) {
    state.page += by;
    drawList();
    byId("list").scrollTop = 0;
  }

  function show(index, { keepAddress = false } = {}) {
    state.at = index;
    state.page = Math.max(Math.floor(index / PAGE), 0);
    drawList();
    const item = state.found[index];
    byId("detail").replaceChildren(...(item ? detail(item) : [element("p", "empty", "No answer fits these filters.")]));
    if (item && !keepAddress) history.replaceState(null, "", item.key);
    byId("spoken").textContent = item ? `Answer ${index + 1} of ${state.found.length}: ${item.answer.system}, ${item.prompt.id}` : "";
    const entry = byId("list").querySelector("[aria-current]");
    if (entry) keepInView(byId("list"), entry);
  }

  function keepInView(box, entry) {
    const top = entry.offsetTop - box.offsetTop;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + entry.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top + entry.offsetHeight - box.clientHeight;
  }

  function intoView(node) {
    const { top } = node.getBoundingClientRect();
    if (top < 0 || top > innerHeight * 0.7) node.scrollIntoView({ behavior: "instant", block: "start" });
  }

  const move = (by) => {
    const next = state.at + by;
    if (next >= 0 && next < state.found.length) show(next);
  };

  // One answer -----------------------------------------------------------------------------------------------
  function detail(item) {
    const { prompt, answer } = item;
    const nodes = [header(item), systemTabs(item)];
    nodes.push(element("h4", "", "Question"), block(state.texts[prompt.prompt], "question-text"));
    if (prompt.references.length) {
      const list = element("p", "fine", "Reference: ");
      prompt.references.forEach((text, i) => list.append(i ? " · " : "", spoken("bdi", "", state.texts[text])));
      nodes.push(list);
    }
    nodes.push(...answerBlocks(answer));
    const tools = { element, spoken, block, texts: state.texts };
    if (item.ratings.length) nodes.push(element("h4", "", "Ratings"), ...item.ratings.map((r) => ratingBox(r, tools)));
    if (answer.steps.length) nodes.push(element("h4", "", "How it came about"), steps(answer.steps));
    const verdicts = prompt.verdicts.filter((v) => v.candidate === answer.system || v.baseline === answer.system);
    const mine = verdicts.filter((v) => v.candidate === answer.system);
    if (mine.length) nodes.push(element("h4", "", "Verdicts"), ...mine.map(verdictBox));
    const others = verdicts.filter((v) => v.candidate !== answer.system);
    if (others.length) nodes.push(fold(`verdicts on other systems against this one (${others.length})`, () => element("div", "", ...others.map(verdictBox))));
    return nodes;
  }

  function header(item) {
    const { prompt, answer } = item;
    const place = element("p", "place", spoken("span", "", `${prompt.suite} / ${prompt.id}`));
    const marks = element("p", "marks");
    for (const text of [prompt.category, prompt.criterion]) if (text) marks.append(spoken("span", "chip", text));
    marks.append(spoken("span", answer.status === "ok" ? "chip" : "chip bad", `status ${answer.status}`));
    if (answer.finish) marks.append(spoken("span", "chip", `ended by ${answer.finish}`));
    if (answer.correct !== null && answer.correct !== undefined) {
      marks.append(element("span", answer.correct ? "chip good" : "chip bad", answer.correct ? "right by the references" : "wrong by the references"));
    }
    if (item.effect === "repaired" || item.effect === "damaged") marks.append(element("span", `chip ${item.effect}`, item.effect));
    const link = element("a", "fine", "link to this answer");
    link.href = item.key;
    const row = element("div", "steer", element("span", "fine", `${state.at + 1} of ${state.found.length}`), button("Previous", () => move(-1)), button("Next", () => move(1)), link, button("Keys", () => byId("help").showModal()));
    return element("div", "detail-head", row, place, marks);
  }

  function button(label, act) {
    const node = element("button", "quiet", label);
    node.type = "button";
    node.addEventListener("click", act);
    return node;
  }

  function systemTabs(item) {
    const row = element("div", "tabs");
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Systems that answered this question");
    for (const answer of item.prompt.answers) {
      const node = button("", () => open(permalink(item.prompt, answer)));
      say(node, answer.system);
      node.setAttribute("aria-pressed", String(answer === item.answer));
      row.append(node);
    }
    return row;
  }

  function answerBlocks(answer) {
    const text = state.texts[answer.text];
    if (answer.upstream === undefined) return [element("h4", "", "Answer"), block(text)];
    const before = state.texts[answer.upstream];
    if (!answer.diff) return [element("h4", "", "Answer, left as the upstream gave it"), block(text)];
    const heading = element("h4", "", "Upstream and corrected ", button(state.split ? "mark changes" : "side by side", toggleSplit));
    if (!state.split) return [heading, diffBlock(before, text, answer.diff)];
    const side = (label, part) => element("div", "", element("p", "fine", label), block(part));
    return [heading, element("div", "split", side("upstream", before), side("corrected", text))];
  }

  function toggleSplit() {
    state.split = !state.split;
    show(state.at, { keepAddress: true });
  }

  const ACTIONS = { start: "started with", correct: "corrected", skip: "skipped", reject: "was rejected", candidate: "candidate", pick: "was picked", copy: "copied" };

  function steps(trace) {
    const list = element("ol", "steps");
    const bounds = Object.fromEntries(trace.filter((step) => step.inspector).map((step) => [step.inspector, step.threshold]));
    trace.forEach((step, i) => {
      const previous = i ? trace[i - 1] : null;
      const entry = element("li", `step ${step.action}`);
      entry.append(element("p", "", spoken("b", "", step.actor), ` ${ACTIONS[step.action] ?? step.action}`));
      if (Object.keys(step.scores).length) entry.append(scores(step.scores, previous ? previous.scores : {}, bounds));
      if (step.diff) entry.append(fold("what it changed", () => diffBlock(state.texts[previous.text], state.texts[step.text], step.diff)));
      else if (step.offered !== undefined) entry.append(fold("what was rejected", () => block(state.texts[step.offered])));
      else if (step.action === "candidate") entry.append(fold("its text", () => block(state.texts[step.text])));
      list.append(entry);
    });
    return list;
  }

  function fold(label, make) {
    const node = element("details", "fold", element("summary", "", label));
    node.addEventListener("toggle", () => { if (node.open && node.children.length === 1) node.append(make()); });
    return node;
  }

  function scores(now, before, bounds) {
    const list = element("dl", "scores");
    for (const [name, value] of Object.entries(now)) {
      const meter = element("span", "meter", element("span"));
      meter.setAttribute("aria-hidden", "true");
      meter.firstChild.style.width = `${100 * (value ?? 0)}%`;
      const bound = bounds[name];
      if (bound !== undefined) {
        const mark = element("i");
        mark.style.left = `${100 * bound}%`;
        meter.append(mark);
        if (value !== null && value < bound) meter.classList.add("low");
      }
      const number = element("dd", "", meter, value === null ? "–" : value.toFixed(2));
      const delta = value !== null && typeof before[name] === "number" ? value - before[name] : 0;
      if (Math.abs(delta) >= 0.005) number.append(element("small", delta > 0 ? "up" : "down", `${delta > 0 ? "+" : "−"}${Math.abs(delta).toFixed(2)}`));
      list.append(element("div", "", spoken("dt", "", bound === undefined ? name : `${name} (threshold ${bound})`), number));
    }
    return list;
  }

  const ORDERS = { candidate_first: "candidate first", baseline_first: "baseline first", none: "no order" };

  function verdictBox(verdict) {
    const box = element("div", "verdict");
    const title = element("p", "", spoken("b", "", verdict.judge), ": ", spoken("span", "", `${verdict.candidate} against ${verdict.baseline}`), " ");
    const word = result(verdict);
    title.append(element("span", `chip ${word}`, word === "failed" ? `no verdict: ${verdict.status}` : `${word}, preference ${percent(verdict.preference)}`));
    if (verdict.inconsistent) title.append(" ", element("span", "chip bad", "orders disagree"));
    box.append(title);
    for (const order of verdict.orders) {
      const text = state.texts[order.detail];
      const row = element("div", "order", element("span", "fine", ORDERS[order.order] ?? order.order), spoken("span", ["ok", "tie"].includes(order.status) ? "" : "fine-bad", order.preference === null ? order.status : percent(order.preference)));
      if (text) row.append(block(text, "detail-text"));
      box.append(row);
    }
    return box;
  }

  // Addresses and keys ---------------------------------------------------------------------------------------
  function open(key) {
    let index = state.found.findIndex((item) => item.key === key);
    if (index < 0) {
      const wanted = state.items.find((item) => item.key === key);
      if (!wanted) return false;
      byId("filters").reset();
      filter();
      index = state.found.indexOf(wanted);
    }
    show(index);
    return true;
  }

  const fromAddress = () => {
    if (location.hash.startsWith("#a=") && open(location.hash)) byId("answers").scrollIntoView();
  };

  function nextSystem() {
    const item = state.found[state.at];
    if (!item) return;
    const all = item.prompt.answers;
    open(permalink(item.prompt, all[(all.indexOf(item.answer) + 1) % all.length]));
  }

  const KEYS = {
    j: () => move(1), k: () => move(-1), s: nextSystem, d: toggleSplit, t: nextTheme,
    "/": () => field("text").focus(), "?": () => byId("help").showModal(),
  };
  const ARROWS = { ArrowRight: () => move(1), ArrowLeft: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1) };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const target = event.target;
    if (target.closest("input, select, textarea")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const upright = event.key === "ArrowUp" || event.key === "ArrowDown";
    const inside = target.closest(upright ? "#list" : "#browser") || (!upright && target === document.body);
    const act = event.key in ARROWS ? inside && !target.closest(".text") && ARROWS[event.key] : byId("keys-on").checked && KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    const held = target.closest("#list") !== null;
    act();
    if (act !== nextTheme) intoView(byId("detail"));
    if (held) byId("list").querySelector("[aria-current]")?.focus();
  }

  function start(data) {
    state.texts = data.texts;
    state.items = makeItems(data);
    fillFilters();
    byId("browser").hidden = false;
    filter();
    const squad = state.items.findIndex((item) => item.answer.diff && item.answer.steps.length > 2);
    show(Math.max(squad, squad < 0 ? state.items.findIndex((item) => item.answer.diff) : 0, 0), { keepAddress: true });
    let timer = 0;
    byId("filters").addEventListener("input", (event) => {
      clearTimeout(timer);
      timer = setTimeout(filter, event.target === field("text") ? 120 : 0);
    });
    byId("filters").addEventListener("reset", () => setTimeout(filter, 0));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("page-back").addEventListener("click", () => turn(-1));
    byId("page-on").addEventListener("click", () => turn(1));
    addEventListener("keydown", onKey);
    addEventListener("hashchange", fromAddress);
    fromAddress();
    performance.mark("answers-ready");
    document.documentElement.dataset.ready = "answers";
  }

  unpack().then(start, (error) => {
    byId("answers").append(element("p", "empty", `The answers could not be unpacked in this browser: ${error}`));
    document.documentElement.dataset.ready = "failed";
  });
})();
