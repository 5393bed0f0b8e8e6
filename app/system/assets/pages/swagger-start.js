"use strict";
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  validatorUrl: null,
  // an empty client is no client: without this every sign-in would carry "Basic Og=="
  requestInterceptor: (request) => {
    if (request.headers && request.headers.Authorization === "Basic Og==") {
      delete request.headers.Authorization;
    }
    return request;
  },
});
