package gemini

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// identities are requests that come out as they went in when they are written anew.
var identities = map[string]string{
	"gemini-cli 0.61.0": `{"contents":[{"role":"user","parts":[{"text":"<session_context>\nx"},{"text":"List"}]},
	  {"role":"model","parts":[{"functionCall":{"id":"c1","name":"ls","args":{"dir":".","n":1.50}},"thoughtSignature":"CpwB"},{"functionCall":{"id":"c2","name":"read","args":{}}}]},
	  {"role":"user","parts":[{"functionResponse":{"id":"c1","name":"ls","response":{"output":"a.txt"}}},{"functionResponse":{"id":"c2","name":"read","response":{"output":"Binary content provided (1 item(s))."}}},{"inlineData":{"mimeType":"image/png","data":"iVBORw=="}}]}],
	 "systemInstruction":{"parts":[{"text":"You are"}]},
	 "tools":[{"functionDeclarations":[{"name":"ls","description":"d","parametersJsonSchema":{"$schema":"s","type":"object","properties":{"dir":{"type":"string"}},"additionalProperties":false}},{"name":"read","behavior":"B"}]}],
	 "generationConfig":{"temperature":1,"topP":0.95,"topK":64,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}}}`,
	"opencode 1.18.33": `{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"t","thought":true},{"text":"ok","thoughtSignature":"CpwC"},{"functionCall":{"name":"ls","args":{}},"thoughtSignature":"CpwB"}]},
	  {"role":"user","parts":[{"functionResponse":{"name":"ls","response":{"name":"ls","content":"x"}}}]}],
	 "tools":[{"functionDeclarations":[{"name":"ls","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"},"retrievalConfig":{"a":1}},
	 "generationConfig":{"maxOutputTokens":16000}}`,
	"all kinds": `{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"image/png","fileUri":"https://x.test/a","displayName":"n"}},{"inlineData":{"mimeType":"video/mp4","data":"AAAA","zz":1},"videoMetadata":{"fps":2}},{"text":"a","partMetadata":{"k":1}}],"cc":2},
	  {"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"},"thoughtSignature":"Cs"},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}},{"toolCall":{"id":"x"}},{"functionCall":{"id":"1","name":"f","args":{},"willContinue":false},"thoughtSignature":"Cp","pp":1}]},
	  {"role":"user","parts":[{"functionResponse":{"id":"1","name":"f","response":{"r":[1.0]},"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw=="}}],"scheduling":"S"}}]}],
	 "tools":[{"googleSearch":{"timeRangeFilter":{}}},{"codeExecution":{}},{"functionDeclarations":[{"name":"f"}]}],
	 "generationConfig":{"candidateCount":2,"seed":7,"presencePenalty":0,"frequencyPenalty":-0.5,"responseLogprobs":true,"logprobs":3,"stopSequences":["E"],"responseMimeType":"text/x.enum","responseJsonSchema":{"type":"string","enum":["a"]},"responseModalities":["TEXT"],"speechConfig":{"a":1},"thinkingConfig":{"thinkingBudget":-1}},
	 "safetySettings":[{"category":"C","threshold":"OFF"}],"cachedContent":"cachedContents/a","labels":{"a":"b"},"unknown":[1.50]}`,
}

func TestRequestsKeepEverything(t *testing.T) {
	for name, body := range identities {
		t.Run(name, func(t *testing.T) {
			req := decode(t, body)
			if got := string(write(t, req, Options{}).Body); got != body {
				t.Errorf("with its body: %s", got)
			}
			x := write(t, without(req), Options{})
			if name == "all kinds" { // turns keep their members only with the body
				body = strings.Replace(body, `,"cc":2`, "", 1)
			}
			sameJSON(t, body, string(x.Body))
			if len(x.Dropped) > 0 {
				t.Errorf("dropped: %v", x.Dropped)
			}
		})
	}
}

