package kiro

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
)

// fixtures are frames made with AWS's own encoder for Go (eventstream v1.6.10).
var fixtures = map[string]string{
	"F1": "0000009a0000005c9c49fd070b3a6576656e742d74797065070016617373697374616e74526573706f6e73654576656e740d3a636f6e74656e742d7479706507" +
		"00106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74223a224869222c226d6f64656c4964" +
		"223a22636c617564652d736f6e6e65742d342e35227d7412fecf",
	"F2": "00000092000000524b819bc10b3a6576656e742d7479706507000c746f6f6c5573654576656e740d3a636f6e74656e742d747970650700106170706c69636174" +
		"696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b226e616d65223a226765745f77656174686572222c22746f6f6c5573654964223a" +
		"22746f6f6c7573655f416231227d27e6a881",
	"F3": "000000ab00000052e7b041360b3a6576656e742d7479706507000c746f6f6c5573654576656e740d3a636f6e74656e742d747970650700106170706c69636174" +
		"696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22696e707574223a227b5c22636974795c223a5c224f73222c226e616d65223a22" +
		"6765745f77656174686572222c22746f6f6c5573654964223a22746f6f6c7573655f416231227d71bce41a",
	"F4": "000000a200000052eaa023470b3a6576656e742d7479706507000c746f6f6c5573654576656e740d3a636f6e74656e742d747970650700106170706c69636174" +
		"696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22696e707574223a226c6f5c227d222c226e616d65223a226765745f7765617468" +
		"6572222c22746f6f6c5573654964223a22746f6f6c7573655f416231227d0296e45c",
	"F5": "0000009e000000528e7176c00b3a6576656e742d7479706507000c746f6f6c5573654576656e740d3a636f6e74656e742d747970650700106170706c69636174" +
		"696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b226e616d65223a226765745f77656174686572222c2273746f70223a747275652c" +
		"22746f6f6c5573654964223a22746f6f6c7573655f416231227d975b5d78",
	"F6": "00000098000000537636b3f60b3a6576656e742d7479706507000d6d65746572696e674576656e740d3a636f6e74656e742d747970650700106170706c696361" +
		"74696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22756e6974223a22637265646974222c22756e6974506c7572616c223a226372" +
		"6564697473222c227573616765223a302e32357de7730714",
	"F7": "0000008500000057e92b24dc0b3a6576656e742d74797065070011636f6e7465787455736167654576656e740d3a636f6e74656e742d74797065070010617070" +
		"6c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74657874557361676550657263656e74616765223a312e35" +
		"7df2d00f44",
	"F8": "0000007c00000053ab62d2e90b3a6576656e742d7479706507000d6d657461646174614576656e740d3a636f6e74656e742d747970650700106170706c696361" +
		"74696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273746f70526561736f6e223a22544f4f4c5f555345227d5e05fbb9",
	"F9": "000000820000005cccd921440b3a6576656e742d74797065070016617373697374616e74526573706f6e73654576656e740d3a636f6e74656e742d7479706507" +
		"00106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74223a226ec3a920f09f8ca7227d3e1d" +
		"1262",
	"F10": "000000c000000061b682667c0f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d74797065" +
		"0700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a22546f6f206d616e" +
		"792072657175657374732c20706c656173652077616974206265666f726520747279696e6720616761696e2e222c22726561736f6e223a6e756c6c7df78a8c43",
	"F11": "000000620000005203b5cb9c0d3a6d6573736167652d747970650700056572726f720b3a6572726f722d636f646507000d496e7465726e616c4572726f720e3a" +
		"6572726f722d6d65737361676507000e73747265616d2061626f7274656419782814",
}

// fixture joins frames by their names.
func fixture(t testing.TB, names ...string) []byte {
	t.Helper()
	var out []byte
	for _, n := range names {
		b, err := hex.DecodeString(fixtures[n])
		if err != nil || len(b) == 0 {
			t.Fatalf("fixture %q: %v", n, err)
		}
		out = append(out, b...)
	}
	return out
}

func TestFixturesDecode(t *testing.T) {
	event := func(kind, payload string) frame {
		return frame{messageType: "event", event: kind, payload: []byte(payload)}
	}
	for name, want := range map[string]frame{
		"F1":  event("assistantResponseEvent", `{"content":"Hi","modelId":"claude-sonnet-4.5"}`),
		"F2":  event("toolUseEvent", `{"name":"get_weather","toolUseId":"tooluse_Ab1"}`),
		"F3":  event("toolUseEvent", `{"input":"{\"city\":\"Os","name":"get_weather","toolUseId":"tooluse_Ab1"}`),
		"F4":  event("toolUseEvent", `{"input":"lo\"}","name":"get_weather","toolUseId":"tooluse_Ab1"}`),
		"F5":  event("toolUseEvent", `{"name":"get_weather","stop":true,"toolUseId":"tooluse_Ab1"}`),
		"F6":  event("meteringEvent", `{"unit":"credit","unitPlural":"credits","usage":0.25}`),
		"F7":  event("contextUsageEvent", `{"contextUsagePercentage":1.5}`),
		"F8":  event("metadataEvent", `{"stopReason":"TOOL_USE"}`),
		"F9":  event("assistantResponseEvent", "{\"content\":\"n\u00e9 \U0001F327\"}"),
		"F10": {messageType: "exception", exception: "throttlingException", payload: []byte(`{"message":"Too many requests, please wait before trying again.","reason":null}`)},
		"F11": {messageType: "error", code: "InternalError", message: "stream aborted", payload: []byte{}},
	} {
		f := frames{r: bytes.NewReader(fixture(t, name))}
		got, err := f.next()
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(frame{})); diff != "" || err != nil {
			t.Errorf("%s: %v -want +got\n%s", name, err, diff)
		}
		if _, err := f.next(); err != io.EOF {
			t.Errorf("%s: after the frame: %v", name, err)
		}
	}
}

