import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: [".run/**"] },
  {
    files: ["js/**/*.js", "eslint.config.js"],
    ...js.configs.recommended,
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      ...js.configs.recommended.rules,
      curly: ["error", "multi-line"],
      eqeqeq: ["error", "always", { null: "ignore" }],
      "max-lines": ["error", 400],
      "no-console": ["error", { allow: ["warn"] }],
      "no-shadow": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["js/**/*.js"], languageOptions: { globals: globals.browser } },
];
