package anthropic

import "patchbay/backend/canon"

// stopReasons is how each reason to finish is told to a client.
var stopReasons = map[canon.FinishReason]string{
	canon.FinishStop:         "end_turn",
	canon.FinishStopSequence: "stop_sequence",
	canon.FinishTools:        "tool_use",
	canon.FinishLength:       "max_tokens",
	canon.FinishContext:      "model_context_window_exceeded",
	canon.FinishFilter:       "refusal",
	canon.FinishPause:        "pause_turn",
}

// readReason reads a stop_reason. A word that is not known ends the turn.
func readReason(s string) canon.FinishReason {
	switch s {
	case "stop_sequence":
		return canon.FinishStopSequence
	case "tool_use":
		return canon.FinishTools
	case "max_tokens":
		return canon.FinishLength
	case "model_context_window_exceeded":
		return canon.FinishContext
	case "refusal":
		return canon.FinishFilter
	case "pause_turn", "compaction":
		return canon.FinishPause
	default:
		return canon.FinishStop
	}
}

// settle lets the parts decide: an answer that calls tools is finished for them, unless it was cut, and one that calls
// none is not. Agents stop after one turn otherwise.
func settle(r canon.FinishReason, calls bool) canon.FinishReason {
	switch r {
	case canon.FinishTools:
		if !calls {
			return canon.FinishStop
		}
	case canon.FinishStop, canon.FinishStopSequence, "":
		if calls {
			return canon.FinishTools
		}
	}
	if r == "" {
		return canon.FinishStop
	}
	return r
}

// stopReason returns the word for a client.
func stopReason(r canon.FinishReason, calls bool) string { return stopReasons[settle(r, calls)] }
