package oai

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"patchbay/backend/canon"
)

// CallIDs gives calls the ids that an upstream takes.
type CallIDs struct{ turns int }

// Lengths of ids of calls.
const (
	MaxCallID   = 64 // OpenAI refuses longer ones
	shortCallID = 9  // Mistral
)

// Turn returns the ids of the calls of one turn, no two alike.
func (c *CallIDs) Turn(calls []*canon.Part, short bool) []string {
	c.turns++
	seen := map[string]bool{}
	out := make([]string, len(calls))
	for i, p := range calls {
		id := p.CallID
		if id == "" {
			id = PositionID(p.Name, c.turns, i)
		}
		id = fitID(id, short)
		for n := 2; seen[id]; n++ {
			id = fitID(fmt.Sprintf("%s_%d", id, n), short)
		}
		seen[id] = true
		out[i] = id
	}
	return out
}

func fitID(id string, short bool) string {
	sum := sha256.Sum256([]byte(id))
	switch {
	case short && (len(id) != shortCallID || strings.ContainsAny(id, "_-.:")):
		return hex.EncodeToString(sum[:])[:shortCallID]
	case len(id) > MaxCallID:
		return "call_" + hex.EncodeToString(sum[:12])
	default:
		return id
	}
}

// PositionID is the id of a call that has none. It is made of where the call stands, so that the same history gives the
// same bytes on every turn.
func PositionID(name string, message, call int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", name, message, call))
	return "call_" + hex.EncodeToString(sum[:12])
}

// AtMost64 keeps an id that OpenAI takes and hashes a longer one: the same id stays the same.
func AtMost64(id string) string {
	if len(id) <= 64 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// FitCallID returns an id of a call that OpenAI takes: itself, or a hash of a longer one.
func FitCallID(id string) string { return fitID(id, false) }
