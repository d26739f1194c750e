// The editor's sentences: English here, other languages from locales/<language>/main.json, "text2cinemagraph.editor".

export const ENGLISH = {
  select: "Select and move (V)",
  arrow: "Arrow: drag along the motion, or click point by point (A)",
  pin: "Pin: a point that stays still (P)",
  move: "Brush: this moves (M)",
  freeze: "Brush: this stays still (F)",
  erase: "Eraser: rubs out paint, arrows and pins (E)",
  undo: "Undo (Ctrl+Z)",
  redo: "Redo (Ctrl+Shift+Z)",
  clear: "Delete everything",
  fit: "Show the whole picture (0)",
  live: "Live preview: off, streaks, moving picture (L)",
  text: "Show the hints as text",
  enlarge: "Edit in the whole window",
  shrink: "Back into the node (Esc)",
  keys: "Keyboard of the motion editor",
  speed: "speed",
  speedHelp: "Pixels per frame of a 512 pixel picture, for the selected arrows and new ones ( , and . )",
  size: "size",
  sizeHelp: "Radius of the brush in percent of the longer side ( [ and ] )",
  feather: "feather",
  featherHelp: "How much of the radius fades out, in percent (Shift with [ and ])",
  tipSelect: "Click to select, Shift for more, drag to move, double-click a line for a new point, Delete removes.",
  tipArrow: "Drag along the motion; start at an arrow's end to go on with it. Or click points, Enter ends.",
  tipPin: "Click on what stays still.",
  tipMove: "Paint over what moves.",
  tipFreeze: "Paint over what must not move.",
  tipErase: "Rub over paint, arrows or pins.",
  tipKeys: "Wheel zooms, Space and drag moves the picture.",
  noPicture: "Connect a picture, or draw already: places are kept as fractions of the picture.",
  noPictureYet: "The picture appears here once the workflow has run.",
  pictureTooLarge: "The picture has %width% x %height% pixels, too many to show here; run once to see it smaller.",
  pictureFailed: "The picture could not be loaded; drawing still works.",
  linked: "The hints come from another node; disconnect them to draw here.",
  liveOff: "Live preview is off.",
  liveStreaks: "Streaks: where things go.",
  livePicture: "The picture as it will move, roughly.",
  liveSolved: "Motion from the solver, at low resolution.",
  liveFailed: "The solver says: %reason%",
  broken: "These hints cannot be read: %reason%",
  tooLong: "the text is %size% MB long.",
  notJson: "it is no valid JSON (%reason%).",
  notObject: "it must be an object with arrows, pins and strokes.",
  version: "it has version %version%, made by a newer pack.",
  unknown: "it has unknown entries: %names%.",
  notList: "'%name%' must be a list.",
  tooMany: "it has %count% %name%; at most %most% are allowed.",
  tooManyPoints: "it has %count% points; at most %most% are allowed.",
  notNumber: "%where% holds something that is no number.",
  outOfRange: "%where% has %value%, which must lie between %low% and %high%.",
  notPoint: "%where% holds something that is no pair [x, y].",
  tooFewPoints: "%where% needs at least %fewest% points.",
  notItem: "%where% is no object.",
  noLength: "%where% has no length.",
  badMode: "%where% has an unknown mode.",
  full: "There is no room for more: delete some of what was drawn.",
};

let own = {};

/** Take over the sentences of the page's language, as ComfyUI serves them. */
export async function loadWords(api, language) {
  if (!language || language === "en") return;
  const response = await api.fetchApi("/i18n");
  if (!response.ok) return;
  own = (await response.json())[language]?.text2cinemagraph?.editor ?? {};
}

/** The sentence named `key` with its blanks filled. */
export function say(key, values = {}) {
  return (own[key] ?? ENGLISH[key]).replace(/%(\w+)%/g, (_, name) => values[name] ?? "");
}