func TestOwnEncoderWritesTheFixtures(t *testing.T) {
	for name, got := range map[string][]byte{
		"F1":  eventFrame("assistantResponseEvent", `{"content":"Hi","modelId":"claude-sonnet-4.5"}`),
		"F7":  eventFrame("contextUsageEvent", `{"contextUsagePercentage":1.5}`),
		"F10": frameOf(`{"message":"Too many requests, please wait before trying again.","reason":null}`, ":exception-type", "throttlingException", ":content-type", "application/json", ":message-type", "exception"),
		"F11": frameOf("", ":message-type", "error", ":error-code", "InternalError", ":error-message", "stream aborted"),
	} {
		if !bytes.Equal(got, fixture(t, name)) {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// all reads every frame and returns their payloads.
func all(r io.Reader) (out []string, err error) {
	f := frames{r: r}
	for {
		fr, err := f.next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, fr.messageType+" "+fr.event+" "+string(fr.payload))
	}
}

func TestFramesCutAnywhere(t *testing.T) {
	s1 := fixture(t, "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8")
	want, err := all(bytes.NewReader(s1))
	if err != nil || len(want) != 8 {
		t.Fatalf("%v %v", err, want)
	}
	for name, r := range map[string]io.Reader{
		"one byte at a time": iotest.OneByteReader(bytes.NewReader(s1)), "halves": iotest.HalfReader(bytes.NewReader(s1)),
		"data with the end": iotest.DataErrReader(bytes.NewReader(s1)),
	} {
		if got, err := all(r); err != nil || !slices.Equal(want, got) {
			t.Errorf("%s: %v %v", name, err, got)
		}
	}
	ends := map[int]bool{0: true}
	n := 0
	for _, f := range []string{"F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8"} {
		n += len(fixtures[f]) / 2
		ends[n] = true
	}
	for i := range s1 {
		_, err := all(bytes.NewReader(s1[:i]))
		switch {
		case ends[i] && err != nil:
			t.Errorf("cut between frames at %d: %v", i, err)
		case !ends[i] && apierror.KindOf(err) != apierror.Truncated:
			t.Errorf("cut inside a frame at %d: %v", i, err)
		}
	}
}

func TestDamagedFramesAreErrors(t *testing.T) {
	f1 := fixture(t, "F1")
	for i := range f1 {
		bad := bytes.Clone(f1)
		bad[i] ^= 0x40
		if _, err := all(bytes.NewReader(bad)); !errors.Is(err, errFrame) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	last := bytes.Clone(f1)
	last[len(last)-1]++
	if _, err := all(bytes.NewReader(last)); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("the checksum: %v", err)
	}
	head := func(total, headers string) []byte {
		b, _ := hex.DecodeString(total + headers)
		return sealed(b)
	}
	for name, b := range map[string][]byte{
		"4 GiB": head("ffffffff", "00000000"), "too short": head("0000000f", "00000000"), "headers past the end": head("00000020", "00000011"),
	} {
		if _, err := all(io.MultiReader(bytes.NewReader(b), strings.NewReader(strings.Repeat("x", 100)))); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, h := range map[string]string{"a name past the end": "\x7fabc", "a value past the end": "\x01a\x07\xff\xffabc", "no length": "\x01a\x07\x00", "an unknown type": "\x01a\x63", "half an integer": "\x01a\x05abc"} {
		if _, err := all(bytes.NewReader(rawFrame([]byte(h), nil))); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := "\x01a\x00\x01b\x01\x01c\x02x\x01d\x03xx\x01e\x04xxxx\x01f\x05xxxxxxxx\x01g\x06\x00\x02xx\x01h\x08xxxxxxxx\x01i\x09" + strings.Repeat("x", 16) + "\x0d:message-type\x07\x00\x05event"
	if got, err := all(bytes.NewReader(rawFrame([]byte(many), []byte("p")))); err != nil || !slices.Equal(got, []string{"event  p"}) {
		t.Errorf("headers of all types: %v %v", err, got)
	}
	if _, err := all(iotest.ErrReader(apierror.New(apierror.Timeout, "silence"))); apierror.KindOf(err) != apierror.Timeout {
		t.Errorf("an error of the line: %v", err)
	}
	if _, err := all(io.MultiReader(bytes.NewReader(f1[:50]), iotest.ErrReader(apierror.New(apierror.Timeout, "silence")))); apierror.KindOf(err) != apierror.Timeout {
		t.Errorf("an error of the line inside a frame: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	for name := range fixtures {
		f.Add(fixture(f, name))
	}
	f.Add(fixture(f, "F1", "F10")[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		want, err := all(bytes.NewReader(data))
		got, err2 := all(iotest.OneByteReader(bytes.NewReader(data)))
		if !slices.Equal(want, got) || (err == nil) != (err2 == nil) || err != nil && apierror.KindOf(err) != apierror.KindOf(err2) {
			t.Errorf("%v %v, byte by byte %v %v", want, err, got, err2)
		}
		if err != nil && apierror.KindOf(err) != apierror.Truncated && apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%v", err)
		}
	})
}
