package wire

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// quickValues are what TestQuick reads into.
type quickValues struct {
	Text string  `json:"text"`
	N    int64   `json:"n"`
	Yes  bool    `json:"yes"`
	List []int64 `json:"list"`
}

// read walks over v's members. Others are stepped over.
func (v *quickValues) read(data []byte) bool {
	q := NewQuick(data)
	for name := range q.Members {
		switch string(name) {
		case "text":
			v.Text = string(q.Text())
		case "n":
			v.N = q.Int()
		case "yes":
			v.Yes = q.Bool()
		case "list":
			v.List = []int64{}
			for range q.Elements {
				v.List = append(v.List, q.Int())
			}
		default:
			q.Skip()
		}
	}
	return q.Done()
}

func TestQuick(t *testing.T) {
	for in, want := range map[string]quickValues{
		`{}`: {},
		` { "text" : "a" , "n" : 12 , "yes" : true , "list" : [ 1 , 0 ] } ` + "\r\n\t": {Text: "a", N: 12, Yes: true, List: []int64{1, 0}},
		`{"list":[],"yes":false,"text":""}`:                                            {List: []int64{}},
		`{"text":"\u003ca\"\\\n\ud83d\ude00 é 世界","n":0}`:                              {Text: "<a\"\\\n😀 é 世界"},
		`{"x":{"y":[1,{"z":null}],"é":"\t"},"n":999999999999999999}`:                   {N: 999999999999999999},
		`{"x":true,"y":false,"z":null,"s":[[],{}],"n":7}`:                              {N: 7},
		`{"n":1,"n":2}`: {N: 2},
	} {
		var got quickValues
		if !got.read([]byte(in)) {
			t.Errorf("%s: odd", in)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

func TestQuickIsStrict(t *testing.T) {
	for _, in := range []string{
		``, ` `, `{`, `}`, `[]`, `null`, `"a"`, `{"text"`, `{"text":`, `{"text":"`, `{"text":"a`, `{"text":"a\`, `{"text":"a\"`, `{"text":"a"`, `{"text":"a"}x`, `{"text":"a",}`,
		`{,"text":"a"}`, `{"text":"a" "n":1}`, `{"text":"a";"n":1}`, `{"text" "a"}`, `{text:"a"}`, `{"text":a}`, `{"text":1}`, `{"text":null}`, "{\"text\":\"a\nb\"}", "{\"text\":\"\xff\"}",
		`{"text":"\q"}`, `{"text":"\ud800"}`, `{"te\u0078t":"a"}`, "{\"te\xffxt\":\"a\"}", `{"n":}`, `{"n":-1}`, `{"n":1.5}`, `{"n":1e3}`, `{"n":01}`, `{"n":"1"}`, `{"n":9999999999999999999}`,
		`{"yes":1}`, `{"yes":truex}`, `{"yes":tru`, `{"yes":null}`, `{"list":[1,]}`, `{"list":[1 2]}`, `{"list":[1`, `{"list":{}}`, `{"list":[1}`, `{"x":nul}`, `{"x":}`, `{"x":[}`, `{"x":{"y"}}`,
		`{"x":[[[[[[[[[]]]]]]]]]}`,
	} {
		if (&quickValues{}).read([]byte(in)) {
			t.Errorf("%s: not odd", in)
		}
	}
}

// TestQuickStops leaves walks before their end: what is left unread is not known, so the whole is odd.
func TestQuickStops(t *testing.T) {
	q := NewQuick([]byte(`{"a":[1,2]}`))
	for range q.Members {
		for range q.Elements {
			q.Int()
			break
		}
	}
	if q.Done() {
		t.Error("an array that was left early is not odd")
	}
	q = NewQuick([]byte(`{"a":1}`))
	for range q.Members {
		break
	}
	if q.Done() {
		t.Error("an object that was left early is not odd")
	}
	q = NewQuick([]byte(`{}`))
	q.GiveUp()
	if q.Done() {
		t.Error("a walk that was given up is not odd")
	}
}

// FuzzQuick says that a walk which goes well has read what the decoder reads.
func FuzzQuick(f *testing.F) {
	f.Add([]byte(`{"text":"a\u003c","n":1,"yes":true,"list":[1,2],"x":{"y":[null,"é"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want quickValues
		if !got.read(data) {
			return
		}
		if err := json.Unmarshal(data, &want, jsontext.AllowDuplicateNames(true)); err != nil {
			t.Fatalf("%q is not JSON: %v", data, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", data, d)
		}
	})
}
