package oauth

import (
	"html/template"
	"net/http"
)

// page is what the browser shows after a sign-in. It holds no code and no token.
type page struct {
	Title, Text string
	Good        bool
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="referrer" content="no-referrer"><title>{{.Title}} - Patchbay</title>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}
main{max-width:32rem;padding:2rem;text-align:center}
.mark{font-size:3rem;line-height:1}.good{color:#1a7f37}.bad{color:#b42318}
h1{font-size:1.4rem;margin:.75rem 0}
</style></head>
<body><main><div class="mark {{if .Good}}good{{else}}bad{{end}}" aria-hidden="true">{{if .Good}}&#10003;{{else}}&#33;{{end}}</div>
<h1>{{.Title}}</h1><p>{{.Text}}</p>{{if .Good}}<p>You can close this page.</p>{{end}}</main></body></html>
`))

func writePage(w http.ResponseWriter, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p) // the browser may be gone
}
