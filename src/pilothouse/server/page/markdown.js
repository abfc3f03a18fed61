// Markdown to elements, safely, and piece by piece while it is being written.
//
// The text is cut into its top-level blocks. When it grows, blocks that did not change keep their elements: nothing
// flickers, and a selection in what was said before survives. Everything that a model or a tool wrote passes DOMPurify
// with the short list below; nothing is loaded from another host: a picture from elsewhere becomes a link.

import createPurifier from "./vendor/dompurify.js";
import { Marked } from "./vendor/marked.js";
import { highlight } from "./highlight.js";
import { copyText } from "./clipboard.js";
import { iconElement } from "./views/icons.js";

// HTML in Markdown is shown as it was written, but for plain tags (no attributes) that models use within text.
const NOT_A_PLAIN_TAG = /<(?!\/?(?:br|sub|sup|kbd|mark|u|small|details|summary)\s*\/?>)/gi;

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: { html: ({ text }) => text.replace(NOT_A_PLAIN_TAG, "&lt;") },
});
const purifier = createPurifier(window);

const ALLOWED = {
  ALLOWED_TAGS: (
    "p br hr h1 h2 h3 h4 h5 h6 strong b em i u s del mark sub sup kbd small code pre blockquote ul ol li " +
    "table thead tbody tr th td a img details summary input"
  ).split(" "),
  ALLOWED_ATTR: [
    "href",
    "src",
    "alt",
    "title",
    "align",
    "start",
    "type",
    "checked",
    "disabled",
    "colspan",
    "rowspan",
    "open",
  ],
  ADD_URI_SAFE_ATTR: ["align", "start", "type", "checked", "disabled", "colspan", "rowspan", "open"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
  if (node.tagName === "INPUT") {
    if (node.getAttribute("type") !== "checkbox") node.remove();
    else node.setAttribute("disabled", "");
  }
  if (node.tagName === "IMG" && !node.getAttribute("src")?.startsWith("data:image/"))
    node.replaceWith(pictureLink(node));
});

function pictureLink(image) {
  const link = document.createElement("a");
  link.textContent = image.getAttribute("alt") || image.getAttribute("src") || "picture";
  if (/^https?:/i.test(image.getAttribute("src") ?? "")) {
    Object.assign(link, { href: image.getAttribute("src"), target: "_blank", rel: "noopener noreferrer" });
  }
  return link;
}

/** Show `text` in `root`, changing as little as possible. `writing` says that more is to come. */
export function renderMarkdown(root, text, writing) {
  const source = writing ? closeOpenEnds(text) : text;
  const tokens = marked.lexer(source);
  const links = tokens.links;
  const blocks = tokens.filter((token) => token.type !== "space" && token.type !== "def");
  blocks.forEach((token, place) => {
    const last = writing && place === blocks.length - 1;
    const shown = root.children[place];
    const key = `${token.type}\n${last ? "…" : ""}${token.raw}`;
    if (shown?.markdown === key) return;
    const element = token.type === "code" ? codeBlock(shown, token, last) : proseBlock(shown, token, links);
    element.markdown = key;
    if (!shown) root.append(element);
    else if (shown !== element) shown.replaceWith(element);
  });
  while (root.children.length > blocks.length) root.lastElementChild.remove();
}

function proseBlock(shown, token, links) {
  const element = shown?.classList.contains("prose")
    ? shown
    : Object.assign(document.createElement("div"), { className: "prose" });
  const list = Object.assign([token], { links });
  element.innerHTML = purifier.sanitize(marked.parser(list), ALLOWED);
  for (const table of element.querySelectorAll("table")) {
    const frame = Object.assign(document.createElement("div"), { className: "table-frame", tabIndex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
  return element;
}

function codeBlock(shown, token, writing) {
  const element = shown?.classList.contains("code") ? shown : emptyCodeBlock();
  const language = (token.lang ?? "").trim().split(/\s/, 1)[0].toLowerCase();
  element.querySelector(".code-language").textContent = language || "text";
  const code = element.querySelector("code");
  code.textContent = token.text;
  if (!writing)
    highlight(code, token.text, language, (markup) =>
      purifier.sanitize(markup, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"] }),
    );
  return element;
}

function emptyCodeBlock() {
  const element = Object.assign(document.createElement("figure"), { className: "code" });
  const bar = Object.assign(document.createElement("figcaption"), { className: "code-bar" });
  const copy = Object.assign(document.createElement("button"), {
    className: "quiet-button code-copy",
    type: "button",
  });
  const label = Object.assign(document.createElement("span"), { textContent: "Copy" });
  copy.append(iconElement("copy"), label);
  copy.addEventListener("click", async () => {
    label.textContent = (await copyText(element.querySelector("code").textContent)) ? "Copied" : "Not copied";
    setTimeout(() => (label.textContent = "Copy"), 1_600);
  });
  bar.append(Object.assign(document.createElement("span"), { className: "code-language" }), copy);
  const pre = Object.assign(document.createElement("pre"), { tabIndex: 0 });
  pre.append(document.createElement("code"));
  element.append(bar, pre);
  return element;
}

/**
 * The text so far, with what is still open at its end closed or held back, so that half-written markup does not show for
 * a moment: a fence's first ticks, a line that could become a heading's rule, a link whose address is not complete,
 * a bold that has begun.
 */
export function closeOpenEnds(text) {
  if ((text.match(/^ {0,3}(```|~~~)/gm)?.length ?? 0) % 2 === 1) return text.replace(/\n *`{1,2}$/, "");
  const cut = text.lastIndexOf("\n\n") + 1;
  let tail = text
    .slice(cut)
    .replace(/\n[ \t]*(?:[-=+*#>|]{1,6}|\d{1,3}[.)]?|`{1,3})[ \t]*$/, "")
    .replace(/!?\[[^\]\n]*(?:\](?:\([^)\n]*)?)?$/, (open) =>
      /^\[[ x]?\]?$/.test(open) ? open : open.replace(/^!?\[/, "").replace(/\].*$/, ""),
    );
  if (ticks(tail) % 2 === 1) return text.slice(0, cut) + (tail.endsWith("`") ? tail.slice(0, -1) : `${tail}\``);
  const bare = tail.replace(/`[^`]*`/g, "");
  if ((bare.match(/\*\*/g)?.length ?? 0) % 2 === 1) {
    tail = /\*\*\s*$/.test(tail) ? tail.replace(/\*\*\s*$/, "") : `${tail.replace(/\*$/, "").trimEnd()}**`;
  }
  return text.slice(0, cut) + tail;
}

const ticks = (text) => text.match(/(?<!`)`(?!`)/g)?.length ?? 0;
