"use strict";
Redoc.init("/openapi.json", { hideDownloadButtons: true }, document.getElementById("redoc"));
