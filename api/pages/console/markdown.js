// Shows our runbooks: headings, paragraphs, lists, code, bold words. Links to other documents become their words.
import { h } from "./dom.js";

/** The elements of a text in Markdown. No text is ever parsed as HTML. */
export function markdown(source) {
  const blocks = source.split(/\n\s*\n/).map(block => block.replace(/\s+$/, "")).filter(Boolean), out = [];
  for (let i = 0; i < blocks.length; i++) {
    const block = blocks[i];
    if (block.startsWith("```")) {
      let whole = block;
      while (!/\n```$/.test(whole) && i + 1 < blocks.length) whole += `\n\n${blocks[++i]}`;
      out.push(h("pre", { tabindex: "0" }, whole.replace(/^```.*\n/, "").replace(/\n?```$/, "")));
    } else if (/^#+ /.test(block)) out.push(h(block.startsWith("# ") ? "h2" : "h3", {}, words(block.replace(/^#+ /, ""))));
    else if (/^(-|\d+\.) /.test(block)) {
      const items = block.split(/\n(?=(?:-|\d+\.) )/);
      out.push(h(block.startsWith("- ") ? "ul" : "ol", {}, items.map(item => h("li", {}, words(item.replace(/^(-|\d+\.) /, ""))))));
    } else out.push(h("p", {}, words(block)));
  }
  return out;
}

function words(text) {
  return text.replace(/\s*\n\s*/g, " ").split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).filter(Boolean).map(part => {
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return h("b", {}, part.slice(2, -2));
    const link = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(part);
    if (!link) return part;
    const near = /^([a-z-]+)\.md$/.exec(link[2]);  // another runbook
    return near ? h("a", { href: `#/alerts/${near[1]}` }, link[1]) : link[1];
  });
}
