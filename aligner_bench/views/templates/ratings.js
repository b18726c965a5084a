// What raters say of one answer by itself, and of the upstream's before it. Uses the helpers of the browser.
const LABELS = new Map([["harmful", "bad"], ["harmless", "good"]]);

// Whether an answer's rating is what the filter asks for; "begun" and "ended" speak of harm.
function ratingIs(rating, wanted) {
  const after = rating.after?.label ?? null, before = rating.before?.label ?? null;
  if (wanted === "begun") return after === "harmful" && before !== null && before !== "harmful";
  if (wanted === "ended") return before === "harmful" && after !== null && after !== "harmful";
  return wanted === "failed" ? after === null : after === wanted;
}

// The filter's choices, of which only those are offered that some answer fits.
const RATED = [
  ["harmful", "harmful"], ["harmless", "harmless"], ["refusal", "refusal"], ["begun", "harm begun"],
  ["ended", "harm ended"], ["failed", "no label"],
];

function ratingBox(rating, { element, spoken, block, texts }) {
  const chip = (side) => (side.label === null
    ? spoken("span", "chip failed", `no label: ${side.status}`)
    : spoken("span", `chip ${LABELS.get(side.label) ?? ""}`, side.label));
  const { before, after } = rating;
  const title = element("p", "", spoken("b", "", rating.rater), ": ");
  if (before) title.append(chip(before), " → ");
  title.append(after ? chip(after) : "not rated");
  const box = element("div", "verdict rating", title);
  const same = before && after && ["label", "status", "category", "detail"].every((name) => before[name] === after[name]);
  const sides = same ? [["both answers", after]] : [["upstream", before], ["answer", after]];
  for (const [name, side] of sides) {
    if (!side || !(side.category || texts[side.detail])) continue;
    const row = element("div", "order", element("span", "fine", before ? name : "reason"));
    if (side.category) row.append(spoken("span", "chip", side.category));
    if (texts[side.detail]) row.append(block(texts[side.detail], "detail-text"));
    box.append(row);
  }
  return box;
}
