package window

import (
	"context"
	"crypto/rand"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// pages are what the window shows of itself, before Patchbay's own page is there and after it is gone.
type pages struct {
	say     func(key string, values ...string) string
	restart func() error
	quit    func()

	mu     sync.Mutex // guards what follows
	target string
}

// firstTemplate leads on to Patchbay's page as soon as that can be had.
var firstTemplate = template.Must(template.New("first").Parse(head + `
{{if .Up}}<script>location.replace({{.Target}})</script>{{else}}<p role="status">{{.Waiting}}</p><script>setTimeout(() => location.reload(), 500)</script>{{end}}`))

var stoppedTemplate = template.Must(template.New("stopped").Parse(head + `
<main><h1>{{.Title}}</h1><p>{{.Body}}</p><p><button id="again" autofocus>{{.Again}}</button> <button id="close">{{.Close}}</button></p><p id="problem" role="alert"></p></main>
<script>
for (const what of ["again", "close"]) {
	document.getElementById(what).onclick = async () => {
		const answer = await fetch(what, {method: "POST"});
		document.getElementById("problem").textContent = answer.ok ? "" : await answer.text();
	};
}
</script>`))

var takenTemplate = template.Must(template.New("taken").Parse(head + `
<main><h1>{{.Title}}</h1><p>{{.Body}}</p><p>{{if .Use}}<button id="use" autofocus>{{.Use}}</button> {{end}}<button id="again">{{.Again}}</button></p>
{{if .Use}}<p>{{.After}}</p>{{end}}<p id="problem" role="alert"></p></main>
<script>
const buttons = document.querySelectorAll("button");
for (const b of buttons) b.onclick = async () => {
	for (const each of buttons) each.disabled = true;
	const answer = await fetch(b.id, {method: "POST"}).catch(() => undefined);
	document.getElementById("problem").textContent = answer && !answer.ok ? await answer.text() : "";
	for (const each of buttons) each.disabled = false;
};
setInterval(async () => {
	const answer = await fetch("link").catch(() => undefined);
	const address = answer && answer.ok ? await answer.text() : "";
	if (address) location.replace(address);
}, 1000);
</script>`))

// Taken is the page that says that another program has Patchbay's port: shown in the window, and in the browser where there is
// none. Its buttons post to "use" and "again" beside it; "link" answers with where to go on, once there is such a place.
type Taken struct {
	Title, Body string
	Use, After  string // take another port, and what that means; "" = none was found
	Again       string
}

// Write writes the page.
func (t Taken) Write(w io.Writer) error { return takenTemplate.Execute(w, t) }

const head = `<!doctype html><meta charset="utf-8"><title>Patchbay</title><style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-content: center; background: Canvas; color: CanvasText }
main { max-width: 32em; padding: 2em }
h1 { font-size: 20px; font-weight: 600 }
button { font: inherit; padding: .4em 1em; margin-right: .5em }
</style>`

// stoppedPath is the page after the parent was lost.
const stoppedPath = "/stopped"

// listen serves the pages to the window by an address of their own, which nobody else can know: from a page of Patchbay the
// web view does not go back to the toolkit's own scheme (seen with WebKitGTK 2.50).
func (p *pages) listen() (stopped string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the process
	if err != nil {
		return "", err
	}
	prefix := "/" + rand.Text()
	s := &http.Server{Handler: http.StripPrefix(prefix, p), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.Serve(l) }() // ends with the process, which is about to
	return "http://" + l.Addr().String() + prefix + stoppedPath, nil
}

//lint:ignore U1000 the window, which only the tag desktop builds, calls it
func (p *pages) setTarget(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = address
}

// ServeHTTP serves the window itself.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	switch r.URL.Path {
	case "/again":
		if err := p.restart(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		p.quit()
	case "/close":
		p.quit()
	case stoppedPath:
		p.write(w, stoppedTemplate, map[string]any{
			"Title": p.say("window.stopped.title"), "Body": p.say("window.stopped.body"),
			"Again": p.say("window.stopped.again"), "Close": p.say("window.stopped.close"),
		})
	default:
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		p.write(w, firstTemplate, map[string]any{"Target": target, "Up": answers(r.Context(), target), "Waiting": p.say("window.waiting")})
	}
}

func (p *pages) write(w http.ResponseWriter, t *template.Template, data any) {
	if err := t.Execute(w, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// answers reports whether somebody listens at an address.
func answers(ctx context.Context, address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
