package gemini_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/openai"
	"patchbay/backend/wire/responses"
)

// A client is a program that speaks one format.
type client struct {
	codec wire.Codec
	op    wire.Op
	path  string
}

var (
	chatClient     = client{openai.Codec{}, openai.OpChat, "/v1/chat/completions"}
	messagesClient = client{anthropic.Codec{}, anthropic.OpMessages, "/v1/messages"}
	geminiClient   = client{gemini.Codec{}, gemini.OpStream, "/v1beta/models/asked:streamGenerateContent?alt=sse"}
	geminiWhole    = client{gemini.Codec{}, gemini.OpGenerate, "/v1beta/models/asked:generateContent"}
)

// asks reads a client's body for a model of the upstream.
func (c client) asks(t *testing.T, model, body string) *canon.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, c.path, nil)
	r.Header.Set("Anthropic-Version", "2023-06-01")
	req, err := c.codec.Decode(c.op, r, []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if err := req.Expand(); err != nil {
		t.Fatal(err)
	}
	req.Model = model
	n := 0
	req.SetIDs(func(prefix string, width int) string {
		n++
		return prefix + strings.Repeat("0", width-1) + string(rune('0'+n))
	})
	return req
}

// hears renders an answer for the client.
func (c client) hears(t *testing.T, req *canon.Request, s canon.Stream) string {
	t.Helper()
	if !req.Stream {
		resp, err := canon.Collect(s)
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.codec.AppendResponse(nil, req, resp)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	r := c.codec.NewRenderer(req)
	var out []byte
	for ev, err := range s {
		if err != nil {
			return string(r.AppendError(out, apierror.From(err)))
		}
		out = r.AppendEvent(out, ev)
	}
	return string(out)
}

// An upstream writes a request for a service and reads its answer.
type upstream func(req *canon.Request) (body []byte, dropped []canon.Warning, read func(string, io.Reader) canon.Stream, err error)

func toGemini(o gemini.Options) upstream {
	return func(req *canon.Request) ([]byte, []canon.Warning, func(string, io.Reader) canon.Stream, error) {
		x, err := gemini.NewExchange(req, o)
		if err != nil {
			return nil, nil, nil, err
		}
		return x.Body, x.Dropped, x.Read, nil
	}
}

func toChat(o openai.Options) upstream {
	return func(req *canon.Request) ([]byte, []canon.Warning, func(string, io.Reader) canon.Stream, error) {
		x, err := openai.NewExchange(req, o)
		if err != nil {
			return nil, nil, nil, err
		}
		return x.Body, x.Dropped, x.Read, nil
	}
}

func toMessages(req *canon.Request) ([]byte, []canon.Warning, func(string, io.Reader) canon.Stream, error) {
	x, err := anthropic.NewExchange(req, anthropic.Options{OwnHost: true})
	if err != nil {
		return nil, nil, nil, err
	}
	return x.Body, x.Dropped, x.Read, nil
}

func toResponses(req *canon.Request) ([]byte, []canon.Warning, func(string, io.Reader) canon.Stream, error) {
	x, err := responses.NewExchange(req, responses.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	return x.Body, x.Dropped, x.Read, nil
}

// sends returns the body that an upstream gets.
func sends(t *testing.T, up upstream, req *canon.Request) string {
	t.Helper()
	body, _, _, err := up(req)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// refusal returns the error for a request that an upstream cannot take.
func refusal(t *testing.T, up upstream, req *canon.Request) *apierror.Error {
	t.Helper()
	body, _, _, err := up(req)
	if err == nil {
		t.Errorf("it was sent: %s", body)
		return &apierror.Error{}
	}
	return apierror.From(err)
}

// answered runs an upstream's answer back to the client.
func answered(t *testing.T, c client, up upstream, req *canon.Request, answer string) string {
	t.Helper()
	_, _, read, err := up(req)
	if err != nil {
		t.Fatal(err)
	}
	kind := "application/json"
	if strings.HasPrefix(answer, "data:") || strings.HasPrefix(answer, "event:") {
		kind = "text/event-stream"
	}
	return c.hears(t, req, read(kind, strings.NewReader(answer)))
}

// has fails unless a JSON text holds every piece, white space aside.
func has(t *testing.T, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			t.Errorf("no %s in %s", p, text)
		}
	}
}

func canonicalJSON(t *testing.T, s string) string {
	t.Helper()
	v := jsontext.Value(s)
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	if err := v.Indent(); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func sameText(t *testing.T, want, got string) {
	t.Helper()
	if d := cmp.Diff(canonicalJSON(t, want), canonicalJSON(t, got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

var b64 = base64.StdEncoding.EncodeToString

func TestSoundGoesBetweenChatAndGemini(t *testing.T) {
	sound := b64([]byte("RIFFsound"))
	for format, mime := range map[string]string{"wav": "audio/wav", "mp3": "audio/mp3"} {
		req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What?"},{"type":"input_audio","input_audio":{"data":"`+sound+`","format":"`+format+`"}}]}]}`)
		has(t, sends(t, toGemini(gemini.Options{}), req), `"parts":[{"text":"What?"},{"inlineData":{"mimeType":"`+mime+`","data":"`+sound+`"}}]`)
	}
	for mime, format := range map[string]string{"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "AUDIO/MP3": "mp3"} {
		req := geminiClient.asks(t, "gpt-4o-audio-preview", `{"contents":[{"parts":[{"inline_data":{"mime_type":"`+mime+`","data":"`+sound+`"}}]}]}`)
		has(t, sends(t, toChat(openai.Options{OwnHost: true}), req), `{"type":"input_audio","input_audio":{"data":"`+sound+`","format":"`+format+`"}}`)
	}
	ogg := geminiClient.asks(t, "gpt-4o-audio-preview", `{"contents":[{"parts":[{"inlineData":{"mimeType":"audio/ogg","data":"`+sound+`"}}]}]}`)
	if e := refusal(t, toChat(openai.Options{OwnHost: true}), ogg); e.Param != "contents" || !strings.Contains(e.Msg, "audio/ogg") {
		t.Errorf("%+v", e)
	}
	if e := refusal(t, toResponses, ogg); e.Param != "contents" || !strings.Contains(e.Msg, "audio") {
		t.Errorf("%+v", e)
	}
	if e := refusal(t, toMessages, ogg); e.Param != "contents" || !strings.Contains(e.Msg, "audio") {
		t.Errorf("%+v", e)
	}
	chat := chatClient.asks(t, "claude-sonnet-4-5", `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"`+sound+`","format":"wav"}}]}]}`)
	if e := refusal(t, toMessages, chat); e.Param != "messages" || !strings.Contains(e.Msg, "audio") {
		t.Errorf("%+v", e)
	}
}

func TestSpeechOfGeminiIsHeardInChat(t *testing.T) {
	speech := `{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"audio/L16;codec=pcm;rate=24000","data":"` + b64([]byte("samples!")) + `"}}]},"finishReason":"STOP"}]}`
	wav := b64([]byte("RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\xc0\x5d\x00\x00\x80\xbb\x00\x00\x02\x00\x10\x00data\x08\x00\x00\x00samples!"))
	for format, data := range map[string]string{"wav": wav, "pcm16": b64([]byte("samples!"))} {
		body := `{"model":"m","modalities":["text","audio"],"audio":{"voice":"alloy","format":"` + format + `"},"stream":false,"messages":[{"role":"user","content":"say hi"}]}`
		req := chatClient.asks(t, "gemini-2.5-flash-preview-tts", body)
		has(t, sends(t, toGemini(gemini.Options{}), req), `"responseModalities":["TEXT","AUDIO"]`)
		has(t, answered(t, chatClient, toGemini(gemini.Options{}), req, speech), `"content":null`, `"audio":{"id":"audio_`, `"data":"`+data+`"`)
		stream := chatClient.asks(t, "gemini-2.5-flash-preview-tts", strings.Replace(body, `"stream":false`, `"stream":true`, 1))
		has(t, answered(t, chatClient, toGemini(gemini.Options{}), stream, "data: "+speech+"\n\n"), `"delta":{"audio":{"id":"audio_`, `"data":"`+data+`"`, `"finish_reason":"stop"`)
	}
	mp3 := strings.Replace(speech, "audio/L16;codec=pcm;rate=24000", "audio/mp3", 1)
	req := chatClient.asks(t, "gemini-2.5-flash-preview-tts", `{"model":"m","modalities":["audio"],"messages":[{"role":"user","content":"say hi"}]}`)
	has(t, answered(t, chatClient, toGemini(gemini.Options{}), req, mp3), `"data":"`+b64([]byte("samples!"))+`"`)
	// nobody else can speak for a client that names neither voice nor format
	own := geminiClient.asks(t, "gpt-4o-audio-preview", `{"contents":[{"parts":[{"text":"say hi"}]}],"generationConfig":{"responseModalities":["AUDIO"]}}`)
	for name, up := range map[string]upstream{"chat": toChat(openai.Options{OwnHost: true}), "messages": toMessages, "responses": toResponses} {
		if e := refusal(t, up, own); e.Param != "generationConfig.responseModalities" || e.Kind != apierror.Unsupported {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestFilmsGoToGeminiOnly(t *testing.T) {
	film := geminiClient.asks(t, "m", `{"contents":[{"parts":[{"inlineData":{"mimeType":"video/mp4","data":"AAAA"}}]}]}`)
	for name, up := range map[string]upstream{"chat": toChat(openai.Options{OwnHost: true}), "messages": toMessages, "responses": toResponses} {
		if e := refusal(t, up, film); e.Param != "contents" || !strings.Contains(e.Msg, "video") {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// documents are the same PDF and the same plain text in each client's words.
func TestDocumentsReachEveryService(t *testing.T) {
	pdf, plain := b64([]byte("%PDF-1.7 x")), b64([]byte("plain words"))
	clients := map[string]struct {
		c    client
		body string
	}{
		"chat":     {chatClient, `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + pdf + `"}},{"type":"file","file":{"filename":"b.txt","file_data":"data:text/plain;base64,` + plain + `"}},{"type":"text","text":"Sum up."}]}]}`},
		"messages": {messagesClient, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}},{"type":"document","title":"b.txt","source":{"type":"text","media_type":"text/plain","data":"plain words"}},{"type":"text","text":"Sum up."}]}]}`},
		"gemini":   {geminiClient, `{"contents":[{"parts":[{"inlineData":{"mimeType":"application/pdf","displayName":"a.pdf","data":"` + pdf + `"}},{"inlineData":{"mimeType":"text/plain","displayName":"b.txt","data":"` + plain + `"}},{"text":"Sum up."}]}]}`},
	}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			has(t, sends(t, toGemini(gemini.Options{ForceConvert: true}), c.c.asks(t, "gemini-2.5-pro", c.body)), `"mimeType":"application/pdf"`, pdf, `Sum up.`)
			out := sends(t, toChat(openai.Options{OwnHost: true, ForceConvert: true}), c.c.asks(t, "gpt-4.1", c.body))
			has(t, out, `"file_data":"data:application/pdf;base64,`+pdf+`"`, `"filename":"a.pdf"`)
			if name != "chat" {
				has(t, out, `plain words`, `b.txt`)
			}
			has(t, sends(t, toResponses, c.c.asks(t, "gpt-4.1", c.body)), `"file_data":"data:application/pdf;base64,`+pdf+`"`, `plain words`, `Sum up.`)
			has(t, sends(t, toMessages, c.c.asks(t, "claude-sonnet-4-5", c.body)), `"media_type":"application/pdf"`, pdf, `plain words`)
			e := refusal(t, toChat(openai.Options{ForceConvert: true}), c.c.asks(t, "some-model", c.body))
			if want := wire.Field(map[string]string{"chat": "openai", "messages": "anthropic", "gemini": "gemini"}[name], "messages"); e.Param != want || !strings.Contains(e.Msg, "document input is not supported") {
				t.Errorf("%+v", e)
			}
		})
	}
	// plain text goes where documents do not
	text := messagesClient.asks(t, "some-model", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","title":"b.txt","source":{"type":"text","media_type":"text/plain","data":"plain words"}}]}]}`)
	has(t, sends(t, toChat(openai.Options{}), text), `b.txt\n\nplain words`)
}

func TestADocumentBesideAToolResultIsKept(t *testing.T) {
	pdf := b64([]byte("%PDF-1.7 x"))
	body := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Read."},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}}]},
	 {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"PDF file read"},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}]}],
	 "tools":[{"name":"Read","input_schema":{"type":"object"}}]}`
	has(t, sends(t, toGemini(gemini.Options{}), messagesClient.asks(t, "gemini-2.5-pro", body)), `"response":{"output":"PDF file read"}}},{"inlineData":{"mimeType":"application/pdf","data":"`+pdf+`"}}`)
}

func TestSeveralAnswersGoBetweenChatAndGemini(t *testing.T) {
	two := `{"candidates":[{"content":{"role":"model","parts":[{"text":"one"}]},"finishReason":"STOP","index":0},{"content":{"role":"model","parts":[{"text":"two"}]},"finishReason":"MAX_TOKENS","index":1}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}`
	req := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","n":2,"messages":[{"role":"user","content":"x"}]}`)
	has(t, sends(t, toGemini(gemini.Options{}), req), `"candidateCount":2`)
	has(t, answered(t, chatClient, toGemini(gemini.Options{}), req, two), `"index":0,"message":{"role":"assistant","content":"one"`, `"finish_reason":"stop"`, `"index":1,"message":{"role":"assistant","content":"two"`, `"finish_reason":"length"`)

	stream := chatClient.asks(t, "gemini-2.5-pro", `{"model":"m","n":2,"stream":true,"messages":[{"role":"user","content":"x"}]}`)
	got := answered(t, chatClient, toGemini(gemini.Options{}), stream, "data: "+two+"\n\n")
	has(t, got, `"index":1,"delta":{"content":"two"}`, `"index":0,"delta":{"content":"one"}`)
	if strings.Count(got, `"finish_reason":"`) != 2 || strings.Count(got, "[DONE]") != 1 {
		t.Error(got)
	}

	own := geminiWhole.asks(t, "gpt-4.1", `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"candidateCount":2}}`)
	has(t, sends(t, toChat(openai.Options{}), own), `"n":2`)
	has(t, answered(t, geminiWhole, toChat(openai.Options{}), own, `{"id":"i","choices":[{"index":0,"message":{"role":"assistant","content":"one"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"two"},"finish_reason":"length"}]}`),
		`{"text":"one"}]},"finishReason":"STOP","index":0}`, `{"text":"two"}]},"finishReason":"MAX_TOKENS","index":1}`)
	for field, req := range map[string]*canon.Request{"generationConfig.candidateCount": own, "n": req} {
		for name, up := range map[string]upstream{"messages": toMessages, "responses": toResponses} {
			if e := refusal(t, up, req); e.Param != field || e.Kind != apierror.Unsupported {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

func TestTokenProbabilitiesGoBetweenChatAndGemini(t *testing.T) {
	req := chatClient.asks(t, "gemini-2.5-flash", `{"model":"m","logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"x"}]}`)
	has(t, sends(t, toGemini(gemini.Options{}), req), `"responseLogprobs":true,"logprobs":2`)
	google := `{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP","index":0,"logprobsResult":{"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.5},{"token":"Ho","logProbability":-2}]}],"chosenCandidates":[{"token":"Hi","logProbability":-0.5}]}}]}`
	const chat = `[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105]},{"token":"Ho","logprob":-2,"bytes":[72,111]}]}]`
	has(t, answered(t, chatClient, toGemini(gemini.Options{}), req, google), `"logprobs":{"content":`+chat+`,"refusal":null}`)
	stream := chatClient.asks(t, "gemini-2.5-flash", `{"model":"m","stream":true,"logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"x"}]}`)
	has(t, answered(t, chatClient, toGemini(gemini.Options{}), stream, "data: "+google+"\n\n"), `"delta":{"content":"Hi"},"logprobs":{"content":`+chat)

	own := geminiWhole.asks(t, "gpt-4.1", `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"responseLogprobs":true,"logprobs":2}}`)
	has(t, sends(t, toChat(openai.Options{}), own), `"logprobs":true,"top_logprobs":2`)
	has(t, answered(t, geminiWhole, toChat(openai.Options{}), own, `{"id":"i","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"logprobs":{"content":`+chat+`},"finish_reason":"stop"}]}`),
		`"logprobsResult":{"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.5},{"token":"Ho","logProbability":-2}]}],"chosenCandidates":[{"token":"Hi","logProbability":-0.5}]}`)
	// a service without them answers all the same, and the client is told
	if _, dropped, _, err := toMessages(own); err != nil || len(dropped) != 1 || dropped[0].Field != "logprobs" {
		t.Errorf("%v %v", dropped, err)
	}
}
