package api

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"patchbay/backend/apierror"
)

// ProgramService is the part of Service that concerns the program itself.
type ProgramService interface {
	// Logs returns the newest lines of the log.
	Logs(ctx context.Context, q LogQuery) (LogView, error)
	// LogText returns what the log's files hold, oldest first.
	LogText(ctx context.Context) ([]byte, error)
	// Addresses says where apps find Patchbay.
	Addresses(ctx context.Context) (AddressesView, error)
	// About says what this program is made of.
	About(ctx context.Context) (AboutView, error)
	// LicenceText returns the licence of one of About's libraries as it stands in its source.
	LicenceText(ctx context.Context, module string) (LicenceText, error)
	// Support returns the files of a report for those who help. It holds no secret, no name of a person and no text of a
	// request.
	Support(ctx context.Context) ([]SupportFile, error)
}

// LogQuery selects lines of the log.
type LogQuery struct {
	Level   string // the lowest; "" = all
	Package string // it, and those in its folder; "" = all
	Search  string // in the message and the values
	Since   uint64 // number of a line: later ones only
	Limit   int    // the newest; 0 = 500, at most 2000
}

// LogView is a part of the log.
type LogView struct {
	Items   []LogLine         `json:"items"`
	Seq     uint64            `json:"seq"`                // number of the newest line there is
	Dropped int64             `json:"dropped,omitempty"`  // lines that could not be written to the file
	Level   string            `json:"level"`              // what is logged, changed by the setting log.level
	Levels  map[string]string `json:"levels,omitempty"`   // of single packages, changed by log.packages
	Names   []string          `json:"packages,omitempty"` // that have lines here
	Dir     string            `json:"dir"`                // of the files
}

// LogLine is one line of the log.
type LogLine struct {
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	Level   string    `json:"level" oneof:"debug,info,warn,error"`
	Package string    `json:"package,omitempty"`
	Message string    `json:"message"`
	Attrs   []LogAttr `json:"attrs,omitempty"`
}

// LogAttr is a fact of a line.
type LogAttr struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// AddressesView says where apps find Patchbay.
type AddressesView struct {
	Base  string        `json:"base"` // "" when nothing listens
	Items []AddressView `json:"items"`
	LAN   bool          `json:"lan"` // other machines may call
	// Network are the bases under which other machines find Patchbay, or would if the switch were on.
	Network []string `json:"network"`
	// Second is the listener for apps that look for Ollama at its own address.
	Second SecondView `json:"second"`
}

// AddressView is what to type into an app of one sort.
type AddressView struct {
	Protocol string `json:"protocol"`
	Name     string `json:"name"` // of the apps, in words
	URL      string `json:"url"`
}

// SecondView is the state of the second listener.
type SecondView struct {
	Enabled bool   `json:"enabled"`
	Listen  string `json:"listen"`
	URL     string `json:"url,omitempty"`     // where it listens
	Problem string `json:"problem,omitempty"` // why it does not
	NoKey   bool   `json:"no_key,omitempty"`
}

// AboutView is what this program is made of.
type AboutView struct {
	Version  string       `json:"version"`
	Go       string       `json:"go"`
	System   string       `json:"system"` // linux/amd64
	Revision string       `json:"revision,omitempty"`
	Built    time.Time    `json:"built,omitzero"` // time of the revision
	Licence  string       `json:"licence"`
	Modules  []ModuleView `json:"modules"`
}

// ModuleView is one library in the program.
type ModuleView struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Licence string `json:"licence,omitempty"` // SPDX
}

// LicenceText is the licence of a library, with what must go along with it.
type LicenceText struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// SupportFile is one file of a report.
type SupportFile struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Size  int    `json:"size"`
	Data  []byte `json:"data,omitempty"`
}

var programEndpoints = []endpoint{
	{
		pattern: "GET /api/logs", call: getLogs, gives: of[LogView](), about: "The newest lines of the log, oldest first; the feed's topic log says that there are more",
		query: []param{
			{"level", "string", "the lowest: debug, info, warn or error"}, {"package", "string", "it, and those in its folder"},
			{"search", "string", "in the message and the values"}, {"since", "integer", "number of a line: later ones only"},
			{"limit", "integer", "1 to 2000, 500 if not given"},
		},
	},
	{pattern: "GET /api/logs/text", raw: downloadLogs, media: "text/plain", about: "What the log's files hold, to be saved"},
	{pattern: "GET /api/addresses", call: getAddresses, gives: of[AddressesView](), about: "Where apps find Patchbay"},
	{pattern: "GET /api/about", call: getAbout, gives: of[AboutView](), about: "Version, libraries and their licences"},
	{
		pattern: "GET /api/about/licence", call: getLicenceText, gives: of[LicenceText](),
		query: []param{{"path", "string", "of the library"}}, about: "The licence of one of these libraries, whole",
	},
	{
		pattern: "GET /api/support/files", call: listSupport, gives: of[items[SupportFile]](),
		query: []param{{"data", "boolean", "with what is in them"}}, about: "What a report for those who help would hold",
	},
	{pattern: "GET /api/support", raw: downloadSupport, media: "application/zip", about: "That report, to be saved"},
}

