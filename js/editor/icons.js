// The buttons' icons: paths on a 24 x 24 grid.

/** @typedef {keyof typeof PATHS} IconName */

const PATHS = {
  select: "M5 3l6 16 2.5-6.5L20 10z",
  arrow: "M4 19C8 8 12 14 18 7M12.5 6.5L18.5 6.5L18.5 12.5",
  pin: "M12 21v-7M7 4h10M9 4v5l-3 4h12l-3-4V4",
  move: "M4 20c4 0 5-2 5-4l9-12 2 1.5L11 17c-1 3-3 4-7 3zM15 18q2-2 4 0t3 0",
  freeze: "M12 3v18M4.2 7.5l15.6 9M4.2 16.5l15.6-9M9.5 4.5L12 7l2.5-2.5M9.5 19.5L12 17l2.5 2.5",
  erase: "M8 20h12M5 15L14 5l6 5.5L11.5 20H8z",
  undo: "M9 6L4 11l5 5M4 11h9a6 6 0 0 1 6 6v2",
  redo: "M15 6l5 5-5 5M20 11h-9a6 6 0 0 0-6 6v2",
  clear: "M5 7h14M10 4h4M7 7l1 13h8l1-13M10.5 10.5v6M13.5 10.5v6",
  live: "M3 9c3-4 5 2 9-1s6 1 9-1M3 16c3-4 5 2 9-1s6 1 9-1",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  text: "M9 5q-4 0-3 4t-3 3q4-1 3 3t3 4M15 5q4 0 3 4t3 3q-4-1-3 3t-3 4",
  enlarge: "M13 5h6v6M19 5l-6.5 6.5M11 19H5v-6M5 19l6.5-6.5",
};

/**
 * The icon of a button as an SVG element.
 * @param {IconName} name
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
