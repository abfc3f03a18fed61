// Colours for code. The highlighter and each language are loaded when first needed, from this server.

const LANGUAGES = {
  bash: ["sh", "shell", "zsh", "console", "shell-session"],
  cpp: ["c", "c++", "h", "hpp", "cc"],
  css: ["scss"],
  diff: ["patch"],
  go: ["golang"],
  ini: ["toml", "conf"],
  java: ["kotlin"],
  javascript: ["js", "jsx", "mjs"],
  json: ["jsonc", "json5"],
  markdown: ["md"],
  python: ["py", "python3", "pycon"],
  rust: ["rs"],
  sql: ["postgresql", "sqlite"],
  typescript: ["ts", "tsx"],
  xml: ["html", "svg", "xhtml", "vue"],
  yaml: ["yml"],
};
const BY_NAME = new Map(
  Object.entries(LANGUAGES).flatMap(([name, others]) => [name, ...others].map((other) => [other, name])),
);
const LONGEST = 60_000;

const loaded = new Map();

function load(name) {
  if (!loaded.has(name)) {
    const parts = Promise.all([
      import("./vendor/highlight/core.js"),
      import(`./vendor/highlight/languages/${name}.js`),
    ]);
    loaded.set(
      name,
      parts.then(([{ default: highlighter }, { default: grammar }]) => {
        highlighter.registerLanguage(name, grammar);
        return highlighter;
      }),
    );
  }
  return loaded.get(name);
}

/** Colour `element`, which shows `text`, if the language is known; `clean` sanitises the markup. */
export async function highlight(element, text, language, clean) {
  const name = BY_NAME.get(language);
  if (!name || text.length > LONGEST) return;
  try {
    const highlighter = await load(name);
    if (element.textContent !== text) return; // it went on meanwhile
    element.innerHTML = clean(highlighter.highlight(text, { language: name, ignoreIllegals: true }).value);
  } catch {
    // Plain text is fine.
  }
}
