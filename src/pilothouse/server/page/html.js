// The view library in one import: Preact's elements, written as tagged templates.

import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

export { render } from "./vendor/preact.js";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.js";

export const html = htm.bind(h);

/** A component that renders again only when `same(before, next)` says that its properties differ. */
export function memo(view, same) {
  return function Memo(props) {
    this.shouldComponentUpdate = (next) => !same(this.props, next);
    return h(view, props);
  };
}