// MaxLogs is the most lines one call returns.
const MaxLogs = 2000

func getLogs(svc Service, r *http.Request) (any, error) {
	q := LogQuery{Level: r.FormValue("level"), Package: r.FormValue("package"), Search: r.FormValue("search")}
	if q.Level != "" && !slices.Contains([]string{"debug", "info", "warn", "error"}, q.Level) {
		return nil, apierror.Invalid("level", "the level is debug, info, warn or error")
	}
	var err error
	if v := r.FormValue("since"); v != "" {
		if q.Since, err = strconv.ParseUint(v, 10, 64); err != nil {
			return nil, apierror.Invalid("since", "since is the number of a line")
		}
	}
	if v := r.FormValue("limit"); v != "" {
		if q.Limit, err = strconv.Atoi(v); err != nil || q.Limit < 1 || q.Limit > MaxLogs {
			return nil, apierror.Invalid("limit", "limit is a number from 1 to %d", MaxLogs)
		}
	}
	return svc.Logs(r.Context(), q)
}

func getAddresses(svc Service, r *http.Request) (any, error) { return svc.Addresses(r.Context()) }

func getAbout(svc Service, r *http.Request) (any, error) { return svc.About(r.Context()) }

func getLicenceText(svc Service, r *http.Request) (any, error) {
	return svc.LicenceText(r.Context(), r.FormValue("path"))
}

func listSupport(svc Service, r *http.Request) (any, error) {
	files, err := svc.Support(r.Context())
	with := r.FormValue("data") == "true"
	for i := range files {
		files[i].Size = len(files[i].Data)
		if !with {
			files[i].Data = nil
		}
	}
	return list(files, err)
}

func downloadLogs(h *handler, w http.ResponseWriter, r *http.Request) {
	text, err := h.svc.LogText(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	download(w, "text/plain; charset=utf-8", "patchbay.log", text)
}

func downloadSupport(h *handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeLimit)
	defer cancel()
	files, err := h.svc.Support(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	var b bytes.Buffer
	if err := ZipSupport(&b, files); err != nil {
		fail(w, err)
		return
	}
	download(w, "application/zip", "patchbay-report-"+time.Now().Format("2006-01-02")+".zip", b.Bytes())
}

// ZipSupport writes the files of a report as one.
func ZipSupport(to io.Writer, files []SupportFile) error {
	z := zip.NewWriter(to)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: time.Now()})
		if err == nil {
			_, err = w.Write(f.Data)
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}

func download(w http.ResponseWriter, kind, name string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write(data) // the caller may be gone
}

// Logs implements Service.
func (c *Client) Logs(ctx context.Context, lq LogQuery) (LogView, error) {
	q := url.Values{}
	set(q, "level", lq.Level)
	set(q, "package", lq.Package)
	set(q, "search", lq.Search)
	if lq.Since > 0 {
		q.Set("since", strconv.FormatUint(lq.Since, 10))
	}
	if lq.Limit > 0 {
		q.Set("limit", strconv.Itoa(lq.Limit))
	}
	return get[LogView](ctx, c, "/api/logs", q)
}

// LogText implements Service.
func (c *Client) LogText(ctx context.Context) ([]byte, error) {
	var b []byte
	err := c.do(ctx, http.MethodGet, "/api/logs/text", nil, &b)
	return b, err
}

// Addresses implements Service.
func (c *Client) Addresses(ctx context.Context) (AddressesView, error) {
	return get[AddressesView](ctx, c, "/api/addresses", nil)
}

// About implements Service.
func (c *Client) About(ctx context.Context) (AboutView, error) {
	return get[AboutView](ctx, c, "/api/about", nil)
}

// LicenceText implements Service.
func (c *Client) LicenceText(ctx context.Context, module string) (LicenceText, error) {
	return get[LicenceText](ctx, c, "/api/about/licence", url.Values{"path": {module}})
}

// Support implements Service.
func (c *Client) Support(ctx context.Context) ([]SupportFile, error) {
	return getItems[SupportFile](ctx, c, "/api/support/files", url.Values{"data": {"true"}})
}
