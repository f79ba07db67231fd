package gateway

import (
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func thoughtTurn(id, thought string) []canon.Part {
	return []canon.Part{
		{Type: canon.PartReasoning, Text: thought, Opaque: &canon.Opaque{Family: "claude", Kind: "think", Data: "sig-" + thought}},
		{Type: canon.PartToolCall, CallID: id, Name: "look", Args: []byte(`{}`)},
	}
}

func TestOpaqueStoreKeepsConversationsApart(t *testing.T) {
	s := newOpaqueStore()
	a, b := &canon.Request{Format: "openai", Conversation: "a"}, &canon.Request{Format: "openai", Conversation: "b"}
	s.save(a, thoughtTurn("call_0", "first"))
	s.save(b, thoughtTurn("call_0", "second"))
	for _, req := range []*canon.Request{a, b} {
		req.Messages = []canon.Message{{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartToolCall, CallID: "call_0"}}}}
		s.restore(req)
	}
	if got := a.Messages[0].Parts[0].Text + " " + b.Messages[0].Parts[0].Text; got != "first second" {
		t.Errorf("the conversations got %q", got)
	}
}

// A client that shows thoughts in pieces sends the pieces back; the signature holds for the whole only.
func TestOpaqueStoreReplacesThoughtsThatCameBackInPieces(t *testing.T) {
	s := newOpaqueStore()
	req := &canon.Request{Format: "gemini", Conversation: "a"}
	s.save(req, thoughtTurn("fc_1", "look first"))
	req.Messages = []canon.Message{{Role: canon.RoleAssistant, Parts: []canon.Part{
		{Type: canon.PartReasoning, Text: "look "}, {Type: canon.PartReasoning, Text: "first", Opaque: &canon.Opaque{Family: "claude", Kind: "think", Data: "sig-look first"}},
		{Type: canon.PartToolCall, CallID: "fc_1"},
	}}}
	s.restore(req)
	parts := req.Messages[0].Parts
	if len(parts) != 2 || parts[0].Text != "look first" || parts[0].Opaque == nil {
		t.Errorf("%+v", parts)
	}
}

func TestOpaqueStoreIsBoundedInBytes(t *testing.T) {
	s := newOpaqueStore()
	req := &canon.Request{Format: "openai", Conversation: "a"}
	big := strings.Repeat("x", opaqueBytes/2-100)
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
		s.save(req, thoughtTurn(id, big))
	}
	if s.bytes > opaqueTotal || len(s.byKey) != s.order.Len() || s.get(callKey(req, "1")) != nil || s.get(callKey(req, "10")) == nil {
		t.Errorf("%d bytes in %d entries", s.bytes, s.order.Len())
	}
}
