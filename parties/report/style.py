"""The report's style sheet: system fonts, dark and light, narrow screens, paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f8; --ink: #1b2127; --muted: #57616b; --line: #d7dce1;
  --accent: #1d5c93; --other: #8b95a0; --warn: #a63d1f;
  --stage-1: #8a97a6; --stage-2: #1d5c93; --stage-3: #c79a2b; --stage-4: #2c8c7c;
  --stage-5: #b5552f; --stage-6: #7d5596; --stage-7: #4d7a2e;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14181c; --panel: #1d2329; --ink: #e7eaed; --muted: #a3adb7; --line: #39424b;
    --accent: #78b4e6; --other: #7f8a95; --warn: #f08b68;
    --stage-1: #94a1af; --stage-2: #78b4e6; --stage-3: #e0bb5a; --stage-4: #5fc2b0;
    --stage-5: #e88a62; --stage-6: #b892d0; --stage-7: #a3cf7a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans",
    Arial, sans-serif;
  overflow-wrap: break-word;
}
main { max-width: 58rem; margin: 0 auto; padding: 3.5rem 1.25rem 5rem; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.2; margin: 0 0 1.25rem;
  font-weight: 650; letter-spacing: -0.015em; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 0.9rem; font-weight: 650;
  letter-spacing: -0.01em; }
h3 { font-size: 1.02rem; margin: 2.2rem 0 0.6rem; font-weight: 650; }
p, ul, dl { margin: 0 0 1rem; max-width: 44rem; }
section { margin-top: 3.25rem; padding-top: 2.25rem; border-top: 1px solid var(--line); }
.eyebrow { color: var(--muted); font-size: 0.9rem; margin-bottom: 0.6rem; }
.result { font-size: clamp(1.1rem, 3.2vw, 1.3rem); line-height: 1.5; max-width: 46rem; }
.note { color: var(--muted); font-size: 0.92rem; }
.warning { border-left: 4px solid var(--warn); background: var(--panel); padding: 0.9rem 1.1rem;
  margin: 1.5rem 0; max-width: none; }
.warning strong { color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr));
  gap: 1px; margin: 2rem 0 0; padding: 0; max-width: none; background: var(--line);
  border: 1px solid var(--line); }
.tiles div { background: var(--page); padding: 1rem 1.1rem; min-width: 0;
  overflow-wrap: anywhere; display: flex; flex-direction: column-reverse;
  justify-content: flex-end; }
.tiles dt { color: var(--muted); font-size: 0.88rem; line-height: 1.45; }
.tiles dd { margin: 0 0 0.3rem; font-size: 1.65rem; line-height: 1.2; font-weight: 620;
  font-variant-numeric: tabular-nums; letter-spacing: -0.01em; }
.scroll { overflow-x: auto; margin: 1.25rem 0 1.5rem; max-width: 100%;
  background-color: var(--page);
  background-image: linear-gradient(to right, var(--page) 40%, transparent),
    linear-gradient(to left, var(--page) 40%, transparent),
    linear-gradient(to right, var(--line), transparent),
    linear-gradient(to left, var(--line), transparent);
  background-position: left, right, left, right; background-repeat: no-repeat;
  background-size: 2.2rem 100%, 2.2rem 100%, 0.9rem 100%, 0.9rem 100%;
  background-attachment: local, local, scroll, scroll; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; line-height: 1.45; }
caption { text-align: left; color: var(--muted); font-size: 0.88rem; padding-bottom: 0.5rem; }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 1.1rem 0.5rem 0;
  border-bottom: 1px solid var(--line); font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-size: 0.86rem; vertical-align: bottom;
  border-bottom: 1px solid var(--muted); }
tbody th { font-weight: 600; }
thead .figure { white-space: normal; }
.figure { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.total th, .total td { border-top: 1px solid var(--muted); font-weight: 600; }
td bdi, td li { overflow-wrap: anywhere; }
td ul { margin: 0; padding: 0; list-style: none; }
td li + li { margin-top: 0.25rem; }
.small { display: block; color: var(--muted); font-size: 0.86rem; font-weight: 400;
  font-variant-numeric: tabular-nums; }
.bought { color: var(--accent); font-weight: 600; white-space: nowrap; }
figure { margin: 1.25rem 0 1.5rem; }
figcaption { color: var(--muted); font-size: 0.88rem; margin-top: 0.7rem; max-width: 44rem; }
.chart { font-size: 0.92rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
.row { display: grid; grid-template-columns: 8rem 1fr 9.5rem; column-gap: 1.1rem;
  align-items: center; padding: 0.28rem 0; }
.row > * { min-width: 0; overflow-wrap: anywhere; }
.row .value { text-align: right; color: var(--muted); }
.dots svg { display: block; width: calc(100% - 20px); margin: 0 10px; height: 26px;
  overflow: visible; }
.curves > svg { display: block; width: calc(100% - 20px); height: 245px; margin: 0 10px;
  overflow: visible; }
.curves .legend { margin-bottom: 1.6rem; }
.dots .axis svg { height: 22px; }
.bars svg { display: block; width: 100%; height: 16px; }
.bars svg + svg { margin-top: 3px; }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.3rem; margin: 0 0 0.7rem;
  color: var(--muted); }
.legend span { display: inline-flex; align-items: center; gap: 0.45rem; }
.legend svg, .dots .legend svg { width: 22px; height: 22px; margin: 0; flex: none; }
.bars .legend svg { width: 13px; height: 13px; margin: 0; }
.track { stroke: var(--line); }
.gain { stroke: var(--accent); stroke-width: 3; opacity: 0.45; }
.tick { stroke: var(--line); }
.chart text { fill: var(--muted); font-size: 12px; }
.chart .over { paint-order: stroke; stroke: var(--page); stroke-width: 4; }
.popularity { fill: var(--page); stroke: var(--other); stroke-width: 2.5; }
.clear { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.encrypted { fill: var(--accent); }
.sent { fill: var(--accent); }
.received { fill: var(--other); }
.curve { stroke-width: 2; }
.curve.stage-1 { stroke: var(--stage-1); } .curve.stage-2 { stroke: var(--stage-2); }
.curve.stage-3 { stroke: var(--stage-3); } .curve.stage-4 { stroke: var(--stage-4); }
.curve.stage-5 { stroke: var(--stage-5); } .curve.stage-6 { stroke: var(--stage-6); }
.stage-1 { fill: var(--stage-1); } .stage-2 { fill: var(--stage-2); }
.stage-3 { fill: var(--stage-3); } .stage-4 { fill: var(--stage-4); }
.stage-5 { fill: var(--stage-5); } .stage-6 { fill: var(--stage-6); }
.stage-7 { fill: var(--stage-7); }
.mark { stroke: var(--ink); stroke-width: 2; }
.within { fill: var(--accent); }
.beyond { fill: var(--warn); }
.unjudged { fill: var(--other); }
.topology svg { display: block; width: 100%; max-width: 31rem; height: auto; }
.topology .box { fill: var(--panel); stroke: var(--muted); }
.topology .danger { fill: none; stroke: var(--warn); stroke-width: 1.5; stroke-dasharray: 5 4; }
.topology .arrow { fill: none; stroke: var(--ink); stroke-width: 1.4; }
.topology .head { fill: var(--ink); }
.topology text { fill: var(--ink); font-size: 12px; }
.topology .title { font-weight: 650; font-size: 13px; }
.topology .quiet { fill: var(--muted); font-size: 11.5px; }
.topology .danger-text { fill: var(--warn); font-size: 11.5px; }
@media screen and (max-width: 40rem) {
  main { padding: 2rem 1rem 3.5rem; }
  section { margin-top: 2.25rem; padding-top: 1.75rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tiles div { padding: 0.8rem 0.8rem; }
  .tiles dd { font-size: 1.35rem; }
  th, td { padding-right: 0.8rem; }
  tbody th { min-width: 7rem; }
  .row { grid-template-columns: 1fr auto; padding: 0.4rem 0; }
  .row .plot { grid-column: 1 / -1; grid-row: 2; }
  .row.axis { padding-top: 0; }
  .row.axis > :first-child, .row.axis .value { display: none; }
  .stacked, .stacked tbody, .stacked tr, .stacked th, .stacked td { display: block; }
  .stacked caption { display: block; }
  .stacked thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  .stacked tr { border-bottom: 1px solid var(--line); padding: 0.7rem 0; }
  .stacked th, .stacked td { border: 0; padding: 0.2rem 0; }
  .stacked td::before { content: attr(data-label); display: block; color: var(--muted);
    font-size: 0.82rem; }
  .stacked .figure { text-align: left; white-space: normal; }
}
@media print {
  @page { margin: 18mm 16mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  section { margin-top: 1.6rem; padding-top: 1.2rem; }
  h2, h3, caption, thead { break-after: avoid; }
  figure, table, tr, .tiles, .warning { break-inside: avoid; }
  .scroll { overflow: visible; background: none; }
  a { color: inherit; }
}
"""
