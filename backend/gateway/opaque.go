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
)

// opaqueStore keeps the reasoning of a turn, with its signatures, for clients whose protocol has no field for it. A
// model that thinks wants its own reasoning back next to the tool calls it led to. The key is the id of a tool call, or a
// hash of the visible text of a turn without calls; what is kept names its family, and a writer never sends it to
// another one.
type opaqueStore struct {
	mu    sync.Mutex // guards byKey and order
	byKey map[string]*list.Element
	order *list.List // of *kept, newest first
}

type kept struct {
	key   string
	at    time.Time
	parts []canon.Part // reasoning, and the signature of a call in a part of its own
	call  *canon.Opaque
}

func newOpaqueStore() *opaqueStore {
	return &opaqueStore{byKey: map[string]*list.Element{}, order: list.New()}
}

// carries reports whether a format brings signatures back by itself.
func carries(format string) bool { return format != "openai" && format != "ollama" }

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
				s.put(&kept{key: "call:" + p.CallID, parts: reasoning, call: p.Opaque}, size)
			}
		case canon.PartText:
			text += p.Text
		}
	}
	if calls == 0 && signed && text != "" {
		s.put(&kept{key: textKey(text), parts: reasoning}, size)
	}
}

func textKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "text:" + hex.EncodeToString(sum[:])
}

func (s *opaqueStore) put(k *kept, size int) {
	if size > opaqueBytes {
		return
	}
	k.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.byKey[k.key]; ok {
		s.order.Remove(old)
	}
	s.byKey[k.key] = s.order.PushFront(k)
	for back := s.order.Back(); back != nil && (s.order.Len() > opaqueEntries || time.Since(back.Value.(*kept).at) > opaqueAge); back = s.order.Back() {
		delete(s.byKey, back.Value.(*kept).key)
		s.order.Remove(back)
	}
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
		delete(s.byKey, key)
		s.order.Remove(e)
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
		k, ok := s.find(m)
		if !ok {
			continue
		}
		if !copied {
			req.Messages = append([]canon.Message(nil), req.Messages...)
			m = &req.Messages[i]
			copied = true
		}
		m.Parts = s.rebuilt(m.Parts, k)
	}
}

func (s *opaqueStore) find(m *canon.Message) (*kept, bool) {
	text, calls := "", false
	for i := range m.Parts {
		switch p := &m.Parts[i]; p.Type {
		case canon.PartToolCall:
			calls = true
			if k := s.get("call:" + p.CallID); k != nil {
				return k, true
			}
		case canon.PartText:
			text += p.Text
		}
	}
	if calls || text == "" {
		return nil, false
	}
	k := s.get(textKey(text))
	return k, k != nil
}

func (s *opaqueStore) rebuilt(parts []canon.Part, k *kept) []canon.Part {
	out := append([]canon.Part(nil), k.parts...)
	for _, p := range parts {
		if p.Type == canon.PartReasoning && len(k.parts) > 0 {
			continue
		}
		if p.Type == canon.PartToolCall && p.Opaque == nil {
			if own := s.get("call:" + p.CallID); own != nil {
				p.Opaque = own.call
			}
		}
		out = append(out, p)
	}
	return out
}
