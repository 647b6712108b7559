/** isNarrow reports whether panes cannot stand side by side, as on a phone. style.css has the same limit. */
export const isNarrow = () => matchMedia("(max-width: 900px)").matches;
