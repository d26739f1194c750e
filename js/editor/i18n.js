// The editor's sentences: locales/<language>/main.json, "text2cinemagraph.editor".

/** @typedef {keyof import("../../locales/en/main.json")["text2cinemagraph"]["editor"]} MessageKey */
/** @typedef {Record<string, string | number>} Values */

/** @type {Partial<Record<MessageKey, string>>} */
const messages = {};

/**
 * Load the sentences as ComfyUI serves them; English where a language lacks one.
 * @param {Comfy.Api} api
 * @param {string} [language]
 */
export async function loadTranslations(api, language = "en") {
  const response = await api.fetchApi("/i18n");
  if (!response.ok) throw new Error(`the translations: HTTP ${response.status}`);
  const locales = await response.json();
  for (const name of ["en", language]) Object.assign(messages, locales[name]?.text2cinemagraph?.editor);
}

/**
 * The sentence named `key` with its %placeholders% filled.
 * @param {MessageKey} key
 * @param {Values} [values]
 */
export function t(key, values = {}) {
  return (messages[key] ?? key).replace(/%(\w+)%/g, (_, name) => String(values[name] ?? ""));
}