func TestAnswersKeepEverything(t *testing.T) {
	answer := `{"candidates":[{"content":{"role":"model","parts":[{"text":"t","thought":true},{"text":"a","thoughtSignature":"Ct"},{"functionCall":{"id":"1","name":"f","args":{"z":1.50}},"thoughtSignature":"Cp"},
	 {"inlineData":{"mimeType":"image/png","data":"iVBORw=="}},{"executableCode":{"code":"1"}}]},"finishReason":"STOP","index":0,"groundingMetadata":{"q":[1.0]},"safetyRatings":[]}],
	 "usageMetadata":{"promptTokenCount":9,"cachedContentTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":14},"modelVersion":"asked","responseId":"r"}`
	x, err := NewExchange(&canon.Request{Format: Name, ModelAsked: "asked", Model: "gemini-2.5-pro", Reasoning: canon.Reasoning{Summary: "auto"}, Messages: []canon.Message{say(canon.RoleUser, text("a"))}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := canon.Collect(x.ReadWhole([]byte(answer)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Codec{}.AppendResponse(nil, x.req, resp)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, answer, string(got))
}

func FuzzDecode(f *testing.F) {
	for _, body := range identities {
		f.Add([]byte(body))
	}
	f.Add([]byte(bothSpellings))
	f.Add([]byte(`{"contents":{"parts":{"functionCall":{"name":"a"}}},"systemInstruction":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := Codec{}.Decode(OpAction, post("/v1beta/models/m:generateContent"), body)
		if err != nil {
			if e := apierror.From(err); e.Kind != apierror.InvalidRequest {
				t.Errorf("%v", err)
			}
			return
		}
		req.Model = "gemini-3-pro-preview"
		for _, o := range []Options{{}, {StripReasoning: true}, {ForceConvert: true}, {ForceConvert: true, Strict: true, Validated: true, Family: "claude"}} {
			x, err := NewExchange(req, o)
			if err == nil && !jsontext.Value(x.Body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
				t.Errorf("%+v: no JSON: %s", o, x.Body)
			}
			if err != nil && apierror.KindOf(err) == apierror.Internal {
				t.Error(err)
			}
		}
	})
}

// cutReader gives its text in pieces of n bytes.
type cutReader struct {
	r *bytes.Reader
	n int
}

func (c cutReader) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

func FuzzReadStream(f *testing.F) {
	f.Add([]byte(answerB), 1)
	f.Add([]byte(strings.ReplaceAll(answerB, "\n", "\r\n")), 3)
	f.Add([]byte("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"ü€😀\"}]},\"finishReason\":\"STOP\"}]}\n\n"), 2)
	f.Add([]byte(`[{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}]`), 5)
	f.Add([]byte(`{"promptFeedback":{"blockReason":"X"},"candidates":[{"index":3}]}`), 5)
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		n = max(1, n&63)
		whole := dump(checked(t, foreign(t).Read("", bytes.NewReader(in))))
		if d := cmp.Diff(whole, dump(foreign(t).Read("", cutReader{bytes.NewReader(in), n}))); d != "" {
			t.Error(d)
		}
		x := verbatimExchange(t)
		if out := render(x.req, x.Read("", bytes.NewReader(in))); out == "" {
			t.Error("a client got no end")
		}
	})
}

// checked fails on a stream that does not keep to its rules.
func checked(t *testing.T, s canon.Stream) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		ends, next, open := 0, 0, map[int]bool{}
		for ev, err := range s {
			if ends > 0 {
				t.Error("an event after the end")
			}
			switch {
			case err != nil:
				ends++
			case ev.Kind == canon.KindPartStart:
				if ev.Index != next {
					t.Errorf("part %d after %d", ev.Index, next)
				}
				next++
				open[ev.Index] = true
			case ev.Kind == canon.KindDelta && !open[ev.Index]:
				t.Error("a delta outside its part")
			case ev.Kind == canon.KindPartEnd:
				delete(open, ev.Index)
			case ev.Kind == canon.KindFinish:
				ends++
				if len(open) > 0 || ev.More {
					t.Errorf("open at the end: %v, more %v", open, ev.More)
				}
			}
			if !yield(ev, err) {
				return
			}
		}
		if ends != 1 {
			t.Errorf("%d ends", ends)
		}
	}
}

func FuzzRenderer(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 7}, false)
	f.Add([]byte{1, 34, 67, 100, 8, 5, 40}, true)
	f.Fuzz(func(t *testing.T, steps []byte, array bool) {
		req := asker(array)
		r := Codec{}.NewRenderer(req)
		var out []byte
		for _, s := range steps {
			index := int(s>>5) - 1
			p := &canon.Part{Type: canon.PartType(s >> 4), Name: "n", Text: "t", Args: jsontext.Value(`{}`), Server: jsontext.Value(`{"a":1}`), Media: &canon.Media{Data: []byte("a")}, Opaque: opaque("gemini", "call", "Cp")}
			switch s & 15 {
			case 0:
				out = r.AppendPing(out)
			case 1:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindStart, ID: "i", Verbatim: s > 128, Raw: []byte(`{"finishReason":"x"}`)})
			case 2, 9, 10:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindPartStart, Index: index, Part: p})
			case 3, 11, 12:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindDelta, Index: index, Delta: canon.DeltaKind(s>>4) % 6, Text: "x\n\"", Choice: index})
			case 4, 13:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindPartEnd, Index: index, Part: p})
			case 5:
				out = r.AppendError(out, apierror.New(apierror.Truncated, "e"))
			case 6:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindChoiceFinish, Choice: index})
			case 7:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish, Usage: &canon.Usage{Input: 1}})
			case 8:
				out = r.AppendEvent(out, canon.Event{Kind: canon.KindPartEnd, Index: index})
			}
		}
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish})
		end := len(out)
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish})
		out = r.AppendError(r.AppendPing(out), apierror.New(apierror.Truncated, "e"))
		if len(out) != end {
			t.Errorf("something after the end: %q", out[end:])
		}
		if array {
			if !jsontext.Value(out).IsValid(jsontext.AllowDuplicateNames(true)) {
				t.Errorf("no JSON: %s", out)
			}
			return
		}
		terminal := 0
		for f := range strings.SplitSeq(string(out), "\n\n") {
			if f == "" {
				continue
			}
			data, ok := strings.CutPrefix(f, "data: ")
			if !ok || strings.ContainsAny(data, "\r\n") || !jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true)) {
				t.Errorf("a bad frame: %q", f)
			}
			if strings.Contains(data, `"finishReason":"`) || strings.HasPrefix(data, `{"error"`) {
				terminal++
			}
		}
		if raw := strings.Count(string(out), `{"finishReason":"x"}`); terminal-raw > 1 || terminal == 0 {
			t.Errorf("%d ends in %s", terminal, out)
		}
	})
}
