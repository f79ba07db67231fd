package gateway

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"patchbay/backend/canon"
)

// Bounds of the signature store; the numbers are CLIProxyAPI's for the same purpose.
const (
	opaqueEntries = 10240
	opaqueAge     = 3 * time.Hour
	opaqueBytes   = 16 << 20 // per entry: one turn's reasoning
	opaqueTotal   = 64 << 20 // of all entries
)

// opaqueStore keeps the reasoning of a turn, with its signatures, for clients whose protocol has no field for it or whose
// programs do not send it back as it came. A model that thinks wants its own reasoning back next to the tool calls it led
// to. The key is the conversation with the id of a tool call, or with a hash of the visible text of a turn without calls;
// what is kept names its family, and a writer never sends it to another one.
type opaqueStore struct {
	mu    sync.Mutex // guards what follows
	byKey map[string]*list.Element
	order *list.List // of *kept, newest first
	bytes int        // sum of the entries' sizes
}

type kept struct {
	key   string
	at    time.Time
	size  int
	parts []canon.Part // reasoning, and the signature of a call in a part of its own
	call  *canon.Opaque
}

func newOpaqueStore() *opaqueStore {
	return &opaqueStore{byKey: map[string]*list.Element{}, order: list.New()}
}

// carries reports whether clients of a format bring reasoning back as it came. Anthropic's do. Chat and Ollama have no
// field for a signature; gemini-cli 0.61.0 sends no thoughts back, and other Gemini clients send the pieces of a stream
// as parts of their own; a Responses client may send a summary that was cut.
func carries(format string) bool { return format == "anthropic" }

// save keeps what an answer holds. Formats that carry signatures need no store.
func (s *opaqueStore) save(req *canon.Request, parts []canon.Part) {
	if carries(req.Format) {
		return
	}
	var reasoning []canon.Part
	signed, size := false, 0
	for i := range parts {
		if parts[i].Type != canon.PartReasoning {
			continue
		}
		reasoning = append(reasoning, parts[i])
		size += len(parts[i].Text)
		if o := parts[i].Opaque; o != nil {
			signed = signed || o.Data != ""
			size += len(o.Data)
		}
	}
	calls := 0
	text := ""
	for i := range parts {
		switch p := &parts[i]; p.Type {
		case canon.PartToolCall:
			calls++
			if signed || p.Opaque != nil {
				s.put(&kept{key: callKey(req, p.CallID), parts: reasoning, call: p.Opaque, size: size})
			}
		case canon.PartText:
			text += p.Text
		}
	}
	if calls == 0 && signed && text != "" {
		s.put(&kept{key: textKey(req, text), parts: reasoning, size: size})
	}
}

// callKey and textKey begin with the conversation: some services count the ids of calls anew in each answer, and two
// conversations may hold the same words.
func callKey(req *canon.Request, id string) string { return req.Conversation + " call:" + id }

func textKey(req *canon.Request, text string) string {
	sum := sha256.Sum256([]byte(text))
	return req.Conversation + " text:" + hex.EncodeToString(sum[:])
}

func (s *opaqueStore) put(k *kept) {
	if k.size > opaqueBytes {
		return
	}
	k.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.byKey[k.key]; ok {
		s.remove(old)
	}
	s.byKey[k.key] = s.order.PushFront(k)
	s.bytes += k.size
	for back := s.order.Back(); back != nil && (s.order.Len() > opaqueEntries || s.bytes > opaqueTotal || time.Since(back.Value.(*kept).at) > opaqueAge); back = s.order.Back() {
		s.remove(back)
	}
}

// remove takes an entry out; the lock is held.
func (s *opaqueStore) remove(e *list.Element) {
	k := s.order.Remove(e).(*kept)
	delete(s.byKey, k.key)
	s.bytes -= k.size
}

func (s *opaqueStore) get(key string) *kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byKey[key]
	if !ok {
		return nil
	}
	k := e.Value.(*kept)
	if time.Since(k.at) > opaqueAge {
		s.remove(e)
		return nil
	}
	return k
}

// restore puts kept reasoning back in front of the assistant turns it belongs to. It replaces the reasoning text that
// the client sent, for a signature holds only for the maker's own bytes. req is the attempt's own copy.
func (s *opaqueStore) restore(req *canon.Request) {
	if carries(req.Format) {
		return
	}
	copied := false
	for i := range req.Messages {
		m := &req.Messages[i]
		if m.Role != canon.RoleAssistant {
			continue
		}
		k, ok := s.find(req, m)
		if !ok {
			continue
		}
		if !copied {
			req.Messages = append([]canon.Message(nil), req.Messages...)
			m = &req.Messages[i]
			copied = true
		}
		m.Parts = s.rebuilt(req, m.Parts, k)
	}
}

func (s *opaqueStore) find(req *canon.Request, m *canon.Message) (*kept, bool) {
	text, calls := "", false
	for i := range m.Parts {
		switch p := &m.Parts[i]; p.Type {
		case canon.PartToolCall:
			calls = true
			if k := s.get(callKey(req, p.CallID)); k != nil {
				return k, true
			}
		case canon.PartText:
			text += p.Text
		}
	}
	if calls || text == "" {
		return nil, false
	}
	k := s.get(textKey(req, text))
	return k, k != nil
}

func (s *opaqueStore) rebuilt(req *canon.Request, parts []canon.Part, k *kept) []canon.Part {
	out := append([]canon.Part(nil), k.parts...)
	for _, p := range parts {
		if p.Type == canon.PartReasoning && len(k.parts) > 0 {
			continue
		}
		if p.Type == canon.PartToolCall && p.Opaque == nil {
			if own := s.get(callKey(req, p.CallID)); own != nil {
				p.Opaque = own.call
			}
		}
		out = append(out, p)
	}
	return out
}
