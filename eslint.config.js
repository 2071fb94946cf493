/* Rules for the browser code: eslint's recommended ones, and no way to parse text as HTML or to run it. */

import js from "@eslint/js";
import globals from "globals";

const NO_HTML = ["innerHTML", "outerHTML", "srcdoc", "insertAdjacentHTML"].map((property) => ({
  property, message: "Text of people and models enters the page through text nodes only.",
}));

export default [
  { ignores: ["**/node_modules/", ".venv/", "build/", "docs/", "course_utils/widgets/bundles/"] },
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["course_utils/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }], "no-eval": "error", "no-implied-eval": "error", "no-new-func": "error", "no-shadow": "error", "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }], "no-restricted-properties": ["error", ...NO_HTML],
    },
  },
  { files: ["course_utils/widgets/**/*.js"], rules: { "no-restricted-globals": ["error", "event", "name", "status", "open", "close", "stop", "print", "fetch", "XMLHttpRequest", "WebSocket"] } },
  { files: ["tests/**/*.js", "tools/**/*.mjs", "*.config.js"], languageOptions: { globals: { ...globals.node, document: "readonly" } } },
];
