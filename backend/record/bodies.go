package record

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/events"
)

// Where prompts and answers are written as text.
const (
	PromptsOff     = ""
	PromptsConsole = "console"
	PromptsFile    = "file"
)

// BodyOptions say whose bodies are kept, and how much of them. The zero value keeps none.
type BodyOptions struct {
	All             bool
	Keys, Providers []string      // names or ids of client keys, ids of providers
	Body            int64         // bytes kept of each body, 1 MiB
	Disk            int64         // bytes of all files, 256 MiB
	Age             time.Duration // of a file, 7 days; negative = no bound
	Prompts         string        // PromptsOff, PromptsConsole or PromptsFile
	PromptSize      int64         // of one file of prompts, 10 MiB
	PromptFiles     int           // the newest included, 3
	PromptAge       time.Duration // of a file of prompts that is full, 7 days; negative = no bound
}

func (o *BodyOptions) off() bool {
	return !o.All && len(o.Keys) == 0 && len(o.Providers) == 0 && o.Prompts == PromptsOff
}

// Message is one body with what came before it. What looks like a credential was taken out before it was written.
type Message struct {
	Method   string            `json:"method,omitzero"`
	URL      string            `json:"url,omitzero"` // of a client's request: the path
	Status   int               `json:"status,omitzero"`
	Header   map[string]string `json:"header,omitempty"`
	Body     string            `json:"body"`
	Base64   bool              `json:"base64,omitzero"`   // Body is base64: it is no text
	Size     int64             `json:"size"`              // of the whole body in bytes
	Cut      bool              `json:"cut,omitzero"`      // only its beginning was kept
	Redacted bool              `json:"redacted,omitzero"` // something was taken out
	Note     string            `json:"note,omitzero"`     // why it is not here, or how it ended
}

// Exchange is one call to a service.
type Exchange struct {
	Provider string    `json:"provider"`
	Account  string    `json:"account,omitzero"` // label
	At       time.Time `json:"at"`
	Request  Message   `json:"request"`
	Answer   Message   `json:"answer"`
}

// Chat is a conversation in the form of OpenAI's chat protocol, whatever the client spoke.
type Chat struct {
	Messages []jsontext.Value `json:"messages"` // the answer is the last one
	Tools    jsontext.Value   `json:"tools,omitzero"`
}

// Kept is what was kept of one request: both sides, before and after the conversion.
type Kept struct {
	ID      string     `json:"id"`
	At      time.Time  `json:"at"`
	Key     string     `json:"key,omitzero"` // id of the client key
	Format  string     `json:"format,omitzero"`
	Op      string     `json:"op,omitzero"`
	Request Message    `json:"request"`
	Calls   []Exchange `json:"calls,omitempty"`
	Answer  Message    `json:"answer"`
	Chat    *Chat      `json:"chat,omitzero"`

	keyName string
}

// Bodies keeps bodies in files of their own, one per request: they come and go in lumps that a database would never give
// back. It is safe for concurrent use.
type Bodies struct {
	dir     string
	prompts string // path of the file of prompts
	console io.Writer
	bus     *events.Bus
	log     *slog.Logger
	chat    func(*Kept, *canon.Response) (*Chat, error)
	opt     atomic.Pointer[BodyOptions]
	queue   chan *Capture
	dropped atomic.Int64

	mu    sync.Mutex // guards what follows, and the files
	files []bodyFile // oldest first; nil until they were counted
	total int64
	known bool
}

type bodyFile struct {
	id   string
	at   time.Time
	size int64
}

// BodyNeeds is what Bodies is made of.
type BodyNeeds struct {
	Dir     string    // of the files; made when the first one is kept
	Prompts string    // path of the file of prompts
	Console io.Writer // nil = there is none
	Bus     *events.Bus
	Log     *slog.Logger
	// Chat turns a request as the client sent it, and its answer, into a conversation; nil = it is not done.
	Chat func(*Kept, *canon.Response) (*Chat, error)
}

// NewBodies returns the keeper of bodies; it keeps none until Set says so.
func NewBodies(n BodyNeeds) *Bodies {
	b := &Bodies{dir: n.Dir, prompts: n.Prompts, console: n.Console, bus: n.Bus, log: n.Log, chat: n.Chat, queue: make(chan *Capture, 16)}
	b.Set(BodyOptions{})
	return b
}

// Set changes what is kept, from the next request on.
func (b *Bodies) Set(o BodyOptions) {
	o.Body, o.Disk = cmp.Or(o.Body, 1<<20), cmp.Or(o.Disk, 256<<20)
	o.Age, o.PromptAge = cmp.Or(o.Age, 7*24*time.Hour), cmp.Or(o.PromptAge, 7*24*time.Hour)
	o.PromptSize, o.PromptFiles = cmp.Or(o.PromptSize, 10<<20), cmp.Or(o.PromptFiles, 3)
	b.opt.Store(&o)
}

// Dropped returns how many were lost because the writer could not keep up, or the disk refused them.
func (b *Bodies) Dropped() int64 { return b.dropped.Load() }

// Run writes what is captured until ctx ends, then what waits, and deletes what is too old.
func (b *Bodies) Run(ctx context.Context) error {
	trim := time.NewTicker(time.Hour)
	defer trim.Stop()
	first := time.After(time.Minute)
	for {
		select {
		case c := <-b.queue:
			b.write(c)
		case <-first:
			b.Trim()
		case <-trim.C:
			b.Trim()
		case <-ctx.Done():
			for {
				select {
				case c := <-b.queue:
					b.write(c)
				default:
					return nil
				}
			}
		}
	}
}

