package gemini

import (
	"errors"
	"io"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// broken ends the stream after a read error. What came behind a finishReason does not matter any more.
func (s *streamReader) broken(err error) {
	if s.finished() {
		s.close()
		return
	}
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		s.yield(canon.Event{}, e)
		return
	}
	kind, msg := apierror.Transport, "the connection to the service broke"
	switch {
	case errors.Is(err, wire.ErrFrameTooLarge):
		kind, msg = apierror.Upstream5xx, "the service sent an answer of more than 64 MiB"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		kind, msg = apierror.Truncated, truncated
	}
	e := apierror.New(kind, "%s", msg)
	e.Err = err
	s.yield(canon.Event{}, e)
}

const truncated = "the upstream closed the stream early"

// finished reports whether every choice has its end.
func (s *streamReader) finished() bool {
	for i := range s.choices {
		if !s.choices[i].ended {
			return false
		}
	}
	return len(s.choices) > 0 || s.blocked != nil
}

// close ends the answer at the end of the stream.
func (s *streamReader) close() {
	s.queue = s.queue[:0]
	if !s.finished() {
		s.yield(canon.Event{}, apierror.New(apierror.Truncated, truncated))
		return
	}
	finish := canon.Finish{}
	if len(s.choices) == 0 {
		finish = s.refuse()
	} else {
		finish = s.choices[0].finish
	}
	if len(s.choices) > 1 {
		for i := range s.choices {
			s.emit(canon.Event{Kind: canon.KindChoiceFinish, Choice: i, Finish: s.choices[i].finish})
		}
	}
	ev := canon.Event{Kind: canon.KindFinish, Finish: finish, Ext: s.ext, Whole: s.whole}
	if s.usage != (usageJSON{}) {
		u := s.usage.canon()
		s.emit(canon.Event{Kind: canon.KindUsage, Usage: &u})
		ev.Usage = &u
	}
	s.emit(ev)
	s.flush(nil, false)
}

// refuse tells a prompt that was blocked.
func (s *streamReader) refuse() canon.Finish {
	text := "The upstream blocked this prompt (" + s.blocked.BlockReason + ")"
	if m := s.blocked.BlockReasonMessage; m != "" {
		text += ": " + m
	}
	index := s.next
	s.next++
	if !s.copies {
		s.emit(canon.Event{Kind: canon.KindPartStart, Index: index, Part: &canon.Part{Type: canon.PartRefusal}})
		s.emit(canon.Event{Kind: canon.KindDelta, Index: index, Delta: canon.DeltaText, Text: text})
		s.emit(canon.Event{Kind: canon.KindPartEnd, Index: index, Part: &canon.Part{Type: canon.PartRefusal, Text: text}})
	}
	return canon.Finish{Reason: canon.FinishFilter, Raw: s.blocked.BlockReason, Detail: text}
}

// finishReasons are Google's reasons in canonical form, as of genai v1.77.0. Reasons that say nothing certain count as a
// normal end.
var finishReasons = map[string]canon.FinishReason{
	"STOP": canon.FinishStop, "MAX_TOKENS": canon.FinishLength,
	"SAFETY": canon.FinishFilter, "RECITATION": canon.FinishFilter, "BLOCKLIST": canon.FinishFilter, "PROHIBITED_CONTENT": canon.FinishFilter,
	"SPII": canon.FinishFilter, "IMAGE_SAFETY": canon.FinishFilter, "IMAGE_PROHIBITED_CONTENT": canon.FinishFilter,
	"IMAGE_RECITATION": canon.FinishFilter, "IMAGE_OTHER": canon.FinishFilter,
	"LANGUAGE": canon.FinishStop, "OTHER": canon.FinishStop, "NO_IMAGE": canon.FinishStop, "CONTINUATION": canon.FinishStop,
	"MALFORMED_FUNCTION_CALL": canon.FinishStop, "UNEXPECTED_TOOL_CALL": canon.FinishStop, "TOO_MANY_TOOL_CALLS": canon.FinishStop,
	missingSignature: canon.FinishStop,
}

const missingSignature = "MISSING_THOUGHT_SIGNATURE"

// failures are reasons that mean there is no answer.
var failures = map[string]bool{"MALFORMED_FUNCTION_CALL": true, "UNEXPECTED_TOOL_CALL": true, "TOO_MANY_TOOL_CALLS": true, missingSignature: true}

func finishOf(word string) canon.FinishReason {
	if r, ok := finishReasons[word]; ok {
		return r
	}
	if strings.HasPrefix(word, "IMAGE_") {
		return canon.FinishFilter
	}
	return canon.FinishStop
}
