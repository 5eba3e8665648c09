// Shows the OpenAPI description that lies beside the page. Nothing is asked of any other host.
"use strict";

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  requestSnippetsEnabled: true,
  tryItOutEnabled: true,
  validatorUrl: "none",
});
ui.initOAuth({ scopes: document.documentElement.dataset.scope });