// write puts a capture where it is wanted.
func (b *Bodies) write(c *Capture) {
	k, resp, secrets := c.result()
	if b.chat != nil && resp != nil && !k.Request.Cut {
		chat, err := b.chat(k, resp)
		if err != nil {
			b.log.Debug("A conversation could not be put together", "req", k.ID, "err", err)
		}
		k.Chat = chat
	}
	if inPieces(resp, secrets) { // a stream may hold it letter by letter
		k.Answer = leaveOut(k.Answer)
		for i := range k.Calls {
			k.Calls[i].Answer = leaveOut(k.Calls[i].Answer)
		}
	}
	k.redact(secrets)
	if c.prompt {
		if err := b.writePrompt(k); err != nil {
			b.dropped.Add(1)
			b.log.Error("Writing the prompt log failed", "err", err)
		}
	}
	if !c.wanted() {
		return
	}
	if err := b.save(k); err != nil {
		b.dropped.Add(1)
		b.log.Error("Keeping the bodies of a request failed", "req", k.ID, "err", err)
		return
	}
	b.bus.Publish(events.Request, k.ID, nil)
}

func leaveOut(m Message) Message {
	if m.Body != "" {
		m.Body, m.Redacted, m.Note = "", true, "left out: a credential stood in it in pieces"
	}
	return m
}

// inPieces reports whether an answer holds a credential that a stream may have cut into pieces.
func inPieces(resp *canon.Response, secrets []string) bool {
	if resp == nil {
		return false
	}
	for i := range resp.Parts {
		p := &resp.Parts[i]
		for _, text := range append([]string{p.Text, string(p.Args)}, p.Summary...) {
			if redact(text, secrets) != text {
				return true
			}
		}
	}
	return false
}

func (b *Bodies) path(id string) string { return filepath.Join(b.dir, id+bodyExt) }

const bodyExt = ".json.gz"

// validID keeps a request's id a file's name.
func validID(id string) bool {
	return id != "" && len(id) < 100 && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

func (b *Bodies) save(k *Kept) error {
	if !validID(k.ID) {
		return fmt.Errorf("the id %q cannot be the name of a file", k.ID)
	}
	data, err := json.Marshal(k, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	b.count()
	tmp := b.path(k.ID) + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err == nil {
		_, err = z.Write(data)
		err = errors.Join(err, z.Close())
	}
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err == nil {
		err = os.Rename(tmp, b.path(k.ID))
	}
	if err != nil {
		_ = os.Remove(tmp) // the error says enough
		return err
	}
	b.files = append(b.files, bodyFile{k.ID, time.Now(), info.Size()})
	b.total += info.Size()
	b.trim()
	return nil
}

// count reads which files there are, once. The caller holds mu.
func (b *Bodies) count() {
	if b.known {
		return
	}
	b.known, b.files, b.total = true, nil, 0
	entries, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("The folder of kept bodies cannot be read", "err", err)
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), bodyExt)
		info, err := e.Info()
		switch {
		case err != nil || e.IsDir():
		case ok:
			b.files = append(b.files, bodyFile{id, info.ModTime(), info.Size()})
			b.total += info.Size()
		case strings.HasSuffix(e.Name(), ".new"): // of a program that died while it wrote
			_ = os.Remove(filepath.Join(b.dir, e.Name())) // the next start tries again
		}
	}
	slices.SortStableFunc(b.files, func(x, y bodyFile) int { return x.at.Compare(y.at) })
}

// trim deletes the oldest files until what is left is small and young enough. The caller holds mu.
func (b *Bodies) trim() {
	o := b.opt.Load()
	for len(b.files) > 0 && (b.total > o.Disk || o.Age > 0 && time.Since(b.files[0].at) > o.Age) {
		if !b.remove(0) {
			return
		}
	}
}

func (b *Bodies) remove(i int) bool {
	f := b.files[i]
	if err := os.Remove(b.path(f.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("A file of kept bodies cannot be deleted", "err", err)
		return false
	}
	b.total -= f.size
	b.files = slices.Delete(b.files, i, i+1)
	return true
}

// Trim deletes what is too old or too much.
func (b *Bodies) Trim() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	b.trim()
	b.trimPrompts()
}

// Clear deletes the bodies that are older than before.
func (b *Bodies) Clear(before time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	for len(b.files) > 0 && !b.files[0].at.After(before) {
		if !b.remove(0) {
			return errors.New("a file of kept bodies cannot be deleted; the log says why")
		}
	}
	return nil
}

// BodySize is what kept bodies take.
type BodySize struct {
	Files        int
	Bytes        int64
	PromptsBytes int64
}

// Size returns what kept bodies and the prompt log take.
func (b *Bodies) Size() BodySize {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	s := BodySize{Files: len(b.files), Bytes: b.total}
	for _, path := range b.promptFiles() {
		if info, err := os.Stat(path); err == nil {
			s.PromptsBytes += info.Size()
		}
	}
	return s
}

// Has reports whether the bodies of a request are kept.
func (b *Bodies) Has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	return slices.ContainsFunc(b.files, func(f bodyFile) bool { return f.id == id })
}

// IDs returns the requests whose bodies are kept, oldest first.
func (b *Bodies) IDs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	out := make([]string, len(b.files))
	for i, f := range b.files {
		out[i] = f.id
	}
	return out
}

// maxKept bounds what is read of a file: it was bounded when it was written.
const maxKept = 256 << 20

// Get returns what was kept of a request; nil = nothing.
func (b *Bodies) Get(id string) (*Kept, error) {
	if !validID(id) {
		return nil, nil
	}
	f, err := os.Open(b.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading kept bodies: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading kept bodies: %w", err)
	}
	var k Kept
	if err := json.UnmarshalRead(io.LimitReader(z, maxKept), &k, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("reading kept bodies: %w", err)
	}
	return &k, nil
}
