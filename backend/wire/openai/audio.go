package openai

import (
	"encoding/base64"
	"encoding/binary"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// modalities writes what the answer may hold. A client of another format says neither voice nor sound format, without
// which no service speaks.
func (w *writer) modalities() error {
	r := w.req
	switch {
	case len(r.Modalities) == 0:
	case w.same:
		v, _ := wire.Marshal(r.Modalities) // strings: cannot fail
		w.put("modalities", v)
		w.put("audio", r.Audio)
	case slices.Contains(r.Modalities, "audio"):
		return unsupported(wire.Field(r.Format, "modalities"), "audio output is not supported by %s", r.ModelAsked)
	}
	return nil
}

// answerAudio is the sound of an answer in chat's shape, nil for none.
func (r *renderer) answerAudio(p *canon.Part) jsontext.Value {
	if a := p.Ext["audio"]; a != nil {
		return a
	}
	if p.Media == nil || len(p.Media.Data) == 0 {
		return nil
	}
	b := wire.AppendString(jsontext.Value(`{"id":`), r.req.NewID("audio_", 24))
	b = append(b, `,"data":"`...)
	b = base64.StdEncoding.AppendEncode(b, soundFor(r.req.Audio, p.Media))
	b = append(b, `","expires_at":0,"transcript":`...)
	return append(wire.AppendString(b, p.Text), '}')
}

// soundFor is sound in the format that a chat client asked for, where that needs no encoder: raw samples, which Gemini's
// speech models give (low byte first, whatever RFC 2586 says of audio/L16), stay what they are for pcm16, and get the head of
// a WAV file for everything else.
func soundFor(asked jsontext.Value, m *canon.Media) []byte {
	kind, params, err := mime.ParseMediaType(m.MIME)
	if err != nil || kind != "audio/l16" && kind != "audio/pcm" {
		return m.Data
	}
	var want struct {
		Format string `json:"format"`
	}
	if len(asked) > 0 && json.Unmarshal(asked, &want, wire.Lenient) == nil && want.Format == "pcm16" {
		return m.Data
	}
	rate, err := strconv.ParseUint(strings.TrimSpace(params["rate"]), 10, 32)
	if err != nil || rate == 0 {
		rate = 24000 // what Gemini's speech models give (Google's public API reference)
	}
	return append(wavHead(uint32(rate), len(m.Data)), m.Data...)
}

// wavHead is the head of a WAV file with one channel of 16-bit samples (RIFF, format 1).
func wavHead(rate uint32, size int) []byte {
	const bytesPerSample = 2
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+size))
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 1), 1) // PCM, one channel
	b = le.AppendUint32(le.AppendUint32(b, rate), rate*bytesPerSample)
	b = le.AppendUint16(le.AppendUint16(b, bytesPerSample), 8*bytesPerSample)
	return le.AppendUint32(append(b, "data"...), uint32(size))
}
